//! `policy.toml` → statements and limits, or an error that names file, line, column and mend.
//!
//! A key that is not known is an error, never ignored: a misspelt `path` must not widen a rule.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use toml::de::DeTable;

use super::{
    Error, Part,
    action::Action,
    condition::Condition,
    error::Place,
    glob::Glob,
    limit::{self, LimitRule, Quota},
    path_glob::PathGlob,
    rule::Rule,
    schema::AGENT_PREFIX,
    statement::{Names, Scope, Statement},
    table::{Key, Reader, Value},
    verdict::{RuleVerdict, Verdict},
    window::{self, Hours},
};

const RULE_KEYS: &[&str] = &[
    "verdict",
    "agent",
    "profile",
    "provider",
    "connection",
    "host",
    "port",
    "action",
    "path",
    "query",
    "hours",
    "days",
    "until",
    "reason",
    "seconds",
    "id",
];
const LIMIT_KEYS: &[&str] =
    &["agent", "provider", "connection", "host", "requests", "bytes", "per", "reason", "id"];

/// Longest wait for a person: a day.
const LONGEST_ASK: u32 = 24 * 60 * 60;

/// Reads `text`, the contents of `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Part, Error> {
    let reader = Reader { path, text };
    let document = reader.document()?;
    let mut part = Part { default: Some(Verdict::Allow), ..Part::default() };
    for (key, value) in document.get_ref() {
        match key.get_ref().as_ref() {
            "default" => part.default = Some(reader.one(key, value, Verdict::parse)?),
            "rule" => {
                for (place, table) in reader.tables(key, value)? {
                    part.statements.push(statement(&reader, place, table)?);
                }
            }
            "limit" => {
                for (place, table) in reader.tables(key, value)? {
                    part.limits.push(limit(&reader, place, table)?);
                }
            }
            _ => return Err(reader.unknown(key, &["default", "rule", "limit"])),
        }
    }
    Ok(part)
}

fn statement(reader: &Reader<'_>, place: Place, table: &DeTable<'_>) -> Result<Statement, Error> {
    let (id, rule) = rule(reader, &place, table)?;
    let id = id.unwrap_or_else(|| place.short());
    let source = rule.cedar(&id);
    let policy = cedar_policy::Policy::parse(Some(cedar_policy::PolicyId::new(&id)), &source)
        .map_err(|error| Error::Internal { message: format!("{place}: {error}") })?;
    Ok(Statement {
        id: id.into(),
        verdict: rule.verdict,
        reason: rule.reason.as_deref().map(Arc::from),
        seconds: rule.seconds,
        summary: rule.summary(),
        scope: Scope::of(&policy, rule.names),
        condition: rule.condition,
        policy,
        source,
        file: None,
        place,
    })
}

fn rule(
    reader: &Reader<'_>,
    place: &Place,
    table: &DeTable<'_>,
) -> Result<(Option<String>, Rule), Error> {
    let invalid = |message: &str, mend: &str| Error::Invalid {
        place: place.clone(),
        message: message.to_owned(),
        mend: Some(mend.to_owned()),
    };
    let verdict = table.iter().find(|(key, _)| key.get_ref() == "verdict");
    let Some((key, value)) = verdict else {
        return Err(invalid(
            "the rule has no verdict",
            "add verdict = \"allow\", \"deny\", \"ask\" or \"approve\"",
        ));
    };
    let mut rule = Rule {
        verdict: reader.one(key, value, RuleVerdict::parse)?,
        names: Names::default(),
        actions: Vec::new(),
        condition: Condition::default(),
        reason: None,
        seconds: None,
    };
    let mut id = None;
    let condition = &mut rule.condition;
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "verdict" => {}
            "id" => id = Some(reader.one(key, value, name)?),
            "profile" => rule.names.profiles = reader.list(key, value, glob)?,
            "port" => condition.ports = reader.list(key, value, port)?,
            "action" => rule.actions = reader.list(key, value, action)?,
            "path" => {
                // What refuses looks at letters in either case, what allows does not.
                let folded = rule.verdict.forbids();
                condition.paths = reader.list(key, value, |text| PathGlob::parse(text, folded))?;
            }
            "query" => condition.query = reader.list(key, value, name)?,
            "hours" => condition.hours = Some(reader.one(key, value, Hours::parse)?),
            "days" => condition.days = reader.list(key, value, window::day)?,
            "until" => condition.until = Some(reader.one(key, value, until)?),
            "reason" => rule.reason = Some(reader.one(key, value, name)?),
            "seconds" if rule.verdict == RuleVerdict::Ask => {
                rule.seconds = Some(reader.one(key, value, ask_seconds)?);
            }
            "seconds" => {
                let mend = "it is for rules with verdict = \"ask\"".to_owned();
                return Err(reader.wrong(key, value, mend));
            }
            _ if names(reader, key, value, &mut rule.names)? => {}
            _ => return Err(reader.unknown(key, RULE_KEYS)),
        }
    }
    match rule.contradiction() {
        Some(mend) => Err(invalid("the rule can never match", mend)),
        None => Ok((id, rule)),
    }
}

