//! Decides about one request at a time: allow, deny, or ask a person.
//!
//! A user's policy is a directory: `policy.toml` has simple rules, `*.cedar` files are used as they are
//! (<https://docs.cedarpolicy.com>). Rules are translated to Cedar, everything is checked against one
//! published schema ([`schema::TEXT`]), and [`Policy`] is the immutable result. It is given values and
//! knows no vault, no provider and no HTTP; who asks, of what and when is a [`Query`].
//!
//! # Precedence
//!
//! Of the statements that match, deny beats approve beats ask beats allow, in whichever file and order
//! they stand; where none does, `default` of `policy.toml` decides. Without `policy.toml` that is `allow`
//! where there is no policy at all, and Cedar's own answer, `deny`, where there are `.cedar` files.
//!
//! In Cedar's language `allow` is a `permit` and `deny` a `forbid`, which beats every `permit`. `ask` is a
//! `forbid` with the annotation `@verdict("ask")`. `approve`, what "always" writes when a person is asked,
//! is a `permit` with `@verdict("approve")`: where nothing but questions forbid, and one of these permits,
//! the questions have been answered.
//!
//! # Failing
//!
//! [`Policy::load`] is an error as a whole if any file cannot be read or means nothing: a part of a
//! policy is no policy. A statement that cannot be evaluated denies and is named. Whoever holds no
//! policy denies.

mod action;
mod candidates;
mod cedar;
mod condition;
mod draft;
mod engine;
mod error;
mod facts;
mod glob;
mod limit;
mod path_glob;
mod query;
mod read;
mod rule;
pub mod schema;
mod slice;
mod statement;
mod table;
mod verdict;
mod window;

use std::{fmt, fs, io, path::Path, sync::Arc};

use self::engine::Engine;
pub use self::{
    draft::Draft,
    error::{Error, Place, Warning},
    limit::{LimitRule, Quota},
    query::{Decision, Query, Resource, query_keys},
    schema::agent_id,
    statement::Statement,
    verdict::{RuleVerdict, Verdict},
};

use crate::request_path::Canonical;

/// The file with a user's rules.
pub const RULES_FILE: &str = "policy.toml";
/// What names the decision where no statement matched.
pub const DEFAULT_ID: &str = "default";
/// No policy file is longer.
const MAX_BYTES: u64 = 4 << 20;

/// A compiled policy: immutable, and meant to be shared.
pub struct Policy {
    default: Verdict,
    limits: Vec<LimitRule>,
    warnings: Vec<Warning>,
    engine: Engine,
}

/// What one file says.
#[derive(Debug, Default)]
struct Part {
    default: Option<Verdict>,
    statements: Vec<Statement>,
    limits: Vec<LimitRule>,
}

