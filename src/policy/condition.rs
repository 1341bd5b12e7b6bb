//! What a rule asks of a request beyond who, what and of what: in Cedar's language, which decides, and
//! as a comparison of our own, which leaves out early what Cedar would find unsatisfied.
//!
//! Of two that disagree, Cedar's is right as long as ours says "may hold": whatever is left out here
//! nobody looks at again. So each part stands beside its translation.

use jiff::Timestamp;

use super::{facts::Facts, glob::quoted, path_glob::PathGlob, window::Hours};

/// A condition; an empty list asks nothing. The default, that of policies which are written in Cedar's
/// language, holds always.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) ports: Vec<u16>,
    pub(super) paths: Vec<PathGlob>,
    /// Names of parameters that must be there, all of them.
    pub(super) query: Vec<String>,
    pub(super) hours: Option<Hours>,
    pub(super) days: Vec<u8>,
    /// When it ceases to hold.
    pub(super) until: Option<Timestamp>,
}

impl Condition {
    /// Adds its parts to those of a Cedar policy's `when`.
    pub(super) fn cedar(&self, when: &mut Vec<String>) {
        if !self.ports.is_empty() {
            when.push(format!("{:?}.contains(context.port)", self.ports));
        }
        if !self.paths.is_empty() {
            when.push(either(self.paths.iter().map(PathGlob::cedar).collect()));
        }
        for key in &self.query {
            when.push(format!("context.query.contains({})", quoted(key)));
        }
        when.extend(self.hours.map(Hours::cedar));
        if !self.days.is_empty() {
            when.push(format!("{:?}.contains(context.weekday)", self.days));
        }
        if let Some(until) = self.until {
            when.push(format!("context.time < {}", until.as_second()));
        }
    }

    /// May it hold? `false` only where it certainly does not.
    pub(super) fn admits(&self, facts: &Facts<'_>) -> bool {
        let Self { ports, paths, query, hours, days, until } = self;
        // The one that most rules differ by comes first.
        (paths.is_empty() || paths.iter().any(|path| path.matches(facts)))
            && (ports.is_empty() || ports.contains(&facts.query.port))
            && query.iter().all(|key| facts.query.query_keys.contains(key))
            && hours.is_none_or(|hours| hours.contains(facts.minute()))
            && (days.is_empty() || days.contains(&facts.weekday()))
            && until.is_none_or(|until| facts.query.time.as_second() < until.as_second())
    }

    /// Does it name its paths letter by letter?
    pub(super) fn is_about_exact_paths(&self) -> bool {
        !self.paths.is_empty() && self.paths.iter().all(PathGlob::is_exact)
    }
}

/// The condition that one of these holds.
pub(super) fn either(conditions: Vec<String>) -> String {
    let joined = conditions.join(" || ");
    if conditions.len() > 1 { format!("({joined})") } else { joined }
}
