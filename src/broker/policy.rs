//! The user's policy as it is at any moment.
//!
//! A thread looks at the directory and reads it again when something in it has changed: editors replace
//! files by renaming, sync tools replace directories, and looking finds out about all of it. A new policy
//! takes the place of the old one whole. One that cannot be used does so too: then everything is denied,
//! and never decided by what was there before.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use crate::{
    gate::Denial,
    limits::{self, Limits},
    paths,
    policy::{self, LimitRule, Policy, Quota, RULES_FILE, Verdict},
    protocol::{ErrorKind, ErrorReply, chain},
};

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long it must stay as it is before it is read: several files may be saved at once.
const SETTLE: Duration = Duration::from_millis(50);
/// Looks that find another change each, before it is read all the same.
const SETTLES: usize = 20;
/// A file that was changed so shortly before it was read may change again without looking different.
const FRESH: Duration = Duration::from_secs(1);

/// Why there is no policy, and so no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyProblem {
    /// What is wrong, with its place.
    pub message: String,
    /// What would mend it.
    pub hint: Option<String>,
}

impl PolicyProblem {
    fn new(error: &policy::Error) -> Self {
        Self { message: chain(error), hint: error.hint() }
    }

    /// What every request is answered.
    #[must_use]
    pub fn denial(&self) -> Denial {
        Denial {
            code: "policy-invalid",
            reason: format!("nothing is allowed while the policy has an error: {}", self.message),
            hint: Some("authsome policy check".to_owned()),
            status: 403,
        }
    }

    /// For those who ask how the broker is.
    #[must_use]
    pub fn reply(&self) -> ErrorReply {
        ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("every request is denied: {}", self.message),
            hint: self.hint.clone().or_else(|| Some("authsome policy check".to_owned())),
        }
    }
}

/// A policy, or why there is none.
pub type Current = Result<Arc<Policy>, Arc<PolicyProblem>>;

/// The policy of a home, kept up to date.
#[derive(Debug)]
pub struct LivePolicy {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// Counts by the limits of whatever was read last.
    limits: Arc<Limits>,
    current: Mutex<Current>,
    /// What was there when it was read; also taken by who writes.
    seen: Mutex<Seen>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl LivePolicy {
    /// Reads the directory, and goes on looking at it. One that cannot be used is no error here: it
    /// denies.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the thread cannot be started.
    pub fn open(directory: PathBuf, limits: &Arc<Limits>) -> Result<Self, ErrorReply> {
        // Looked at before it is read: what changes while it is read is another change.
        let seen = Seen::of(&directory);
        let shared = Arc::new(Shared {
            current: Mutex::new(load(&directory, limits)),
            limits: Arc::clone(limits),
            seen: Mutex::new(seen),
            directory,
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        let looking = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("policy".to_owned())
            .spawn(move || looking.watch())
            .map_err(|error| ErrorReply::caused(ErrorKind::Unavailable, &error, None))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The policy, or why there is none.
    #[expect(clippy::missing_errors_doc, reason = "the error is the other answer")]
    pub fn current(&self) -> Current {
        lock(&self.shared.current).clone()
    }

    /// Looks at the directory now. A run that begins after a file was saved is decided about by what was
    /// saved, not for half a second by what was there before.
    pub fn look(&self) {
        self.shared.look();
    }

    /// Adds a `[[rule]]` to `policy.toml`, of which nothing else changes, and decides by it from now on.
    /// A rule that is there already is not added again.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`] if the file cannot be read or written, or would not be a policy then.
    pub fn append_rule(&self, rule: &str) -> Result<(), ErrorReply> {
        let seen = lock(&self.shared.seen);
        append(&self.shared.directory, rule)?;
        self.shared.read(seen);
        Ok(())
    }
}

impl Drop for LivePolicy {
    fn drop(&mut self) {
        *lock(&self.shared.ended) = true;
        self.shared.end.notify_all();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _: thread::Result<()> = thread.join();
        }
    }
}

impl Shared {
    fn watch(&self) {
        let mut ended = lock(&self.ended);
        while !*ended {
            let waited = self.end.wait_timeout(ended, LOOK);
            ended = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !*ended {
                drop(ended);
                self.look();
                ended = lock(&self.ended);
            }
        }
    }

    /// Reads the directory if it is not as it was.
    fn look(&self) {
        let mut now = Seen::of(&self.directory);
        let seen = lock(&self.seen);
        if now == *seen && !seen.is_fresh() {
            return;
        }
        // Who writes need not wait for what is written elsewhere.
        drop(seen);
        for _ in 0..SETTLES {
            thread::sleep(SETTLE);
            let next = Seen::of(&self.directory);
            if next == now {
                break;
            }
            now = next;
        }
        self.read(lock(&self.seen));
    }

    fn read(&self, mut seen: MutexGuard<'_, Seen>) {
        // As in `open`, looked at before it is read.
        *seen = Seen::of(&self.directory);
        let next = load(&self.directory, &self.limits);
        if let Err(problem) = &next
            && lock(&self.current).as_ref().err() != Some(problem)
        {
            tracing::error!(problem = problem.message, "the policy cannot be used: all is denied");
        }
        *lock(&self.current) = next;
    }
}

fn load(directory: &Path, limits: &Limits) -> Current {
    let policy = Policy::load(directory).map_err(|error| Arc::new(PolicyProblem::new(&error)))?;
    limits.set_rules(policy.limits().iter().map(limit));
    Ok(Arc::new(policy))
}

/// A limit as it is counted.
fn limit(rule: &LimitRule) -> limits::Rule {
    let (requests, bytes) = match rule.quota() {
        Quota::Requests(number) => (Some(number), None),
        Quota::Bytes(number) => (None, Some(number)),
    };
    let scope = limits::Scope {
        agents: rule.agents().map(str::to_owned).collect(),
        providers: rule.providers().map(str::to_owned).collect(),
        connections: rule.connections().map(str::to_owned).collect(),
        hosts: rule.hosts().map(str::to_owned).collect(),
        seconds: rule.per().as_secs(),
    };
    limits::Rule { id: Arc::clone(rule.id()), scope, requests, bytes }
}

/// What a directory looks like from outside.
#[derive(Debug, Default)]
struct Seen {
    files: Vec<(PathBuf, Look)>,
    error: Option<io::ErrorKind>,
    at: Option<SystemTime>,
}

/// What a file looks like: a change changes one of these.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files && self.error == other.error
    }
}

impl Seen {
    fn of(directory: &Path) -> Self {
        let mut seen = Self { at: Some(SystemTime::now()), ..Self::default() };
        if let Err(error) = seen.take(directory) {
            seen.error = Some(error.kind());
        }
        seen.files.sort_by(|(one, _), (other, _)| one.cmp(other));
        seen
    }

