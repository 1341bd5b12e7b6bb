//! Keeps the home where it is for as long as anything could move it away.
//!
//! A run's namespace covers the home, and whatever that directory is moved to by its agent stays
//! covered in it. The *next* run would cover what the path names then, and leave the vault open beside
//! it. So the daemon, which no agent can end, holds the directory itself: while a run is open it puts
//! it back, and where it cannot, no run begins. And since a client finds a daemon by the path too, the
//! path is claimed by a name that no agent can reach (an abstract socket of the host's network
//! namespace, unix(7); on macOS one in a directory of the system's): a daemon that is started beside a home that was moved away learns of it there.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use netns::DirectoryId;
use rustix::process::getuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    peer,
    system::{bind_name, connect_name},
};
use crate::{
    paths::{Anchor, Home, Watch},
    protocol::{ErrorKind, ErrorReply},
};

/// How long the daemon that has the path may take to say how it is.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// A move this soon after a run's end was still the agent's: its connection and its processes do not
/// end in the same moment.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A claim to a home's path.
#[derive(Debug)]
pub(super) struct Claim {
    /// None where the name is another user's, which is no reason not to serve, or not to be trusted.
    listener: Option<UnixListener>,
}

/// What the daemon that has a path says to one that is started for it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The home is in its place, or is to be soon: no other daemon is needed.
    Serving,
    /// The home is no longer there, and nobody moved it from inside a run: it goes.
    Leaving,
    /// An agent has moved it.
    Moved(ErrorReply),
}

/// What came of a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    /// The path is ours.
    Ours(Claim),
    /// Another daemon has it.
    Taken,
}

impl Claim {
    /// No claim: where agents share the network namespace, they could make it before us, and lie.
    pub(super) fn none() -> Self {
        Self { listener: None }
    }

    /// Claims the home's path for this process.
    ///
    /// # Errors
    /// The home was moved by an agent, says the daemon that has it.
    pub(super) fn take(home: &Home) -> Result<Claimed, ErrorReply> {
        let taken = |error: &io::Error| ErrorReply {
            kind: ErrorKind::Unavailable,
            message: format!("cannot start the daemon: its claim to the home: {error}"),
            hint: None,
        };
        let name = name(home.root());
        match bind_name(&name) {
            Ok(listener) => {
                listener.set_nonblocking(true).map_err(|error| taken(&error))?;
                return Ok(Claimed::Ours(Self { listener: Some(listener) }));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(taken(&error)),
        }
        // Whoever has it may be ending, or not be listening yet.
        let Ok(stream) = connect_name(&name) else { return Ok(Claimed::Taken) };
        if !peer::is_own(&stream) {
            tracing::warn!("another user has the name that claims this home");
            return Ok(Claimed::Ours(Self { listener: None }));
        }
        let _ = stream.set_read_timeout(Some(ANSWER_LIMIT));
        let mut line = String::new();
        let _ = BufReader::new(stream).read_line(&mut line);
        match serde_json::from_str(&line) {
            Ok(Answer::Moved(error)) => Err(error),
            Ok(Answer::Serving | Answer::Leaving) | Err(_) => Ok(Claimed::Taken),
        }
    }
}

/// The home that is held.
#[derive(Debug)]
pub(super) struct Hold {
    anchor: Anchor,
    home: Home,
    claim: Claim,
    watch: Watch,
    /// It was moved while a run was open, and could not be put back.
    taken_away: AtomicBool,
    /// When the last run ended.
    last_end: Mutex<Option<Instant>>,
}

impl Hold {
    pub(super) fn new(home: &Home, claim: Claim) -> io::Result<Self> {
        let anchor = Anchor::new(home.root())?;
        let watch = anchor.watch()?;
        let last_end = Mutex::new(None);
        Ok(Self { anchor, home: home.clone(), claim, watch, taken_away: false.into(), last_end })
    }

    /// Becomes readable when the home is moved.
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Becomes readable when another daemon is started for the path.
    pub(super) fn claim(&self) -> Option<&UnixListener> {
        self.claim.listener.as_ref()
    }

    /// Which directory the path must lead to; puts it back if `open`, that is, while a run is open.
    ///
    /// # Errors
    /// It leads elsewhere.
    pub(super) fn check(&self, open: bool) -> Result<DirectoryId, ErrorReply> {
        self.watch.drain();
        if !self.anchor.is_in_place() {
            self.put_back(open)?;
        }
        self.taken_away.store(false, Ordering::Release);
        let (device, inode) = self.anchor.number();
        Ok(DirectoryId { device, inode })
    }

    fn put_back(&self, open: bool) -> Result<(), ErrorReply> {
        let ended = *self.last_end.lock().unwrap_or_else(PoisonError::into_inner);
        let agents = open || ended.is_some_and(|ended| ended.elapsed() < AFTERMATH);
        if !agents && !self.taken_away.load(Ordering::Acquire) {
            return Err(self.moved(None));
        }
        let place = self.anchor.place().unwrap_or_default();
        match self.anchor.put_back() {
            Ok(()) => {
                tracing::warn!(from = %place.display(), "an agent moved the home: put back");
                Ok(())
            }
            Err(error) => {
                if !self.anchor.is_deleted() {
                    self.taken_away.store(true, Ordering::Release);
                }
                tracing::error!(%error, to = %place.display(), "an agent moved the home");
                Err(self.moved(Some(&error)))
            }
        }
    }

