//! How long one decision takes: `cargo bench --bench policy`. Prints percentiles, asserts nothing.
#![expect(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::{
    error::Error,
    fmt::Write as _,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use authsome::{
    policy::{Policy, Query, Resource},
    request_path::canonical,
};
use jiff::{Timestamp, tz::TimeZone};

/// Decisions that are timed.
const TIMES: usize = 50_000;
/// Rules of each policy.
const RULES: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let parse = |text: &str| Policy::parse_rules(Path::new("policy.toml"), text);
    measure("no policy", &Policy::default_allow())?;
    measure("1000 rules, spread", &parse(&spread())?)?;
    measure("1000 rules, 50 of them for each request", &parse(&crowded())?)?;
    measure("1000 rules that differ by path", &parse(&paths("/teams/{}/**"))?)?;
    measure("1000 rules that differ behind a wildcard", &parse(&paths("/*/{}/projects/*"))?)?;
    measure("1000 hosts refused", &parse(&hosts())?)?;
    Ok(())
}

/// As a large organisation has them: by agent, provider, method and path.
fn spread() -> String {
    let mut text = String::new();
    for rule in 0..RULES {
        let verdict = match rule % 3 {
            0 => "allow",
            1 => "deny",
            _ => "ask",
        };
        let (agent, provider) = (rule % 40, rule % 25);
        let action = if rule % 2 == 0 { "read" } else { "write" };
        add(
            &mut text,
            &format!(
                "verdict = \"{verdict}\"\nagent = \"agent{agent}\"\nprovider = \"provider{provider}\"\n\
                 action = \"{action}\"\npath = \"/teams/{rule}/**\""
            ),
        );
    }
    text
}

/// Twenty providers, each with fifty rules for everybody.
fn crowded() -> String {
    let mut text = String::new();
    for rule in 0..RULES {
        let provider = rule % 20;
        let rule = format!(
            "verdict = \"deny\"\nprovider = \"provider{provider}\"\npath = \"/teams/{rule}/**\""
        );
        add(&mut text, &rule);
    }
    text
}

/// All for every agent and connection.
fn paths(pattern: &str) -> String {
    let mut text = String::new();
    for rule in 0..RULES {
        let verdict = if rule % 2 == 0 { "ask" } else { "approve" };
        let path = pattern.replace("{}", &rule.to_string());
        add(
            &mut text,
            &format!("verdict = \"{verdict}\"\nprovider = \"provider*\"\npath = \"{path}\""),
        );
    }
    text
}

fn hosts() -> String {
    let mut text = String::new();
    for rule in 0..RULES {
        add(&mut text, &format!("verdict = \"deny\"\nhost = \"*.tracker{rule}.example\""));
    }
    text
}

fn add(text: &mut String, rule: &str) {
    let _: std::fmt::Result = writeln!(text, "[[rule]]\n{rule}");
}

/// Times requests of ten agents to twenty-five connections for two thousand paths, half of which no rule
/// names; a few are new to the policy.
fn measure(name: &str, policy: &Policy) -> Result<(), Box<dyn Error>> {
    let names = |prefix: &str, count| {
        (0..count).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>()
    };
    let agents = names("agent://local/agent", 10);
    let providers = names("provider", 25);
    let connections: Vec<_> = providers.iter().map(|name| format!("{name}/default")).collect();
    let hosts: Vec<_> = names("api.provider", 25);
    let mut paths = Vec::with_capacity(2 * RULES);
    for number in 0..2 * RULES {
        paths.push(canonical(&format!("/teams/{number}/projects/x"))?);
    }
    let keys = ["page".to_owned(), "per_page".to_owned()];
    let zone = TimeZone::UTC;
    let time = Timestamp::now();
    let at = |list: &'_ [String], number: usize| list.get(number % list.len()).cloned();
    let mut times = Vec::with_capacity(TIMES);
    for number in 0..TIMES {
        let agent = at(&agents, number).unwrap_or_default();
        let provider = at(&providers, number / 7).unwrap_or_default();
        let connection = at(&connections, number / 7).unwrap_or_default();
        let host = at(&hosts, number / 7).unwrap_or_default();
        let Some(path) = paths.get(number % paths.len()) else { continue };
        let query = Query {
            agent: &agent,
            user: "alice",
            profile: "default",
            run: "0123456789abcdef",
            method: Some(if number % 3 == 0 { "POST" } else { "GET" }),
            host: &host,
            port: 443,
            path: path.as_str(),
            query_keys: &keys,
            resource: Resource::Connection { provider: &provider, connection: &connection },
            time,
            zone: &zone,
        };
        let began = Instant::now();
        black_box(policy.decide_path(black_box(&query), path));
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let percentile = |hundredths: usize| -> Duration {
        times
            .get((times.len() * hundredths / 10_000).min(times.len() - 1))
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{name:42} p50 {:>8.1?}  p99 {:>8.1?}  p99.9 {:>8.1?}  most {:>8.1?}",
        percentile(5000),
        percentile(9900),
        percentile(9990),
        percentile(10_000),
    );
    Ok(())
}
