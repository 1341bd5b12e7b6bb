//! The profiles of a home: each a vault of its own, opened when somebody first asks for it.
//!
//! A profile is a directory under `profiles/`; which one counts where nobody names one is in a file
//! beside them. One process opens a vault once, so there is one [`Broker`] a profile, made here and
//! nowhere else. A profile that cannot be opened costs no other.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Broker, Common, path_error};
use crate::{
    paths::{self, Home},
    protocol::{ErrorKind, ErrorReply},
    vault::SledVault,
};

/// The profile of a fresh install. It is made by itself, and always there.
pub const DEFAULT_PROFILE: &str = "default";

/// What the directory of a profile that is being deleted is called, until it is gone.
const DELETED: &str = ".deleted-";
/// No name is as long.
const LONGEST_NAME: u64 = 256;

/// One profile's broker, once it is open; locked while it is opened or deleted.
type Slot = Arc<Mutex<Option<Arc<Broker>>>>;

/// All profiles of a home.
#[derive(Debug)]
pub struct Profiles {
    pub(super) common: Arc<Common>,
    slots: Mutex<BTreeMap<String, Slot>>,
    /// Held while a profile is opened or deleted; taken before any slot.
    gate: Mutex<()>,
    in_use: Mutex<Arc<str>>,
}

impl Profiles {
    /// The profiles of the home that `common` is of. Opens none of them.
    #[must_use]
    pub fn new(common: &Arc<Common>) -> Self {
        sweep(&common.home);
        let in_use = read_in_use(&common.home).unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        Self {
            common: Arc::clone(common),
            slots: Mutex::default(),
            gate: Mutex::default(),
            in_use: Mutex::new(in_use.into()),
        }
    }

    /// The profile that counts where nobody names one.
    #[must_use]
    pub fn in_use(&self) -> Arc<str> {
        Arc::clone(&self.in_use.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A profile's broker, opened if need be; no name: the one in use.
    ///
    /// # Errors
    /// No such profile, the vault's.
    pub fn get(&self, name: Option<&str>) -> Result<Arc<Broker>, ErrorReply> {
        match name {
            Some(name) => self.open(name, false),
            None => self.open(&self.in_use(), false),
        }
    }

    /// The brokers of all profiles there are, opened if need be.
    ///
    /// # Errors
    /// A vault that cannot be opened: then not all are here, and none is.
    pub fn all(&self) -> Result<Vec<Arc<Broker>>, ErrorReply> {
        self.names().iter().map(|name| self.open(name, false)).collect()
    }

    /// The brokers that are open already. Does not wait for those that are being opened.
    #[must_use]
    pub fn opened(&self) -> Vec<Arc<Broker>> {
        let slots = self.slots();
        slots.values().filter_map(|slot| slot.try_lock().ok()?.clone()).collect()
    }

    /// Calls `work` with the brokers that are open, the default profile's among them, while no other is
    /// opened, made or deleted.
    ///
    /// # Errors
    /// The default profile's vault cannot be opened.
    pub(super) fn alone<T>(&self, work: impl FnOnce(&[Arc<Broker>]) -> T) -> Result<T, ErrorReply> {
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        // Its vault is open for as long as the audit log, so it must not count as closed.
        self.fill(DEFAULT_PROFILE, false)?;
        let slots: Vec<Slot> = self.slots().values().cloned().collect();
        let open: Vec<_> = slots.iter().filter_map(|slot| lock(slot).clone()).collect();
        Ok(work(&open))
    }

    /// Names of the profiles there are, sorted; the default one is always among them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = names(&self.common.home);
        if !names.iter().any(|name| name == DEFAULT_PROFILE) {
            names.push(DEFAULT_PROFILE.to_owned());
        }
        names.sort();
        names
    }

    /// Makes a profile, empty.
    ///
    /// # Errors
    /// A name that is none, a profile that exists, the vault's.
    pub fn create(&self, name: &str) -> Result<(), ErrorReply> {
        if self.exists(name)? {
            return Err(ErrorReply {
                kind: ErrorKind::Exists,
                message: format!("there is a profile {name} already"),
                hint: Some(format!("authsome profile use {name}")),
            });
        }
        self.open(name, true)?;
        self.common.note("create-profile", Some(name))
    }

    /// Makes a profile the one in use.
    ///
    /// # Errors
    /// No such profile; the file that says so cannot be written.
    pub fn choose(&self, name: &str) -> Result<(), ErrorReply> {
        // Held while one looks: it must not be deleted meanwhile.
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.exists(name)? {
            return Err(unknown(name));
        }
        paths::write_private(&self.common.home.profile_in_use(), format!("{name}\n").as_bytes())
            .map_err(|error| path_error(&error))?;
        *in_use = name.into();
        drop(in_use);
        self.common.note("use-profile", Some(name))
    }

    /// Deletes a profile with everything in it.
    ///
    /// # Errors
    /// No such profile; the default one, the one in use, one with a run or a login under way; files that
    /// cannot be removed.
    pub fn delete(&self, name: &str) -> Result<(), ErrorReply> {
        if !self.exists(name)? {
            return Err(unknown(name));
        }
        if name == DEFAULT_PROFILE {
            return Err(usage("the default profile cannot be deleted".to_owned(), None));
        }
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = self.slot(name);
        let mut slot = lock(&slot);
        // Under the lock: nobody makes it the one in use, or opens it, from here on.
        let in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if &**in_use == name {
            return Err(usage(
                format!("{name} is the profile in use"),
                Some(format!("authsome profile use {DEFAULT_PROFILE}")),
            ));
        }
        if let Some(broker) = slot.take()
            && let Err(broker) = Arc::try_unwrap(broker).map(drop)
        {
            *slot = Some(broker);
            return Err(ErrorReply {
                kind: ErrorKind::Failed,
                message: format!("a run or a login of profile {name} is under way"),
                hint: Some("end it, then try again".to_owned()),
            });
        }
        // Not deleted unless it is on record.
        self.common.note("delete-profile", Some(name))?;
        let directory = self.common.home.profile(name).map_err(|error| path_error(&error))?;
        let doomed = self.common.home.profiles().join(format!("{DELETED}{name}"));
        let failed = |error: &io::Error| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("cannot delete {}: {error}", directory.display()),
            hint: None,
        };
        // In one step: what a crash leaves is a profile, or nothing that is taken for one.
        let _ = fs::remove_dir_all(&doomed);
        fs::rename(&directory, &doomed).map_err(|error| failed(&error))?;
        drop(in_use);
        fs::remove_dir_all(&doomed).map_err(|error| failed(&error))
    }

