//! From a backup to a home that nobody uses yet.

use std::{collections::BTreeMap, fs::File, io::BufReader, path::Path};

use secrecy::SecretString;

use super::{
    audit_error, files,
    keeper::{key_error, source},
    path_error, user_name, vault_error,
    vaults::backup_error,
};
use crate::{
    audit::{self, AuditLog, Event},
    paths::{self, Home},
    protocol::{
        ErrorKind, ErrorReply, chain,
        vault::{BackupReport, KeyPlace},
    },
    vault::{
        Cost, MasterKeys, Protection, SledVault, Vault,
        backup::{Item, Reader},
    },
};

/// Builds the home that a backup holds in `home`, which must be empty, under a new master key. Where the
/// key is to be says `place`, called when the configuration is there; if under a passphrase, then the
/// backup's.
///
/// Nothing of it counts until this has returned.
///
/// # Errors
/// The backup's, the disk's.
pub fn restore(
    backup: File,
    passphrase: &SecretString,
    home: &Home,
    place: impl FnOnce(&Home) -> Result<KeyPlace, ErrorReply>,
) -> Result<BackupReport, ErrorReply> {
    let mut reader =
        Reader::new(BufReader::new(backup), passphrase).map_err(|error| backup_error(&error))?;
    let mut report = BackupReport::default();
    let mut place = Some(place);
    let mut keys = None;
    let mut vaults: BTreeMap<String, SledVault> = BTreeMap::new();
    let make_keys = |place: &mut Option<_>| match place.take() {
        Some(place) => make_keys(home, passphrase, place).map(Some),
        None => Ok(None),
    };
    loop {
        match reader.next().map_err(|error| backup_error(&error))? {
            None => break,
            Some(Item::File { path, contents }) => {
                let Some(target) = files::place(home, &path) else {
                    return Err(damaged(format!("{path:?} is no file of a home")));
                };
                if let Some(directory) = target.parent() {
                    paths::create_private_dir(directory).map_err(|error| path_error(&error))?;
                }
                paths::write_private(&target, &contents).map_err(|error| path_error(&error))?;
                report.files += 1;
            }
            Some(Item::Record { profile, name, value }) => {
                if let Some(made) = make_keys(&mut place)? {
                    keys = Some(made);
                }
                if !vaults.contains_key(&profile)
                    && let Some(keys) = &keys
                {
                    let dir = home.vault(&profile).map_err(|error| damaged(chain(&error)))?;
                    let vault = keys.open(&dir).map_err(|error| vault_error(&error))?;
                    vaults.insert(profile.clone(), vault);
                }
                if let Some(vault) = vaults.get(&profile) {
                    vault.put(&name, &value).map_err(|error| vault_error(&error))?;
                    report.records += 1;
                }
            }
        }
    }
    make_keys(&mut place)?;
    report.profiles = vaults.len();
    drop(vaults);
    note(&home.audit_log())?;
    Ok(report)
}

/// Is there something in `home` that would be missed: a vault, or the key to one elsewhere?
#[must_use]
pub fn is_in_use(home: &Home) -> bool {
    let profiles = std::fs::read_dir(home.profiles()).into_iter().flatten();
    let mut vaults = profiles.filter_map(|entry| Some(entry.ok()?.path().join("vault")));
    home.master_key().exists() || vaults.any(|vault| SledVault::exists(&vault))
}

fn make_keys(
    home: &Home,
    passphrase: &SecretString,
    place: impl FnOnce(&Home) -> Result<KeyPlace, ErrorReply>,
) -> Result<MasterKeys, ErrorReply> {
    let place = place(home)?;
    let protection = match place {
        KeyPlace::Passphrase => Protection::Passphrase(passphrase, Cost::STANDARD),
        KeyPlace::File | KeyPlace::Keyring => Protection::None,
    };
    MasterKeys::load_or_create(&source(home, place), &protection, &[])
        .map_err(|error| key_error(&error))
}

/// The first line of the new home's audit log.
fn note(path: &Path) -> Result<(), ErrorReply> {
    let log =
        AuditLog::open(path, audit::Options::default()).map_err(|error| audit_error(&error))?;
    let event = Event {
        user: Some(user_name().into()),
        operation: Some("restore".into()),
        ..Event::new(audit::Kind::Vault)
    };
    log.append(event).and_then(|()| log.flush()).map_err(|error| audit_error(&error))
}

fn damaged(message: String) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::Failed,
        message: format!("the backup is damaged: {message}"),
        hint: Some("use another copy of it".to_owned()),
    }
}
