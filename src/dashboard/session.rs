//! Who is signed in: tokens of browsers that came in by a link, as hashes, in memory and in a file.
//!
//! Knows no HTTP, and no clock but the one it is given. The file outlives the daemon, so it is
//! wall-clock time that counts. A file that cannot be read signs everybody out; one that cannot be
//! written is an error of whoever needed it written.

use std::{
    collections::HashMap,
    io::Read as _,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::token::{self, Digest};
use crate::paths;

/// A session nobody uses ends after this long.
const IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// Every session ends after this long.
pub(super) const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How far the file may be behind on when a session was last used.
const STALE: Duration = Duration::from_secs(10 * 60);
/// Sessions at once; the one unused for longest gives way.
const MAX: usize = 32;
/// Largest file that is read.
const MAX_FILE: u64 = 64 * 1024;

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    file: PathBuf,
    open: Mutex<HashMap<Digest, Times>>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    writing: Mutex<()>,
}

#[derive(Clone, Debug)]
struct Times {
    /// The profile it is for; none: the one in use, for sessions of a time before there were several.
    profile: Option<Arc<str>>,
    opened: SystemTime,
    used: SystemTime,
    /// What the file says of `used`.
    written: SystemTime,
}

impl Times {
    fn are_over(&self, now: SystemTime) -> bool {
        // A clock that was set back makes an age of zero.
        let age = |since| now.duration_since(since).unwrap_or_default();
        age(self.opened) >= LIFE || age(self.used) >= IDLE
    }
}

/// A session as it lies in the file. Times are seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<Arc<str>>,
    opened: u64,
    used: u64,
}

impl Sessions {
    /// Those that the file knows and that are not over.
    pub(super) fn load(file: PathBuf, now: SystemTime) -> Self {
        let records = read(&file).unwrap_or_else(|error| {
            tracing::warn!(error, "the dashboard's sessions are lost");
            Vec::new()
        });
        let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let open = records
            .into_iter()
            .filter_map(|record| {
                let used = time(record.used)?;
                let (opened, profile) = (time(record.opened)?, record.profile);
                let times = Times { profile, opened, used, written: used };
                (!times.are_over(now)).then_some((Digest::from_hex(&record.sha256)?, times))
            })
            .collect();
        Self { file, open: Mutex::new(open), writing: Mutex::default() }
    }

    /// Opens one for a profile: its token. To be saved afterwards.
    pub(super) fn open(
        &self,
        profile: Arc<str>,
        now: SystemTime,
    ) -> Result<String, getrandom::Error> {
        let token = token::random()?;
        let mut open = self.lock();
        open.retain(|_, times| !times.are_over(now));
        if open.len() >= MAX
            && let Some(oldest) = open.iter().min_by_key(|(_, times)| times.used).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        let profile = Some(profile);
        open.insert(Digest::of(&token), Times { profile, opened: now, used: now, written: now });
        Ok(token)
    }

    /// Is it a session's token? Using it keeps the session alive. Says which profile it is for, too.
    pub(super) fn visit(&self, token: &str, now: SystemTime) -> Option<(Digest, Option<Arc<str>>)> {
        let id = Digest::of(token);
        let mut open = self.lock();
        let times = open.get_mut(&id)?;
        if times.are_over(now) {
            open.remove(&id);
            return None;
        }
        times.used = now;
        Some((id, times.profile.clone()))
    }

    /// Is this session still open? Does not keep it alive.
    pub(super) fn is_open(&self, id: &Digest, now: SystemTime) -> bool {
        self.lock().get(id).is_some_and(|times| !times.are_over(now))
    }

    /// Ends a session. To be saved afterwards.
    pub(super) fn close(&self, id: &Digest) {
        self.lock().remove(id);
    }

    /// Is the file so old that a restart would end a session too early?
    pub(super) fn is_stale(&self) -> bool {
        let behind = |times: &Times| times.used.duration_since(times.written).unwrap_or_default();
        self.lock().values().any(|times| behind(times) >= STALE)
    }

