//! A `[[rule]]` of `policy.toml`, and what it is in Cedar's language.

use std::fmt::Write as _;

use super::{
    action::{self, CONNECT},
    condition::{Condition, either},
    glob::{Glob, quoted},
    schema,
    statement::Names,
    verdict::RuleVerdict,
    window::day_name,
};

/// A rule; an empty list asks nothing.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) verdict: RuleVerdict,
    pub(super) names: Names,
    pub(super) actions: Vec<&'static str>,
    pub(super) condition: Condition,
    pub(super) reason: Option<String>,
    pub(super) seconds: Option<u32>,
}

impl Rule {
    /// The Cedar policy. What a scope can say is said there: by it, policies are found.
    pub(super) fn cedar(&self, id: &str) -> String {
        let mut text = format!("@id({})\n", quoted(id));
        if let verdict @ (RuleVerdict::Ask | RuleVerdict::Approve) = self.verdict {
            line(&mut text, format_args!("@verdict({})", quoted(verdict.as_str())));
        }
        if let Some(seconds) = self.seconds {
            line(&mut text, format_args!("@seconds(\"{seconds}\")"));
        }
        if let Some(reason) = &self.reason {
            line(&mut text, format_args!("@reason({})", quoted(reason)));
        }
        let effect = if self.verdict.forbids() { "forbid" } else { "permit" };
        let mut when = Vec::new();
        let principal = self.principal(&mut when);
        let action = self.action();
        let resource = self.resource(&mut when);
        line(&mut text, format_args!("{effect}({principal}, {action}, {resource})"));
        self.request(&mut when);
        if !when.is_empty() {
            line(&mut text, format_args!("when {{ {} }}", when.join("\n  && ")));
        }
        text.truncate(text.trim_end().len());
        text.push(';');
        text
    }

    fn principal(&self, when: &mut Vec<String>) -> String {
        match self.names.agents.as_slice() {
            [agent] if let Some(name) = agent.exact() => {
                return format!("principal == Agent::{}", quoted(&schema::agent_id(name)));
            }
            agents => when.extend(one_of(agents, "principal.name")),
        }
        "principal".to_owned()
    }

    fn action(&self) -> String {
        let uid = |name: &str| format!("Action::{}", quoted(name));
        match self.actions.as_slice() {
            [] => "action".to_owned(),
            [name] if action::is_group(name) => format!("action in {}", uid(name)),
            [name] => format!("action == {}", uid(name)),
            names => {
                let uids: Vec<_> = names.iter().map(|name| uid(name)).collect();
                format!("action in [{}]", uids.join(", "))
            }
        }
    }

    fn resource(&self, when: &mut Vec<String>) -> String {
        let Names { providers, connections, .. } = &self.names;
        if providers.is_empty() && connections.is_empty() {
            return "resource".to_owned();
        }
        match (providers.as_slice(), connections.as_slice()) {
            ([], [connection]) if let Some(name) = connection.exact() => {
                return format!("resource == Connection::{}", quoted(name));
            }
            ([provider], []) if let Some(name) = provider.exact() => {
                return format!("resource in Provider::{}", quoted(name));
            }
            _ => {}
        }
        when.extend(one_of(providers, "resource.provider"));
        when.extend(one_of(connections, "resource.name"));
        "resource is Connection".to_owned()
    }

    fn request(&self, when: &mut Vec<String>) {
        when.extend(one_of(&self.names.profiles, "context.profile"));
        when.extend(one_of(&self.names.hosts, "context.host"));
        self.condition.cedar(when);
    }

    /// For people, in one line.
    pub(super) fn summary(&self) -> String {
        let mut words = Vec::new();
        let Names { agents, profiles, providers, connections, hosts } = &self.names;
        let Condition { ports, paths, query, hours, days, until } = &self.condition;
        let mut say = |label: &str, texts: Vec<String>| {
            if !texts.is_empty() {
                words.push(format!("{label} {}", texts.join(", ")));
            }
        };
        let globs = |globs: &[Glob]| globs.iter().map(|glob| glob.as_str().to_owned()).collect();
        say("agent", globs(agents));
        say("profile", globs(profiles));
        say("to", self.actions.iter().map(|name| (*name).to_owned()).collect());
        say("provider", globs(providers));
        say("connection", globs(connections));
        say("host", globs(hosts));
        say("port", ports.iter().map(ToString::to_string).collect());
        say("path", paths.iter().map(|path| path.as_str().to_owned()).collect());
        say("query", query.clone());
        say("hours", hours.iter().map(ToString::to_string).collect());
        say("days", days.iter().map(|day| day_name(*day).to_owned()).collect());
        say("until", until.iter().map(ToString::to_string).collect());
        if words.is_empty() { "everything".to_owned() } else { words.join(", ") }
    }

    /// Why it could never match, if it could not.
    pub(super) fn contradiction(&self) -> Option<&'static str> {
        let connects = self.actions == [CONNECT];
        let connected = !self.names.providers.is_empty() || !self.names.connections.is_empty();
        if connects && connected {
            return Some("`connect` is for hosts without a provider: name a `host`, or methods");
        }
        if connects && (!self.condition.paths.is_empty() || !self.condition.query.is_empty()) {
            return Some("`connect` is a connection that stays encrypted: it has no path or query");
        }
        None
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _: std::fmt::Result = writeln!(text, "{line}");
}

/// The condition that one of these matches; none where nothing is asked.
fn one_of(globs: &[Glob], operand: &str) -> Option<String> {
    let asks = !globs.is_empty() && !globs.iter().any(Glob::is_any);
    asks.then(|| either(globs.iter().map(|glob| glob.cedar(operand)).collect()))
}
