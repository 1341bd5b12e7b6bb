//! What a line of the log says.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

/// Longest path kept, in bytes: of a request, and of a program, whose end is kept.
const PATH_MAX: usize = 2048;

/// Longest of the other texts, in bytes. Host names have at most 253; methods are as long as an agent
/// likes.
const TEXT_MAX: usize = 256;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One HTTP request.
    Request,
    /// One connection passed through undecrypted.
    Splice,
    /// One connection closed without a request.
    Connection,
    /// A use of the vault.
    Vault,
    /// Beginning or end of a run.
    Run,
    /// A person's answer about a request that waited for it.
    Ask,
    /// The daemon itself.
    Daemon,
    /// The log itself.
    Log,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Request,
        Self::Splice,
        Self::Connection,
        Self::Vault,
        Self::Run,
        Self::Ask,
        Self::Daemon,
        Self::Log,
    ];

    /// As a line spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Splice => "splice",
            Self::Connection => "connection",
            Self::Vault => "vault",
            Self::Run => "run",
            Self::Ask => "ask",
            Self::Daemon => "daemon",
            Self::Log => "log",
        }
    }
}

/// One thing that happened. Make one with [`Event::new`] and fill in what there is; nothing is
/// formatted before the writing thread has it.
///
/// The strings are escaped by JSON, so that no value can begin a line or steer a terminal. They are
/// bounded when written (`path` and `executable` 2048 bytes, others 256); `cut` then names what was
/// shortened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened; for a request, when it began.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// What it is about.
    pub kind: Kind,
    /// Profile whose connections are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Arc<str>>,
    /// Id of the run; the `jti` of its principal chain token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Arc<str>>,
    /// Agent identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// User the agent acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// Process id of who asked, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<u32>,
    /// Path of the program that process runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<Arc<str>>,
    /// What was done: `get`, `put`, `delete`, `export`, `login`, `open`, `close`, `start`,
    /// `approve-once`, `approve-run`, `approve-always`, `deny`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'static, str>>,
    /// By which way a person did it: `cli` or `dashboard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Cow<'static, str>>,
    /// `provider/connection` whose credential was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Arc<str>>,
    /// Request method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'static, str>>,
    /// Host it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// Port it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Path without the query: what follows a `?` is never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Cow<'static, str>>,
    /// `forward`, `inject`, `splice`, `answer` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Cow<'static, str>>,
    /// Id of the policy that decided, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<str>>,
    /// Status the agent got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Code of the denial or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
    /// Body or tunnel bytes from the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Body or tunnel bytes to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// Milliseconds from `time` until the last byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What a crash left behind, in a `recovered` line of the log about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
    /// How many events were lost while the log could not be written, in a `lost` line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Which lines went with the oldest files, in a `deleted` line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Box<Deleted>>,
    /// The signature that ends a file, in a `sealed` line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<Checkpoint>>,
    /// Members that were longer than the log keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<Cow<'static, str>>,
}

/// Bytes at the end of the log that are no line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// How many, without the line feed that ended them.
    pub bytes: u64,
    /// SHA-256 of them, hexadecimal.
    pub sha256: String,
}

/// The oldest files of the log, which its owner did not want to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Number of the last line that went.
    pub through: u64,
    /// Its hash: the `prev` of what is the first line now.
    pub hash: String,
    /// How many files.
    pub files: u64,
}

/// A signature over the line before (see [`super`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Ed25519 public key, hexadecimal.
    pub key: String,
    /// Ed25519 signature, hexadecimal.
    pub signature: String,
}