    /// Writes the file. Blocks until it is on disk.
    ///
    /// # Errors
    /// As [`paths::write_private`].
    pub(super) fn save(&self) -> paths::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let records: Vec<_> = self
            .lock()
            .iter_mut()
            .map(|(id, times)| {
                times.written = times.used;
                let (opened, used) = (seconds(times.opened), seconds(times.used));
                Record { sha256: id.to_hex(), profile: times.profile.clone(), opened, used }
            })
            .collect();
        // Strings and numbers always become JSON.
        let bytes = serde_json::to_vec(&records).unwrap_or_default();
        paths::write_private(&self.file, &bytes)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Times>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &std::path::Path) -> Result<Vec<Record>, String> {
    let Some(file) = paths::open_private(path).map_err(|error| error.to_string())? else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn start() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn sessions(directory: &tempfile::TempDir) -> Sessions {
        Sessions::load(directory.path().join("sessions"), start())
    }

    #[test]
    fn an_unused_session_ends_after_twelve_hours() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let token = sessions.open("default".into(), start()).unwrap();
        let almost = start() + IDLE - Duration::from_secs(1);
        assert!(sessions.visit(&token, almost).is_some());
        assert!(sessions.visit(&token, almost + IDLE).is_none());
        assert!(sessions.visit(&token, start()).is_none(), "an ended session came back");
    }

    #[test]
    fn a_used_session_ends_after_seven_days() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let token = sessions.open("default".into(), start()).unwrap();
        let mut now = start();
        while now < start() + LIFE {
            assert!(sessions.visit(&token, now).is_some());
            now += IDLE / 2;
        }
        assert!(sessions.visit(&token, now).is_none());
    }

    #[test]
    fn the_file_holds_no_token_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let token = sessions.open("default".into(), start()).unwrap();
        sessions.save().unwrap();
        let path = directory.path().join("sessions");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&token), "{text}");
        assert!(text.contains(&Digest::of(&token).to_hex()), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn sessions_survive_a_restart_and_closed_ones_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let before = sessions(&directory);
        let (kept, closed) = (
            before.open("default".into(), start()).unwrap(),
            before.open("default".into(), start()).unwrap(),
        );
        before.close(&Digest::of(&closed));
        before.save().unwrap();
        let after = sessions(&directory);
        assert!(after.visit(&kept, start()).is_some());
        assert!(after.visit(&closed, start()).is_none());
    }

    #[test]
    fn a_session_stays_in_its_profile_across_restarts() {
        let directory = tempfile::tempdir().unwrap();
        let before = sessions(&directory);
        let token = before.open("work".into(), start()).unwrap();
        before.save().unwrap();
        let (_, profile) = sessions(&directory).visit(&token, start()).unwrap();
        assert_eq!(profile.as_deref(), Some("work"));
    }

    #[test]
    fn a_session_of_a_time_before_profiles_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let before = sessions(&directory);
        let token = before.open("default".into(), start()).unwrap();
        before.save().unwrap();
        let path = directory.path().join("sessions");
        let text = std::fs::read_to_string(&path).unwrap();
        let old = text.replace(r#""profile":"default","#, "");
        assert_ne!(old, text);
        paths::write_private(&path, old.as_bytes()).unwrap();
        let (_, profile) = sessions(&directory).visit(&token, start()).unwrap();
        assert_eq!(profile, None);
    }

    #[test]
    fn a_damaged_file_signs_everybody_out() {
        let directory = tempfile::tempdir().unwrap();
        paths::write_private(&directory.path().join("sessions"), b"[{\"sha256\":").unwrap();
        assert!(sessions(&directory).lock().is_empty());
    }

    #[test]
    fn the_file_is_written_again_only_when_it_is_behind() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let token = sessions.open("default".into(), start()).unwrap();
        sessions.visit(&token, start() + STALE - Duration::from_secs(1));
        assert!(!sessions.is_stale());
        sessions.visit(&token, start() + STALE);
        assert!(sessions.is_stale());
        sessions.save().unwrap();
        assert!(!sessions.is_stale());
    }

    #[test]
    fn the_longest_unused_of_too_many_sessions_gives_way() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let first = sessions.open("default".into(), start()).unwrap();
        for later in 1..=MAX as u64 {
            sessions.open("default".into(), start() + Duration::from_secs(later)).unwrap();
        }
        assert!(sessions.visit(&first, start()).is_none());
        assert_eq!(sessions.lock().len(), MAX);
    }
}