    /// Is there a profile of this name? An error if there cannot be.
    fn exists(&self, name: &str) -> Result<bool, ErrorReply> {
        let vault = self.common.home.vault(name).map_err(|error| bad_name(&error))?;
        Ok(name == DEFAULT_PROFILE || SledVault::exists(&vault))
    }

    fn open(&self, name: &str, create: bool) -> Result<Arc<Broker>, ErrorReply> {
        // Clients may ask for any name: nothing is kept for one there is not.
        if !create && !self.slots().contains_key(name) && !self.exists(name)? {
            return Err(unknown(name));
        }
        if let Some(broker) = &*lock(&self.slot(name)) {
            return Ok(Arc::clone(broker));
        }
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.fill(name, create)
    }

    /// Opens a profile if it is not open. The caller holds the gate.
    fn fill(&self, name: &str, create: bool) -> Result<Arc<Broker>, ErrorReply> {
        let slot = self.slot(name);
        let mut slot = lock(&slot);
        if let Some(broker) = &*slot {
            return Ok(Arc::clone(broker));
        }
        // Deleted while one waited.
        if !create && !self.exists(name)? {
            return Err(unknown(name));
        }
        let broker = Broker::open(&self.common, name)?;
        *slot = Some(Arc::clone(&broker));
        Ok(broker)
    }

    fn slot(&self, name: &str) -> Slot {
        Arc::clone(self.slots().entry(name.to_owned()).or_default())
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vaults of a home, which one key opens.
pub(super) fn vaults(home: &Home) -> Vec<PathBuf> {
    names(home).iter().filter_map(|name| home.vault(name).ok()).collect()
}

/// Names of the profiles that have a vault.
fn names(home: &Home) -> Vec<String> {
    let Ok(directories) = fs::read_dir(home.profiles()) else { return Vec::new() };
    directories
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| home.vault(name).is_ok_and(|vault| SledVault::exists(&vault)))
        .collect()
}

/// Removes what deletions that were cut short have left.
fn sweep(home: &Home) {
    let Ok(directories) = fs::read_dir(home.profiles()) else { return };
    for entry in directories.flatten() {
        if entry.file_name().to_string_lossy().starts_with(DELETED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "a deleted profile's files are still there");
        }
    }
}

/// What `profile use` said last, if it can be read and is a name.
fn read_in_use(home: &Home) -> Option<String> {
    let file = match paths::open_private(&home.profile_in_use()) {
        Ok(file) => file?,
        Err(error) => {
            tracing::warn!(%error, "the profile in use is not known");
            return None;
        }
    };
    let mut name = String::new();
    file.take(LONGEST_NAME).read_to_string(&mut name).ok()?;
    let name = name.trim();
    home.vault(name).ok().map(|_| name.to_owned())
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Arc<Broker>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(name: &str) -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::NotFound,
        message: format!("there is no profile {name}"),
        hint: Some(format!("authsome profile create {name}")),
    }
}