impl Event {
    /// An event of this kind, now, with nothing else said.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            time: SystemTime::now(),
            kind,
            profile: None,
            run: None,
            agent: None,
            user: None,
            process: None,
            executable: None,
            operation: None,
            by: None,
            connection: None,
            method: None,
            host: None,
            port: None,
            path: None,
            decision: None,
            policy: None,
            status: None,
            error: None,
            bytes_sent: None,
            bytes_received: None,
            duration_ms: None,
            torn: None,
            lost: None,
            deleted: None,
            checkpoint: None,
            cut: Vec::new(),
        }
    }

    /// Something that happened to the log itself.
    pub(super) fn of_log(operation: &'static str) -> Self {
        Self { operation: Some(operation.into()), ..Self::new(Kind::Log) }
    }

    /// Shortens what is too long and drops a query.
    pub(super) fn bound(&mut self) {
        if let Some(path) = &mut self.path
            && let Some((before, _)) = path.split_once('?')
        {
            *path = Cow::Owned(before.to_owned());
        }
        let mut cut = Vec::new();
        for (name, text, max) in [
            ("operation", &mut self.operation, TEXT_MAX),
            ("by", &mut self.by, TEXT_MAX),
            ("method", &mut self.method, TEXT_MAX),
            ("path", &mut self.path, PATH_MAX),
            ("decision", &mut self.decision, TEXT_MAX),
            ("error", &mut self.error, TEXT_MAX),
        ] {
            if let Some(shorter) = text.as_deref().and_then(|text| shorten(text, max)) {
                *text = Some(Cow::Owned(shorter.to_owned()));
                cut.push(Cow::Borrowed(name));
            }
        }
        for (name, text) in [
            ("profile", &mut self.profile),
            ("run", &mut self.run),
            ("agent", &mut self.agent),
            ("user", &mut self.user),
            ("connection", &mut self.connection),
            ("policy", &mut self.policy),
            ("host", &mut self.host),
        ] {
            if let Some(shorter) = text.as_deref().and_then(|text| shorten(text, TEXT_MAX)) {
                *text = Some(Arc::from(shorter));
                cut.push(Cow::Borrowed(name));
            }
        }
        // Its end says which program it is.
        if let Some(shorter) = self.executable.as_deref().and_then(|path| end_of(path, PATH_MAX)) {
            self.executable = Some(Arc::from(shorter));
            cut.push(Cow::Borrowed("executable"));
        }
        self.cut = cut;
    }
}

/// The beginning of `text` with at most `max` bytes, if `text` has more.
fn shorten(text: &str, max: usize) -> Option<&str> {
    (text.len() > max).then(|| text.get(..text.floor_char_boundary(max)).unwrap_or_default())
}

/// The end of `text` with at most `max` bytes, if `text` has more.
fn end_of(text: &str, max: usize) -> Option<&str> {
    let over = text.len().checked_sub(max).filter(|over| *over > 0)?;
    Some(text.get(text.ceil_char_boundary(over)..).unwrap_or_default())
}

/// A line as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Format of the line.
    pub v: u32,
    /// Its number.
    pub seq: u64,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
    /// Hash of the line before.
    pub prev: String,
    /// Its own hash, as it claims; [`super::read::verify`] checks it.
    pub hash: String,
}

/// RFC 3339, UTC, milliseconds.
pub(super) mod rfc3339 {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(in crate::audit) fn serialize<S: Serializer>(
        time: &SystemTime,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        let time = Timestamp::try_from(*time).map_err(ser::Error::custom)?;
        s.collect_str(&format_args!("{time:.3}"))
    }

    pub(in crate::audit) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(d)?;
        text.parse::<Timestamp>().map(SystemTime::from).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_spelt_as_lines_spell_them() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_query_is_never_kept() {
        let mut event = Event::new(Kind::Request);
        event.path = Some("/a?token=secret".into());
        event.bound();
        assert_eq!(event.path.as_deref(), Some("/a"));
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_named() {
        let mut event = Event::new(Kind::Request);
        event.path = Some(format!("/{}", "é".repeat(2000)).into());
        event.host = Some("h".repeat(257).into());
        event.method = Some("GET".into());
        event.bound();
        assert_eq!(event.path.as_deref().map(str::len), Some(PATH_MAX - 1));
        assert_eq!(event.host.as_deref().map(str::len), Some(TEXT_MAX));
        assert_eq!(event.cut, ["path", "host"]);
    }

    #[test]
    fn of_a_long_path_of_a_program_the_end_is_kept() {
        let mut event = Event::new(Kind::Request);
        event.executable = Some(format!("/{}/curl", "é".repeat(1500)).into());
        event.bound();
        let kept = event.executable.unwrap();
        assert_eq!(kept.len(), PATH_MAX - 1);
        assert!(kept.ends_with("é/curl"));
        assert_eq!(event.cut, ["executable"]);
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let mut event = Event::new(Kind::Vault);
        event.time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        event.operation = Some("get".into());
        event.host = Some("a\u{1b}[2J\n\u{2028}é".into());
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.starts_with(r#"{"time":"2023-11-14T22:13:20.123Z","kind":"vault""#), "{text}");
        assert!(!text.contains(['\u{1b}', '\n']));
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
