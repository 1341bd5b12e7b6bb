//! Which entries are wanted. Pure; what the texts of a command line mean is here too, so that all who
//! ask mean the same.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, civil};

use super::{Entry, Kind};

/// What an entry must be, in all that is said. Nothing said: any.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Agent identity: `agent://local/NAME`, or only the `NAME`.
    pub agent: Option<String>,
    /// Id of the run, or its beginning.
    pub run: Option<String>,
    /// `provider/connection`, or only the connection's name.
    pub connection: Option<String>,
    /// Provider of the connection.
    pub provider: Option<String>,
    /// Host; `*.example.com` for all below it.
    pub host: Option<String>,
    /// A decision; `allow`: any but `deny`.
    pub decision: Option<String>,
    /// Kind.
    pub kind: Option<Kind>,
    /// Not before this.
    pub since: Option<SystemTime>,
    /// Before this.
    pub until: Option<SystemTime>,
    /// Who asked: a process id, a program's path, or its file name.
    pub process: Option<String>,
    /// Status the agent got.
    pub status: Option<StatusRange>,
}

impl Filter {
    /// Is the entry wanted?
    #[must_use]
    pub fn passes(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        let said =
            |wanted: &Option<String>, is: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(is);
        said(&self.agent, &|wanted| {
            event.agent.as_deref().is_some_and(|agent| agent == wanted || last(agent) == wanted)
        }) && said(&self.run, &|wanted| {
            event.run.as_deref().is_some_and(|run| run.starts_with(wanted))
        }) && said(&self.connection, &|wanted| {
            event.connection.as_deref().is_some_and(|name| name == wanted || last(name) == wanted)
        }) && said(&self.provider, &|wanted| {
            let provider = event.connection.as_deref().and_then(|name| name.split('/').next());
            provider == Some(wanted)
        }) && said(&self.host, &|wanted| {
            event.host.as_deref().is_some_and(|host| is_host(host, wanted))
        }) && said(&self.decision, &|wanted| {
            event.decision.as_deref().is_some_and(|decision| {
                if wanted == "allow" { decision != "deny" } else { decision == wanted }
            })
        }) && said(&self.process, &|wanted| {
            event.process.is_some_and(|process| wanted.parse() == Ok(process))
                || event
                    .executable
                    .as_deref()
                    .is_some_and(|program| program == wanted || last(program) == wanted)
        }) && self.kind.is_none_or(|kind| event.kind == kind)
            && self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time < until)
            && self
                .status
                .is_none_or(|range| event.status.is_some_and(|status| range.contains(status)))
    }
}

/// What follows the last `/`.
fn last(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

fn is_host(host: &str, wanted: &str) -> bool {
    match wanted.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => {
            let start = host.len().checked_sub(suffix.len());
            start.is_some_and(|start| {
                start > 0 && host.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            })
        }
        _ => host.eq_ignore_ascii_case(wanted),
    }
}

/// Status codes: `404`, `4xx` or `400-499`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl FromStr for StatusRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = |text: &str| {
            let code = text.parse().ok().filter(|code| (100..=999).contains(code));
            code.ok_or("expected a status such as `404`, `4xx` or `400-499`")
        };
        if let Some(class) = text.strip_suffix("xx") {
            let first = code(&format!("{class}00"))?;
            return Ok(Self { first, last: first + 99 });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { first: code(first)?, last: code(last)? })
    }
}

/// A moment: RFC 3339 (`2026-01-02T03:04:05Z`), a day (`2026-01-02`, its beginning in UTC), or how long
/// ago (`30s`, `15m`, `2h`, `7d`, `4w`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// That moment.
    At(SystemTime),
    /// This long ago.
    Ago(Duration),
}