impl Policy {
    /// Reads a directory. One that does not exist allows everything, as an empty one does.
    ///
    /// # Errors
    /// [`Error`] if anything in it cannot be read or means nothing.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read { path: directory.to_owned(), source };
        let mut files = Vec::new();
        match fs::read_dir(directory) {
            Ok(entries) => {
                for entry in entries {
                    files.push(entry.map_err(read)?.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(read(error)),
        }
        files.sort();
        let mut parts = Vec::new();
        for file in files {
            // Whatever it is called: a part of a policy is no policy.
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let extension = Path::new(&*name).extension().and_then(|extension| extension.to_str());
            // What editors leave behind; cases to try a policy with are none of its rules.
            let hidden = name.starts_with('.');
            match extension {
                _ if hidden => {}
                // Rules come first, so that they are named first.
                Some("toml") if &*name == RULES_FILE => parts.insert(0, Part::read(&file)?),
                _ if name.ends_with(".test.toml") => {}
                Some("toml") => return Err(Error::NotRead { path: file }),
                Some("cedar") => parts.push(Part::read(&file)?),
                _ => {}
            }
        }
        Self::compile(parts)
    }

    /// Reads one file, a `policy.toml` or one in Cedar's language, as if it were alone.
    ///
    /// # Errors
    /// [`Error`] if it cannot be read or means nothing.
    pub fn load_file(file: &Path) -> Result<Self, Error> {
        Self::compile(vec![Part::read(file)?])
    }

    /// Reads `text` as the rules that `file` is to have.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it means nothing.
    pub fn parse_rules(file: &Path, text: &str) -> Result<Self, Error> {
        Self::compile(vec![read::parse(file, text)?])
    }

    /// The policy of a fresh install: everything is allowed.
    #[must_use]
    pub fn default_allow() -> Self {
        Self {
            default: Verdict::Allow,
            limits: Vec::new(),
            warnings: Vec::new(),
            engine: Engine::default(),
        }
    }

    fn compile(parts: Vec<Part>) -> Result<Self, Error> {
        let rules = parts.iter().find_map(|part| part.default);
        let default =
            rules.unwrap_or(if parts.is_empty() { Verdict::Allow } else { Verdict::Deny });
        let (mut statements, mut limits) = (Vec::new(), Vec::new());
        for part in parts {
            statements.extend(part.statements);
            limits.extend(part.limits);
        }
        let warnings = cedar::validate(&statements)?;
        Ok(Self { default, limits, warnings, engine: Engine::new(statements) })
    }

    /// Does it allow everything, whatever is asked?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.default == Verdict::Allow && self.statements().is_empty()
    }

    /// Decides about one request, with the path as it stands in the query.
    #[must_use]
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        self.engine.decide(query).unwrap_or_else(|| self.by_default())
    }

    /// Decides about one request, with its path in every way a server may read it: the strictest
    /// answer holds. Whoever approved of exactly this path has seen it as it is sent, and is not asked
    /// about what else it may mean.
    #[must_use]
    pub fn decide_path(&self, query: &Query<'_>, path: &Canonical) -> Decision {
        let mut decision = self.decide(&Query { path: path.as_str(), ..*query });
        if path.readings().is_empty() {
            return decision;
        }
        let approved = self.engine.decided_by(&decision).is_some_and(Statement::approves_exactly);
        for reading in path.readings() {
            let other = self.decide(&Query { path: reading, ..*query });
            let answered = approved && other.verdict == Verdict::Ask;
            if other.verdict > decision.verdict && !answered {
                decision = other;
            }
        }
        decision
    }

    fn by_default(&self) -> Decision {
        let policy = (self.default != Verdict::Allow).then(|| Arc::from(DEFAULT_ID));
        Decision { verdict: self.default, policy, reason: None, ask_seconds: None }
    }

    /// What is decided where no statement matches.
    #[must_use]
    pub fn default_verdict(&self) -> Verdict {
        self.default
    }

    /// The rules and Cedar policies, those of `policy.toml` first.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        self.engine.statements()
    }

    /// The limits, in the order they are written.
    #[must_use]
    pub fn limits(&self) -> &[LimitRule] {
        &self.limits
    }

    /// What is allowed but most likely not meant, such as a policy that can never match.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The whole policy in Cedar's language. Where the default is to ask, Cedar cannot say it, and a
    /// comment does.
    #[must_use]
    pub fn to_cedar(&self) -> String {
        let mut text = String::new();
        match self.default {
            Verdict::Allow => text.push_str(
                "// What no policy forbids is allowed.\n@id(\"default\")\npermit(principal, action, resource);\n",
            ),
            Verdict::Ask => text.push_str("// What no policy permits is asked for.\n"),
            Verdict::Deny => text.push_str("// What no policy permits is denied.\n"),
        }
        for statement in self.statements() {
            text.push('\n');
            text.push_str(&format!("// {}\n", statement.place()));
            text.push_str(statement.cedar());
            text.push('\n');
        }
        text
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("default", &self.default)
            .field("statements", &self.statements().len())
            .finish_non_exhaustive()
    }
}

impl Part {
    fn read(file: &Path) -> Result<Self, Error> {
        let text = error::read_text(file, MAX_BYTES)?;
        if file.extension().is_some_and(|extension| extension == "cedar") {
            let statements = cedar::parse(file, &text)?;
            return Ok(Self { statements, ..Self::default() });
        }
        read::parse(file, &text)
    }
}

#[cfg(test)]
mod tests;