    fn take(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            // What a link leads to, if it leads anywhere: editors have links that do not.
            let found = fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path));
            let Ok(found) = found else { continue };
            let look = Look {
                inode: found.ino(),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            };
            self.files.push((path, look));
        }
        Ok(())
    }

    /// Was something changed so shortly before that another change may look the same?
    fn is_fresh(&self) -> bool {
        let Some(at) = self.at else { return true };
        let seconds = |at: SystemTime| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_secs()).ok()
        };
        let limit = at.checked_sub(FRESH).and_then(seconds).unwrap_or_default();
        // A time still to come is one that a clock set back has left behind: it will differ from the next.
        let fresh = limit..=seconds(at).unwrap_or(i64::MAX);
        self.files.iter().any(|(_, look)| fresh.contains(&look.changed.0))
    }
}

/// Adds a rule at the end of the file: there it changes nothing that a person wrote.
fn append(directory: &Path, rule: &str) -> Result<(), ErrorReply> {
    let failed = |error: &dyn std::error::Error, hint| ErrorReply {
        kind: ErrorKind::Failed,
        message: format!("the rule cannot be added: {}", chain(error)),
        hint,
    };
    paths::create_private_dir(directory).map_err(|error| failed(&error, error.hint()))?;
    let named = directory.join(RULES_FILE);
    // A file that is kept elsewhere stays there.
    let file = fs::canonicalize(&named).unwrap_or(named);
    let mut text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let policy = Policy::load(directory).map_err(|error| failed(&error, error.hint()))?;
            new_rules(policy.default_verdict())
        }
        Err(error) => return Err(failed(&error, None)),
    };
    let rule = rule.trim();
    // Whole tables are compared: the beginning of another rule is not this one.
    if text.split("[[").any(|table| rule.strip_prefix("[[") == Some(table.trim_end())) {
        return Ok(());
    }
    if !text.is_empty() {
        text.truncate(text.trim_end().len());
        text.push_str("\n\n");
    }
    text.push_str(rule);
    text.push('\n');
    Policy::parse_rules(&file, &text).map_err(|error| failed(&error, error.hint()))?;
    paths::write_private(&file, text.as_bytes()).map_err(|error| failed(&error, error.hint()))
}

/// A file of rules that changes nothing where there was none: with one, the default is to allow, which it
/// is not where there are files in Cedar's language only.
fn new_rules(default: Verdict) -> String {
    match default {
        Verdict::Allow => String::new(),
        Verdict::Ask | Verdict::Deny => format!("default = \"{}\"\n", default.as_str()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
