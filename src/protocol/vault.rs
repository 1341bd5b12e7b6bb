//! What is said about the vault as a whole: keys, passphrases, backups.

use serde::{Deserialize, Serialize};

use super::Secret;

/// What is asked of the vaults of all profiles at once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "vault", rename_all = "snake_case")]
pub enum VaultRequest {
    /// Reads and decrypts every record. Answer: `Vec<ProfileReport>`.
    Verify,
    /// Exchanges keys. Answer: [`Rotation`].
    Rotate {
        /// The data keys: every record is sealed again.
        data: bool,
        /// The master key.
        master: bool,
    },
    /// Writes a backup into the file whose descriptor comes with the request. Answer: [`BackupReport`].
    Backup {
        /// What protects it.
        passphrase: Secret,
    },
    /// Moves the master key. Answer: [`KeyMoved`].
    MoveKey {
        /// Where to.
        to: KeyPlace,
        /// What is to protect it there, if it is [`KeyPlace::Passphrase`].
        passphrase: Option<Secret>,
        /// Replace another key that is there.
        replace: bool,
    },
    /// Opens vaults that a passphrase protects. Answer: `null`.
    Unlock {
        /// The passphrase.
        passphrase: Secret,
    },
    /// Forgets the passphrase and what it opened: the daemon ends. Answer: `null`, sent before.
    Lock,
}

/// Where the master key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// `$AUTHSOME_HOME/master.key`, mode 0600.
    #[default]
    File,
    /// The OS keyring.
    Keyring,
    /// The same file, under a passphrase.
    Passphrase,
}

impl KeyPlace {
    /// As `config.toml` and the command line spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Keyring => "keyring",
            Self::Passphrase => "passphrase",
        }
    }
}

impl std::str::FromStr for KeyPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::File, Self::Keyring, Self::Passphrase]
            .into_iter()
            .find(|place| place.as_str() == text)
            .ok_or_else(|| "expected `file`, `keyring` or `passphrase`".to_owned())
    }
}

/// Can the vaults be read?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VaultState {
    /// Yes.
    #[default]
    Open,
    /// Not without a passphrase.
    Locked,
    /// There is none; the first passphrase makes it.
    New,
}

/// What reading one profile's vault found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileReport {
    /// The profile.
    pub profile: String,
    /// Records that were read and decrypted.
    pub records: usize,
    /// One sentence for each record that could not be.
    pub damaged: Vec<String>,
}

/// What an exchange of keys did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rotation {
    /// Were the data keys exchanged?
    pub data: bool,
    /// Was the master key?
    pub master: bool,
    /// By profile: the records that were sealed again, and those that could not be.
    pub profiles: Vec<ProfileReport>,
}

/// What is in a backup.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BackupReport {
    /// Profiles with a vault.
    pub profiles: usize,
    /// Records.
    pub records: usize,
    /// Files of the home.
    pub files: usize,
    /// One sentence for each thing that could not be put in.
    pub left_out: Vec<String>,
}

/// Where the master key is now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyMoved {
    /// Where it was.
    pub from: KeyPlace,
    /// Where it is.
    pub to: KeyPlace,
}