fn usage(message: String, hint: Option<String>) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message, hint }
}

fn bad_name(error: &paths::Error) -> ErrorReply {
    usage(error.to_string(), error.hint())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::broker::testing;

    fn home(directory: &Path) -> Home {
        Home::for_user(directory, |_| None).unwrap()
    }

    #[test]
    fn two_profiles_keep_their_connections_apart() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        testing::connect(&profiles.get(Some("work")).unwrap(), "openai");
        assert!(profiles.get(None).unwrap().connections(None).unwrap().is_empty());
        assert_eq!(profiles.get(Some("work")).unwrap().connections(None).unwrap().len(), 1);
        assert_eq!(profiles.all().unwrap().len(), 2);
    }

    #[test]
    fn the_profile_in_use_is_remembered() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        assert_eq!(&*profiles.in_use(), DEFAULT_PROFILE);
        profiles.create("work").unwrap();
        profiles.choose("work").unwrap();
        assert_eq!(&**profiles.get(None).unwrap().profile(), "work");
        assert_eq!(&*Profiles::new(&stage.common).in_use(), "work");
    }

    #[test]
    fn a_profile_that_is_not_there_is_not_made_by_asking_for_it() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        for kind in [
            profiles.get(Some("wrok")).unwrap_err().kind,
            profiles.choose("wrok").unwrap_err().kind,
            profiles.delete("wrok").unwrap_err().kind,
        ] {
            assert_eq!(kind, ErrorKind::NotFound);
        }
        assert_eq!(profiles.names(), [DEFAULT_PROFILE]);
        assert!(profiles.slots().is_empty(), "a name was kept");
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        for name in ["", "..", "a/b", ".deleted-x"] {
            assert_eq!(profiles.create(name).unwrap_err().kind, ErrorKind::Usage, "{name}");
            assert_eq!(profiles.delete(name).unwrap_err().kind, ErrorKind::Usage, "{name}");
        }
    }

    #[test]
    fn the_default_profile_and_the_one_in_use_stay() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        profiles.choose("work").unwrap();
        assert_eq!(profiles.delete(DEFAULT_PROFILE).unwrap_err().kind, ErrorKind::Usage);
        assert_eq!(profiles.delete("work").unwrap_err().kind, ErrorKind::Usage);
    }

    #[test]
    fn a_profile_somebody_works_with_stays() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        let held = profiles.get(Some("work")).unwrap();
        assert_eq!(profiles.delete("work").unwrap_err().kind, ErrorKind::Failed);
        drop(held);
        profiles.delete("work").unwrap();
        assert_eq!(profiles.names(), [DEFAULT_PROFILE]);
        assert_eq!(profiles.get(Some("work")).unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn a_deleted_profile_leaves_nothing_and_can_be_made_anew() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        testing::connect(&profiles.get(Some("work")).unwrap(), "openai");
        profiles.delete("work").unwrap();
        assert!(!home(stage.directory.path()).profile("work").unwrap().exists());
        profiles.create("work").unwrap();
        assert!(profiles.get(Some("work")).unwrap().connections(None).unwrap().is_empty());
    }

    #[test]
    fn what_a_deletion_cut_short_has_left_is_removed_at_the_next_start() {
        let stage = testing::Stage::new();
        let left = home(stage.directory.path()).profiles().join(format!("{DELETED}work/vault"));
        fs::create_dir_all(&left).unwrap();
        drop(Profiles::new(&stage.common));
        assert!(!left.exists());
    }

    #[test]
    fn a_profile_that_exists_is_not_made_again() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        assert_eq!(profiles.create("work").unwrap_err().kind, ErrorKind::Exists);
        assert_eq!(profiles.create(DEFAULT_PROFILE).unwrap_err().kind, ErrorKind::Exists);
    }

    #[test]
    fn definitions_that_change_reach_every_open_profile() {
        let stage = testing::Stage::new();
        let profiles = Profiles::new(&stage.common);
        profiles.create("work").unwrap();
        let work = profiles.get(Some("work")).unwrap();
        testing::connect(&work, "openai");
        let definition = home(stage.directory.path()).providers().join("openai.toml");
        paths::create_private_dir(definition.parent().unwrap()).unwrap();
        let text = "name = \"openai\"\ndisplay_name = \"O\"\nauth_type = \"api_key\"\n\
                    hosts = [\"elsewhere.example\"]\n[[fields]]\nname = \"api_key\"\n\
                    label = \"Key\"\n[[inject]]\nkind = \"bearer\"\n";
        paths::write_private(&definition, text.as_bytes()).unwrap();
        profiles.get(None).unwrap().reload_providers().unwrap();
        assert!(work.snapshot().routes().claims("elsewhere.example"));
    }
}
