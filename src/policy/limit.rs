//! A `[[limit]]` of `policy.toml`: how much in which time. Counting is others' business; this says
//! what is counted.

use std::{sync::Arc, time::Duration};

use super::{error::Place, glob::Glob};

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// So many requests.
    Requests(u64),
    /// So many bytes of bodies, both ways together.
    Bytes(u64),
}

/// How much of what it names may be used in a time. An empty list names everything.
#[derive(Clone, Debug)]
pub struct LimitRule {
    pub(super) id: Arc<str>,
    pub(super) place: Place,
    pub(super) agents: Vec<Glob>,
    pub(super) providers: Vec<Glob>,
    pub(super) connections: Vec<Glob>,
    pub(super) hosts: Vec<Glob>,
    pub(super) quota: Quota,
    pub(super) per: Duration,
    pub(super) reason: Option<Arc<str>>,
}

impl LimitRule {
    /// What the audit log calls it: its `id`, or its file and line.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How much.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// In which time.
    #[must_use]
    pub fn per(&self) -> Duration {
        self.per
    }

    /// What its author gives as the reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Agents it names, as patterns; none: all.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(Glob::as_str)
    }

    /// Providers it names, as patterns; none: all, and hosts without one.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().map(Glob::as_str)
    }

    /// Connections it names, as patterns; none: all.
    pub fn connections(&self) -> impl Iterator<Item = &str> {
        self.connections.iter().map(Glob::as_str)
    }

    /// Hosts it names, as patterns; none: all.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(Glob::as_str)
    }

    /// For people, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut words = vec![match self.quota {
            Quota::Requests(number) => format!("{number} requests"),
            Quota::Bytes(number) => format!("{number} bytes"),
        }];
        words.push(format!("in {} s", self.per.as_secs()));
        for (label, globs) in [
            ("agent", &self.agents),
            ("provider", &self.providers),
            ("connection", &self.connections),
            ("host", &self.hosts),
        ] {
            if !globs.is_empty() {
                let names: Vec<_> = globs.iter().map(Glob::as_str).collect();
                words.push(format!("{label} {}", names.join(", ")));
            }
        }
        words.join(", ")
    }
}

/// A number of bytes, such as `10MB` (10⁷) or `10MiB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as `10MB` or `512KiB`".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// A length of time by its name, or a number of them: `minute`, `15 minutes`.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let wrong = || "expected `second`, `minute`, `hour`, `day`, or such as `15 minutes`".to_owned();
    let (number, unit) = match text.split_once(' ') {
        Some((number, unit)) => (number.parse::<u64>().map_err(|_| wrong())?, unit.trim()),
        None => (1, text),
    };
    let unit = unit.strip_suffix('s').unwrap_or(unit);
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds > 0);
    seconds
        .filter(|seconds| *seconds <= 366 * 24 * 60 * 60)
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_people_write_them() {
        assert_eq!(bytes("10MB").unwrap(), 10_000_000);
        assert_eq!(bytes("512 KiB").unwrap(), 524_288);
        assert_eq!(bytes("7").unwrap(), 7);
        assert_eq!(period("minute").unwrap().as_secs(), 60);
        assert_eq!(period("15 minutes").unwrap().as_secs(), 900);
        for text in ["", "MB", "1 XB", "99999999999999999999", "18446744073709551615KB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["", "0 days", "fortnight", "1000 days", "-1 days"] {
            assert!(period(text).is_err(), "{text}");
        }
    }
}