    /// The last thing that a run does, whose agent is gone.
    pub(super) fn run_ended(&self) {
        // Its failure has been logged, and the next run will be told.
        let _ = self.check(true);
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Answers a daemon that was started for the same path. True if this one is to end: its home has
    /// been removed, or moved by a user who had no run open.
    pub(super) fn answer(&self, open: bool) -> bool {
        let Some(Ok((mut stream, _))) = self.claim.listener.as_ref().map(UnixListener::accept)
        else {
            return false;
        };
        if !peer::is_own(&stream) {
            return false;
        }
        let answer = match self.check(open) {
            Ok(_) => Answer::Serving,
            Err(error) if self.taken_away.load(Ordering::Acquire) => Answer::Moved(error),
            Err(_) => Answer::Leaving,
        };
        let _ = stream.set_nonblocking(true);
        if let Ok(mut line) = serde_json::to_vec(&answer) {
            line.push(b'\n');
            let _ = stream.write_all(&line);
        }
        matches!(answer, Answer::Leaving)
    }

    fn moved(&self, error: Option<&io::Error>) -> ErrorReply {
        let path = self.home.root().display();
        let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
        let place = self.anchor.place().ok().filter(|_| !self.anchor.is_deleted());
        let (message, hint) = match place {
            Some(place) => (
                format!("the home was moved: {path} is now {}{why}", place.display()),
                format!("move {path} away if it exists, then: mv {} {path}", place.display()),
            ),
            None => (
                format!("the home was moved or removed: {path} is another directory{why}"),
                format!("authsome daemon stop, or end process {}", std::process::id()),
            ),
        };
        ErrorReply { kind: ErrorKind::Unavailable, message, hint: Some(hint) }
    }
}

/// A name for the user and the path.
fn name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let short = digest.get(..16).map(hex::encode).unwrap_or_default();
    format!("authsome-home-{}-{short}", getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scene {
        root: tempfile::TempDir,
        hold: Hold,
    }

    impl Scene {
        fn new() -> Self {
            Self::at(tempfile::tempdir().unwrap())
        }

        fn at(root: tempfile::TempDir) -> Self {
            let home = home(root.path());
            home.ensure().unwrap();
            let Claimed::Ours(claim) = Claim::take(&home).unwrap() else { panic!("taken") };
            Self { hold: Hold::new(&home, claim).unwrap(), root }
        }

        /// With a link in the home's place.
        fn linked() -> Self {
            let root = tempfile::tempdir().unwrap();
            crate::paths::create_private_dir(&root.path().join("real")).unwrap();
            std::os::unix::fs::symlink("real", root.path().join("home")).unwrap();
            Self::at(root)
        }

        fn move_away(&self) {
            fs::rename(self.root.path().join("home"), self.root.path().join("away")).unwrap();
        }

        /// What a second daemon is told while this one answers.
        fn second(&self, open: bool) -> (Result<Claimed, ErrorReply>, bool) {
            let home = home(self.root.path());
            let asking = std::thread::spawn(move || Claim::take(&home));
            let listener = self.hold.claim().unwrap();
            let mut waiting = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut waiting, None).unwrap();
            let leaves = self.hold.answer(open);
            (asking.join().unwrap(), leaves)
        }
    }

    fn home(root: &Path) -> Home {
        Home::for_user(root, |name| {
            (name == "AUTHSOME_HOME").then(|| root.join("home").into_os_string())
        })
        .unwrap()
    }

    #[test]
    fn what_an_agent_moves_is_put_back() {
        let scene = Scene::new();
        scene.move_away();
        scene.hold.check(true).unwrap();
        assert!(scene.root.path().join("home").exists());
        assert!(!scene.root.path().join("away").exists());
    }

    #[test]
    fn what_the_user_moves_stays_and_no_run_begins() {
        let scene = Scene::new();
        scene.move_away();
        let error = scene.hold.check(false).unwrap_err();
        assert!(error.message.contains("the home was moved: "), "{}", error.message);
        assert!(error.hint.unwrap().contains("/away "));
        assert!(scene.root.path().join("away").exists());
    }

    #[test]
    fn a_second_daemon_is_needed_only_when_the_user_moved_the_home() {
        let scene = Scene::new();
        let (second, leaves) = scene.second(false);
        assert!(matches!(second, Ok(Claimed::Taken)) && !leaves);
        scene.move_away();
        let (second, leaves) = scene.second(false);
        assert!(matches!(second, Ok(Claimed::Taken)) && leaves);
    }

    #[test]
    fn a_second_daemon_learns_that_an_agent_took_the_home_away() {
        let scene = Scene::linked();
        // What leads to it is a link, which is not ours to make again.
        let path = scene.root.path().join("home");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(scene.hold.check(true).is_err());
        let (second, leaves) = scene.second(false);
        assert!(second.unwrap_err().message.contains("the home was moved"));
        assert!(!leaves);
    }
}
