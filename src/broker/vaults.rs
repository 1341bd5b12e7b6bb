//! What concerns the vaults of all profiles at once: keys, backups, whether all can be read.
//!
//! A profile that is not open is opened for as long as it takes; nobody else may open one meanwhile (see
//! [`Profiles::alone`]).

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::SecretString;

use super::{
    Broker, Profiles, audit_key, files,
    keeper::{KeyKeeper, key_error},
    profiles, vault_error,
};
use crate::{
    paths::Home,
    protocol::{
        ErrorKind, ErrorReply, chain,
        vault::{BackupReport, KeyMoved, KeyPlace, ProfileReport, Rotation},
    },
    vault::{Cost, SledVault, backup},
};

impl Profiles {
    /// Reads and decrypts every record of every profile.
    ///
    /// # Errors
    /// A vault can't be read at all.
    pub fn verify(&self) -> Result<Vec<ProfileReport>, ErrorReply> {
        self.alone(|open| {
            self.vaults(open).each(|profile, vault| {
                let report = vault.verify().map_err(|error| vault_error(&error))?;
                Ok(ProfileReport {
                    profile: profile.to_owned(),
                    records: report.records,
                    damaged: report.damaged,
                })
            })
        })
        .flatten()
    }

    /// Exchanges the data keys, the master key, or both. Runs go on meanwhile.
    ///
    /// # Errors
    /// The vaults' and the key place's. Everything can be read then, and the next call goes on.
    pub fn rotate(&self, data: bool, master: bool) -> Result<Rotation, ErrorReply> {
        self.alone(|open| {
            let vaults = self.vaults(open);
            if master {
                let closed = vaults.closed();
                self.common.keeper.with_keys(|keys| {
                    keys.rotate(&vaults.open(), &closed).map_err(|error| vault_error(&error))
                })?;
                self.common.note("rotate master key", None)?;
            }
            let mut profiles = Vec::new();
            if data {
                profiles = vaults.each(|profile, vault| {
                    let rotated = vault.rotate().map_err(|error| vault_error(&error))?;
                    Ok(ProfileReport {
                        profile: profile.to_owned(),
                        records: rotated.records,
                        damaged: rotated.damaged,
                    })
                })?;
                self.common.note("rotate data key", None)?;
            }
            Ok(Rotation { data, master, profiles })
        })
        .flatten()
    }

    /// Completes what an earlier daemon could not. What can't be completed now is logged: everything
    /// can be read either way.
    pub fn finish_rotations(&self) {
        let finished = self.alone(|open| {
            let vaults = self.vaults(open);
            let closed = vaults.closed();
            let master = self.common.keeper.with_keys(|keys| {
                if keys.is_rotating() {
                    tracing::info!("completing an exchange of the master key");
                    keys.finish_rotation(&vaults.open(), &closed)
                        .map_err(|error| vault_error(&error))?;
                }
                Ok(())
            });
            let data = vaults.each(|profile, vault| {
                if vault.is_rotating() {
                    tracing::info!(profile, "completing an exchange of the data key");
                    vault.finish_rotation().map_err(|error| vault_error(&error))?;
                }
                Ok(())
            });
            master.and(data.map(drop))
        });
        if let Err(error) = finished.flatten() {
            tracing::warn!(error = error.message, "an exchange of keys is not complete");
        }
    }

    /// Writes everything of the home that is worth keeping to `out`, under a passphrase.
    ///
    /// # Errors
    /// The vaults', the file's; it is not on record.
    pub fn backup<W: Write>(
        &self,
        out: W,
        passphrase: &SecretString,
    ) -> Result<(W, BackupReport), ErrorReply> {
        // Nothing leaves unless it is on record.
        self.common.note("backup", None)?;
        let created = jiff::Timestamp::now().to_string();
        let mut writer = backup::Writer::new(out, passphrase, Cost::STANDARD, &created)
            .map_err(|error| backup_error(&error))?;
        let mut report = BackupReport::default();
        self.alone(|open| {
            let found = files::of(&self.common.home);
            report.left_out = found.left_out;
            for (name, path) in found.files {
                match files::read(&path) {
                    Ok(contents) => {
                        writer.file(&name, &contents).map_err(|error| backup_error(&error))?;
                        report.files += 1;
                    }
                    Err(error) => report.left_out.push(format!("{name}: {error}")),
                }
            }
            let changing: Vec<_> = open.iter().map(|broker| broker.lock()).collect();
            let profiles = self.vaults(open).each(|profile, vault| {
                let exported = vault
                    .export::<backup::Error>(|name, value| {
                        // It belongs to the log of this home, which stays here too.
                        if name == audit_key::RECORD {
                            return Ok(());
                        }
                        report.records += 1;
                        writer.record(profile, name, value)
                    })
                    .map_err(|error| backup_error(&error))?;
                let damaged = exported.damaged.into_iter();
                report.left_out.extend(damaged.map(|what| format!("{profile}: {what}")));
                Ok(())
            })?;
            drop(changing);
            report.profiles = profiles.len();
            Ok(())
        })
        .flatten()?;
        let out = writer.finish().map_err(|error| backup_error(&error))?;
        Ok((out, report))
    }

    /// Moves the master key to another place.
    ///
    /// # Errors
    /// What the places say; [`ErrorKind::Exists`] if there is another key.
    pub fn move_master_key(
        &self,
        to: KeyPlace,
        passphrase: Option<&SecretString>,
        replace: bool,
    ) -> Result<KeyMoved, ErrorReply> {
        let keeper = &self.common.keeper;
        let from = keeper.place();
        keeper.move_key(to, passphrase, replace)?;
        self.common.note("move-key", None)?;
        Ok(KeyMoved { from, to })
    }

