//! The redirect of the network namespace: its rules, and what happens to connections, which are the
//! doctor's own and no more marked than an agent's.

use std::{error::Error as _, io};

use netns::shared::{Error, Table, arrives, datagrams_are_refused, is_closed, outside, targets};

use super::RESTART;
use crate::{commands::chain, doctor::Finding};

/// What mends rules that nobody has put back.
const NO_RULES: &str = "stop the agent; start the sidecar again: docker restart SIDECAR";

/// Are they all there? `wanted` says whether names are captured and all else is refused; none: unknown.
pub(super) fn rules(table: Result<Table, Error>, wanted: Option<(bool, bool)>) -> Finding {
    const NAME: &str = "rules";
    match table {
        Ok(table) if table.is_missing() => {
            let detail = "the table is gone: port 443 is open, without a credential";
            Finding::fail(NAME, detail, Some(NO_RULES.to_owned()))
        }
        Ok(table) => match wanted {
            Some((names, strict)) => Finding::unless(
                NAME,
                &table.incomplete(names, strict),
                "in place, every chain complete",
                NO_RULES,
            ),
            None => Finding::warn(NAME, "there is a table, and nobody to say which", RESTART),
        },
        Err(error) if is_refused(&error) => {
            Finding::ok(NAME, "not ours to read without NET_ADMIN: connections show what they do")
        }
        Err(error) => Finding::fail(NAME, chain(&error), error.hint().map(str::to_owned)),
    }
}

fn is_refused(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::PermissionDenied)
}

/// Where connections and datagrams go. `run` is the worker's; without, nothing may get out.
pub(super) fn ways(run: Option<&str>) -> [Finding; 2] {
    let connections = match run {
        Some(run) => served(run),
        None => closed(),
    };
    [connections, datagrams()]
}

fn served(run: &str) -> Finding {
    let found = targets();
    if found.is_empty() {
        return no_network("redirection");
    }
    let wrong: Vec<String> =
        found.iter().filter_map(|address| arrives(*address, run).err()).map(said).collect();
    Finding::unless("redirection", &wrong, format!("{} arrive", list(&found)), NO_RULES)
}

/// Protects, and does not work.
fn closed() -> Finding {
    const NAME: &str = "redirection";
    let found = outside();
    let wrong: Vec<String> =
        found.iter().filter_map(|address| is_closed(*address).err()).map(said).collect();
    if !wrong.is_empty() {
        return Finding::fail(NAME, wrong.join("; "), Some(NO_RULES.to_owned()));
    }
    let detail = match found.as_slice() {
        [] => {
            "nobody serves; without a way out nothing shows whether port 443 is closed".to_owned()
        }
        found => format!("nobody serves: {} are refused, and nothing leaves", list(found)),
    };
    Finding::fail(NAME, detail, Some(RESTART.to_owned()))
}

/// QUIC must fail at once, so that clients fall back to TCP.
fn datagrams() -> Finding {
    const NAME: &str = "datagrams";
    let found = targets();
    if found.is_empty() {
        return no_network(NAME);
    }
    let wrong: Vec<String> = found
        .iter()
        .filter_map(|address| datagrams_are_refused(*address).err())
        .map(said)
        .collect();
    Finding::unless(NAME, &wrong, format!("those to {} are refused", list(&found)), NO_RULES)
}

fn no_network(name: &'static str) -> Finding {
    Finding::fail(name, chain(&Error::NoNetwork), Error::NoNetwork.hint().map(str::to_owned))
}

fn said(error: Error) -> String {
    chain(&error)
}

fn list(addresses: &[std::net::SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn rules_that_may_not_be_read_are_for_connections_to_show_and_others_fail() {
        let finding = |kind: io::ErrorKind| rules(Err(Error::Watch(kind.into())), None);
        assert_eq!(finding(io::ErrorKind::PermissionDenied).state, State::Ok);
        assert_eq!(finding(io::ErrorKind::TimedOut).state, State::Fail);
    }
}