fn limit(reader: &Reader<'_>, place: Place, table: &DeTable<'_>) -> Result<LimitRule, Error> {
    let (mut names_, mut id, mut reason) = (Names::default(), None, None);
    let (mut requests, mut bytes, mut per) = (None, None, None);
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "id" => id = Some(reader.one(key, value, name)?),
            "reason" => reason = Some(reader.one(key, value, name)?),
            "requests" => requests = Some(reader.one(key, value, number)?),
            "bytes" => bytes = Some(reader.one(key, value, |text| some(limit::bytes(text)?))?),
            "per" => per = Some(reader.one(key, value, limit::period)?),
            _ if names(reader, key, value, &mut names_)? => {}
            _ => return Err(reader.unknown(key, LIMIT_KEYS)),
        }
    }
    let invalid = |message: &str, mend: &str| Error::Invalid {
        place: place.clone(),
        message: message.to_owned(),
        mend: Some(mend.to_owned()),
    };
    let quota = match (requests, bytes) {
        (Some(number), None) => Quota::Requests(number),
        (None, Some(number)) => Quota::Bytes(number),
        (None, None) => {
            return Err(invalid(
                "the limit has no number",
                "add requests = 100 or bytes = \"10MB\"",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(invalid("the limit has two numbers", "write two [[limit]]s"));
        }
    };
    let Some(per) = per else {
        return Err(invalid("the limit has no time", "add per = \"minute\", \"hour\" or \"day\""));
    };
    Ok(LimitRule {
        id: id.unwrap_or_else(|| place.short()).into(),
        place,
        agents: names_.agents,
        providers: names_.providers,
        connections: names_.connections,
        hosts: names_.hosts,
        quota,
        per,
        reason: reason.map(Into::into),
    })
}

/// Reads a key that names something; `false`: it is none of those.
fn names(
    reader: &Reader<'_>,
    key: &Key<'_>,
    value: &Value<'_>,
    names: &mut Names,
) -> Result<bool, Error> {
    match key.get_ref().as_ref() {
        "agent" => names.agents = reader.list(key, value, agent)?,
        "provider" => names.providers = reader.list(key, value, provider)?,
        "connection" => names.connections = reader.list(key, value, connection)?,
        "host" => names.hosts = reader.list(key, value, host)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn glob(text: &str) -> Result<Glob, String> {
    name(text).map(Glob::new)
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn agent(text: &str) -> Result<Glob, String> {
    glob(text.strip_prefix(AGENT_PREFIX).unwrap_or(text))
}

fn provider(text: &str) -> Result<Glob, String> {
    if let Some((provider, _)) = text.split_once('/') {
        return Err(format!("a provider is `{provider}`; `{text}` is a `connection`"));
    }
    glob(&text.to_ascii_lowercase())
}

fn connection(text: &str) -> Result<Glob, String> {
    match text.split_once('/') {
        Some((provider, name)) if !provider.is_empty() && !name.is_empty() => {
            Ok(Glob::new(format!("{}/{name}", provider.to_ascii_lowercase())))
        }
        _ if text == "*" => glob(text),
        _ => Err("expected PROVIDER/CONNECTION, such as `github/work`".to_owned()),
    }
}

fn host(text: &str) -> Result<Glob, String> {
    if text.contains('/') {
        return Err("a host has no scheme or path; `path` is a key of its own".to_owned());
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if bare.contains(':') && bare.parse::<std::net::Ipv6Addr>().is_err() {
        return Err("a host has no port; `port` is a key of its own".to_owned());
    }
    glob(&bare.trim_end_matches('.').to_ascii_lowercase())
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

fn action(text: &str) -> Result<&'static str, String> {
    Action::named(text).ok_or_else(|| {
        "expected `read`, `write`, `connect` or a method; methods without a name here are `OTHER`"
            .to_owned()
    })
}

fn until(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected a time such as `2026-12-31T00:00:00Z`".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    some(text.parse().map_err(|_| "expected a number".to_owned())?)
}

/// Not nothing: to count what is never allowed is not what counting is for.
fn some(number: u64) -> Result<u64, String> {
    let nothing = || "it allows nothing; a [[rule]] with verdict = \"deny\" says so".to_owned();
    Some(number).filter(|number| *number > 0).ok_or_else(nothing)
}

pub(super) fn ask_seconds(text: &str) -> Result<u32, String> {
    let seconds = text.parse::<u32>().ok();
    seconds
        .filter(|seconds| (1..=LONGEST_ASK).contains(seconds))
        .ok_or_else(|| format!("expected seconds, from 1 to {LONGEST_ASK}"))
}
