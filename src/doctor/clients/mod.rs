//! Which of the machine's programs trust the run: each makes a real request to a host that the interceptor
//! itself answers for, under a certificate of the run's own.
//!
//! What a client is, is a row of [`table`]; [`find`] says where it is, [`attempt`] runs it, [`judge`] reads
//! what it said. A client that does not trust the run protects no less: its requests fail.

mod attempt;
mod find;
mod judge;
mod table;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
};

use serde::{Deserialize, Serialize};

use self::find::Found;
use super::Clients;

/// How many are tried at once: most of them wait more than they compute.
const AT_ONCE: usize = 3;

/// What came of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Program and library.
    pub name: String,
    /// Where it is; none: nowhere.
    pub program: Option<String>,
    /// Does it trust the run?
    pub trust: Trust,
    /// What it said, if it does not.
    #[serde(rename = "message")]
    pub said: Option<String>,
    /// What would mend that.
    #[serde(rename = "hint")]
    pub mend: Option<String>,
}

/// Does a client trust the run?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It got the answer.
    Trusts,
    /// It refused the certificate.
    Distrusts,
    /// It asks a proxy, which does not exist in a run.
    Proxied,
    /// It failed otherwise, or took too long.
    Failed,
    /// It is not here.
    Missing,
}

/// Tries all that are wanted, and says of each what came of it, in the table's order.
pub(super) fn all(wanted: Clients, run: &str) -> Vec<Client> {
    if wanted == Clients::None {
        return Vec::new();
    }
    let (mut outcomes, mut waiting) = (Vec::new(), VecDeque::new());
    // The order in which they are told is the table's, whoever is done first.
    let mut order = 0_usize..;
    for row in table::ROWS.iter().filter(|row| !row.slow || wanted == Clients::All) {
        let found = find::all(row.program);
        if found.is_empty() {
            outcomes.extend(order.next().map(|order| (order, missing(row))));
        }
        waiting.extend(
            found.into_iter().zip(&mut order).map(|(program, order)| (order, row, program)),
        );
    }
    let (waiting, outcomes) = (Mutex::new(waiting), Mutex::new(outcomes));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((order, row, program)) = next(&waiting) {
                    let client = tried(row, &program, run);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((order, client));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(order, _)| *order);
    outcomes.into_iter().map(|(_, client)| client).collect()
}

fn next<T>(waiting: &Mutex<VecDeque<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn missing(row: &table::Row) -> Client {
    Client {
        name: row.name.to_owned(),
        program: None,
        trust: Trust::Missing,
        said: None,
        mend: None,
    }
}

fn tried(row: &table::Row, found: &Found, run: &str) -> Client {
    let mut verdict = match attempt::run(row, found, run) {
        Ok(attempt) => judge::judge(row, &attempt, run),
        Err(error) => judge::Verdict { trust: Trust::Failed, said: Some(error.to_string()) },
    };
    if verdict.trust == Trust::Failed && attempt::has_proxy(row, found) {
        verdict.trust = Trust::Proxied;
    }
    let mend = match verdict.trust {
        Trust::Distrusts => Some(row.mend.to_owned()),
        Trust::Proxied => Some(row.unproxy.to_owned()),
        Trust::Trusts | Trust::Failed | Trust::Missing => None,
    };
    Client {
        name: row.name.to_owned(),
        program: (verdict.trust != Trust::Missing).then(|| found.path.display().to_string()),
        trust: verdict.trust,
        said: verdict.said,
        mend,
    }
}
