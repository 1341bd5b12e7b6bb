//! `authsome policy test`: a policy tried with requests, and what is expected of each.

use std::{fs, io, path::Path};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    ask::{Asked, Wish, routes},
    load,
};
use crate::{
    cli::PolicyTestArgs,
    commands::{Context, Error, count, whoami},
    output::Table,
    policy::{Place, Verdict},
    protocol::ErrorKind,
};

/// Where cases are if no file is named, beside the rules.
const CASES_FILE: &str = "policy.test.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    agent: String,
    method: Option<String>,
    url: String,
    connection: Option<String>,
    profile: Option<String>,
    time: Option<Timestamp>,
    expect: Verdict,
    policy: Option<String>,
}

/// A case that was tried.
struct Tried {
    name: String,
    expected: String,
    verdict: Option<Verdict>,
    /// Id of the statement that decided, or why there is no decision.
    policy: String,
    passed: bool,
}

pub(super) fn test(args: &PolicyTestArgs, context: &Context) -> Result<(), Error> {
    let (_, policy) = load(args.policy.as_deref(), context)?;
    let file = args.file.clone().unwrap_or_else(|| context.home.policy().join(CASES_FILE));
    let cases = read(&file)?;
    let (routes, user) = (routes(&context.registry()), whoami::user());
    let tried: Vec<_> = cases
        .iter()
        .map(|case| {
            let asked = Asked::of(case.wish(&user), &routes);
            let name = match (&case.name, &asked) {
                (Some(name), _) => name.clone(),
                (None, Ok(asked)) => format!("{}: {}", case.agent, asked.line()),
                (None, Err(_)) => format!("{}: {}", case.agent, case.url),
            };
            let expected = case.policy.as_ref().map_or_else(
                || case.expect.as_str().to_owned(),
                |policy| format!("{} by {policy}", case.expect.as_str()),
            );
            match asked.and_then(|asked| asked.decide(&policy)) {
                Ok(decision) => {
                    let by = decision.policy.as_deref();
                    let named = case.policy.as_deref().is_none_or(|wanted| by == Some(wanted));
                    let passed = decision.verdict == case.expect && named;
                    let policy = by.unwrap_or_default().to_owned();
                    Tried { name, expected, verdict: Some(decision.verdict), policy, passed }
                }
                // What is never sent is as good as denied.
                Err(why) => {
                    let passed = case.expect == Verdict::Deny && case.policy.is_none();
                    Tried { name, expected, verdict: None, policy: why, passed }
                }
            }
        })
        .collect();
    let failed = tried.iter().filter(|tried| !tried.passed).count();
    let members = json!({
        "passed": tried.len() - failed,
        "failed": failed,
        "cases": tried.iter().map(|tried| json!({
            "name": tried.name,
            "expected": tried.expected,
            "verdict": tried.verdict,
            "policy": tried.policy,
            "passed": tried.passed,
        })).collect::<Vec<_>>(),
    });
    context.output.result(members, |text| {
        let mut table = Table::new(["", "CASE", "EXPECTED", "DECIDED", "BY"]);
        for tried in &tried {
            let mark = if tried.passed { "ok" } else { "FAIL" };
            let verdict = tried.verdict.map_or("not sent", Verdict::as_str);
            table.row([mark, &tried.name, &tried.expected, verdict, &tried.policy]);
        }
        text.table(&table);
    })?;
    if failed > 0 {
        let all = count(tried.len(), "case");
        let were = if failed == 1 { "was" } else { "were" };
        let message = format!("{failed} of {all} {were} decided otherwise");
        return Err(Error::failed(message).hint("authsome policy show"));
    }
    Ok(())
}

impl Case {
    fn wish<'a>(&'a self, user: &'a str) -> Wish<'a> {
        Wish {
            agent: &self.agent,
            user,
            profile: self.profile.as_deref().unwrap_or("default"),
            method: self.method.as_deref(),
            url: &self.url,
            connection: self.connection.as_deref(),
            time: self.time,
        }
    }
}

fn read(file: &Path) -> Result<Vec<Case>, Error> {
    let text = fs::read_to_string(file).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            let message = format!("there are no cases in {}", file.display());
            Error::new(ErrorKind::NotFound, message).hint("authsome policy test --help")
        } else {
            Error::caused(format_args!("cannot read {}", file.display()), &error)
        }
    })?;
    let cases: Cases = toml::from_str(&text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let place = Place::of(file, &text, offset);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Error::failed(format!("{place}: {message}")).hint("authsome policy test --help")
    })?;
    if cases.case.is_empty() {
        let message = format!("there are no cases in {}", file.display());
        return Err(Error::new(ErrorKind::NotFound, message).hint("authsome policy test --help"));
    }
    Ok(cases.case)
}