    fn vaults<'a>(&'a self, open: &'a [Arc<Broker>]) -> Vaults<'a> {
        Vaults { home: &self.common.home, keeper: &self.common.keeper, open }
    }
}

/// The vaults of all profiles, while nobody else opens one.
struct Vaults<'a> {
    home: &'a Home,
    keeper: &'a KeyKeeper,
    open: &'a [Arc<Broker>],
}

impl Vaults<'_> {
    /// Calls `each` with every vault, by profile.
    fn each<T>(
        &self,
        mut each: impl FnMut(&str, &SledVault) -> Result<T, ErrorReply>,
    ) -> Result<Vec<T>, ErrorReply> {
        let mut done = BTreeMap::new();
        for broker in self.open {
            let profile = broker.profile.to_string();
            let result = each(&profile, &broker.vault)?;
            done.insert(profile, result);
        }
        for dir in self.closed() {
            let vault = self.keeper.open_vault(&dir).map_err(|error| vault_error(&error))?;
            let profile = profile(&dir);
            let result = each(&profile, &vault)?;
            done.insert(profile, result);
        }
        Ok(done.into_values().collect())
    }

    fn open(&self) -> Vec<&SledVault> {
        self.open.iter().map(|broker| &*broker.vault).collect()
    }

    /// Vaults that exist and are not open.
    fn closed(&self) -> Vec<PathBuf> {
        let mut vaults = profiles::vaults(self.home);
        vaults.retain(|vault| !self.open.iter().any(|broker| broker.vault.dir() == vault));
        vaults
    }
}

/// The profile whose vault lies in `dir`, `profiles/NAME/vault`.
fn profile(dir: &Path) -> String {
    let name = dir.parent().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

pub(super) fn backup_error(error: &backup::Error) -> ErrorReply {
    if let backup::Error::Vault(error) = error {
        return key_error(error);
    }
    ErrorReply { kind: ErrorKind::Failed, message: chain(error), hint: error.hint() }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::broker::{
        DEFAULT_PROFILE, restore,
        testing::{Stage, connect},
    };

    /// With something in two profiles, of which the second is not open.
    fn stage() -> Stage {
        let stage = Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        connect(&profiles.get(Some(DEFAULT_PROFILE)).unwrap(), "openai");
        connect(&profiles.get(Some("work")).unwrap(), "openai");
        drop(profiles);
        stage
    }

    fn names(reports: &[ProfileReport]) -> Vec<&str> {
        reports.iter().map(|report| report.profile.as_str()).collect()
    }

    #[test]
    fn every_profile_is_verified_and_gets_new_keys_whether_it_is_open_or_not() {
        let stage = stage();
        let profiles = Profiles::new(&stage.common);
        assert_eq!(names(&profiles.verify().unwrap()), [DEFAULT_PROFILE, "work"]);
        let rotation = profiles.rotate(true, true).unwrap();
        assert_eq!(names(&rotation.profiles), [DEFAULT_PROFILE, "work"]);
        let work = profiles.get(Some("work")).unwrap();
        assert_eq!(work.connections(None).unwrap().len(), 1);
        assert_eq!(
            names(&profiles.rotate(true, true).unwrap().profiles),
            [DEFAULT_PROFILE, "work"]
        );
        drop((work, profiles));
        let stage = stage.again(|_| {});
        let reports = Profiles::new(&stage.common).verify().unwrap();
        assert!(reports.iter().all(|report| report.records > 0 && report.damaged.is_empty()));
    }

    #[test]
    fn a_backup_holds_every_profile_and_its_home_begins_a_log_of_its_own() {
        let stage = stage();
        let profiles = Profiles::new(&stage.common);
        let path = stage.directory.path().join("backup");
        let phrase = SecretString::from("correct horse battery");
        let (_, report) = profiles.backup(File::create(&path).unwrap(), &phrase).unwrap();
        assert_eq!(report.profiles, 2);
        let home = Home::at(stage.directory.path().join("other"));
        home.ensure().unwrap();
        let file = File::open(&path).unwrap();
        let restored = restore(file, &phrase, &home, |_| Ok(KeyPlace::File)).unwrap();
        assert_eq!((restored.profiles, restored.records), (2, report.records));
        let other = stage.open(&home);
        let (ours, theirs) = (stage.common.audit(), other.audit());
        assert_ne!(ours.public_key, theirs.public_key);
        assert_eq!((theirs.alarm, theirs.error), (None, None));
        let work = Profiles::new(&other).get(Some("work")).unwrap();
        assert_eq!(work.connections(None).unwrap().len(), 1);
    }

    #[test]
    fn what_a_daemon_could_not_complete_the_next_does_in_every_profile() {
        let stage = stage();
        let profiles = Profiles::new(&stage.common);
        profiles
            .alone(|open| {
                let vaults = profiles.vaults(open);
                let begin = |vault: &SledVault| vault.begin_rotation().map_err(|e| vault_error(&e));
                vaults.each(|_, vault| begin(vault)).unwrap();
            })
            .unwrap();
        drop(profiles);
        let stage = stage.again(|_| {});
        let profiles = Profiles::new(&stage.common);
        let rotating = || {
            let ask = |open: &[Arc<Broker>]| {
                profiles.vaults(open).each(|_, vault| Ok(vault.is_rotating())).unwrap()
            };
            profiles.alone(ask).unwrap()
        };
        assert_eq!(rotating(), [true, true]);
        profiles.finish_rotations();
        assert_eq!(rotating(), [false, false]);
    }
}