impl Moment {
    /// The moment, `now` being now.
    #[must_use]
    pub fn resolve(self, now: SystemTime) -> SystemTime {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => {
                let time = now.checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH);
                time.max(SystemTime::UNIX_EPOCH)
            }
        }
    }
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(duration) = duration(text) {
            return Ok(Self::Ago(duration));
        }
        let day = || {
            let day: civil::Date = text.parse().ok()?;
            day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|day| day.timestamp())
        };
        let time = text.parse::<Timestamp>().ok().or_else(day);
        time.map(|time| Self::At(time.into()))
            .ok_or("expected a time such as `2h`, `7d`, `2026-01-02` or `2026-01-02T03:04:05Z`")
    }
}

fn duration(text: &str) -> Option<Duration> {
    let seconds = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: u64 = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Event;

    fn entry() -> Entry {
        let mut event = Event::new(Kind::Request);
        event.time = "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap().into();
        event.agent = Some("agent://local/builder".into());
        event.run = Some("0123456789abcdef".into());
        event.connection = Some("github/work".into());
        event.host = Some("api.github.com".into());
        event.decision = Some("inject".into());
        event.process = Some(4711);
        event.executable = Some("/usr/bin/curl".into());
        event.status = Some(404);
        Entry { v: 1, seq: 1, event, prev: String::new(), hash: String::new() }
    }

    fn passes(set: impl Fn(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        set(&mut filter);
        filter.passes(&entry())
    }

    fn text(wanted: &str) -> Option<String> {
        Some(wanted.to_owned())
    }

    #[test]
    fn each_member_is_compared_as_people_write_it() {
        let fits: [fn(&mut Filter); 14] = [
            |_| {},
            |f| f.agent = text("builder"),
            |f| f.agent = text("agent://local/builder"),
            |f| f.run = text("0123"),
            |f| f.connection = text("github/work"),
            |f| f.connection = text("work"),
            |f| f.provider = text("github"),
            |f| f.host = text("API.github.com"),
            |f| f.host = text("*.github.com"),
            |f| f.decision = text("allow"),
            |f| f.kind = Some(Kind::Request),
            |f| f.process = text("4711"),
            |f| f.process = text("curl"),
            |f| f.status = Some("4xx".parse().unwrap()),
        ];
        for (number, set) in fits.iter().enumerate() {
            assert!(passes(set), "{number}");
        }
        let misses: [fn(&mut Filter); 10] = [
            |f| f.agent = text("build"),
            |f| f.run = text("123"),
            |f| f.connection = text("github/other"),
            |f| f.provider = text("git"),
            |f| f.host = text("github.com"),
            |f| f.host = text("*.api.github.com"),
            |f| f.decision = text("deny"),
            |f| f.kind = Some(Kind::Vault),
            |f| f.process = text("471"),
            |f| f.status = Some("400-403".parse().unwrap()),
        ];
        for (number, set) in misses.iter().enumerate() {
            assert!(!passes(set), "{number}");
        }
    }

    #[test]
    fn all_that_is_said_must_fit() {
        assert!(!passes(|filter| {
            filter.provider = text("github");
            filter.decision = text("deny");
        }));
    }

    #[test]
    fn a_time_is_wanted_from_since_on_and_before_until() {
        let moment = |text: &str| Some(text.parse::<Moment>().unwrap().resolve(SystemTime::now()));
        assert!(passes(|filter| filter.since = moment("2026-01-02T03:04:05Z")));
        assert!(passes(|filter| filter.since = moment("2026-01-02")));
        assert!(!passes(|filter| filter.until = moment("2026-01-02T03:04:05Z")));
    }

    #[test]
    fn how_long_ago_is_counted_from_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let resolve = |text: &str| text.parse::<Moment>().unwrap().resolve(now);
        assert_eq!(resolve("2h"), now - Duration::from_secs(7200));
        assert_eq!(resolve("1w"), now - Duration::from_secs(604_800));
        assert_eq!(resolve("99999w"), SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["", "h", "2", "2x", "-2h", "yesterday", "18446744073709551615w", "é"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        for text in ["", "4x", "xx", "99", "1000", "400-", "-", "40000000xx"] {
            assert!(text.parse::<StatusRange>().is_err(), "{text}");
        }
    }
}
