//! The doctor beside a sidecar (`docker exec SIDECAR authsome doctor`): examines that, instead of a run of
//! its own, for which a container has no right.
//!
//! It acts as the home's user, without a right, once it has read the rules, for which root's is needed. It
//! starts no daemon: one that no guard has started would be as redirected as the agent. What it cannot
//! look at it has shown by what happens to connections. Must not be taken for a look from the agent's own
//! container, whose rights it does not see.

mod network;
mod processes;
mod shared;

use std::{env, path::PathBuf};

use self::processes::Guard;
use super::{daemon, home, run::Inside, trust};
use crate::{
    cli::{Names, trust_dir},
    commands::{
        Context,
        sidecar::{self as verb, credentials::unreadable},
    },
    daemon::client::Client,
    doctor::Finding,
    protocol::{Egress, Request, Status},
    sidecar::{enter, guard_of, has_served},
};

/// What mends a sidecar that is not what it was when it began.
const RESTART: &str = "start the sidecar again: docker restart SIDECAR";

/// A sidecar's surroundings.
#[derive(Debug)]
pub(super) struct Beside {
    context: Context,
    trust_dir: PathBuf,
    guard: Option<Guard>,
}

impl Beside {
    /// Those of the sidecar in this container, if it is one's.
    pub(super) fn find(context: &Context) -> Option<Self> {
        netns::shared::check_place().ok()?;
        if context.actor.owner().is_some() {
            return None;
        }
        let context = Context { home: verb::home(context), ..context.clone() };
        let trust_dir = trust_dir(|name| env::var_os(name));
        // A container's first process is its command.
        let guard = guard_of(&trust_dir).and_then(Guard::of).or_else(|| Guard::of(1));
        if guard.is_none() && !has_served(&context.home) {
            return None;
        }
        Some(Self { context, trust_dir, guard })
    }

    /// Everything, in the order in which one thing depends on the other.
    pub(super) fn examine(self) -> Inside {
        let Self { context, trust_dir, guard } = self;
        let table = netns::shared::Table::read();
        if let Err(error) = enter(&context.home) {
            return only(vec![Finding::failed("user", error)]);
        }
        let mut findings = home::checks(&context);
        findings.extend(trust::checks());
        if let Some(finding) = daemon::unresponsive(&context) {
            // Whatever is asked of it now would wait for ever.
            findings.push(finding);
            findings.push(network::rules(table, None));
            return only(findings);
        }
        let (mut client, worker) = match worker(&context) {
            Ok((client, status)) => (Some(client), Some(status)),
            Err(finding) => {
                findings.push(finding);
                (None, None)
            }
        };
        let guard = guard.or_else(|| Guard::above(worker.as_ref()?.pid));
        let args = guard.as_ref().map(|guard| &guard.args);
        let trust_dir = args.map_or(&trust_dir, |args| &args.trust_dir);
        findings.push(processes::guard(guard.as_ref(), trust_dir));
        findings.extend(worker.as_ref().map(|status| processes::worker(status.pid)));
        let options = args.and_then(|args| verb::options(args, &context).ok());
        let rules = args.zip(options.as_ref()).map(|(args, options)| {
            (args.dns == Names::Capture, options.egress == Egress::Providers)
        });
        findings.push(network::rules(table, rules));
        let runs = worker.map(|status| status.runs).unwrap_or_default();
        findings.extend(network::ways(runs.first().map(|run| run.id.as_str())));
        findings.push(shared::directory(trust_dir, &context.home));
        if let Some(client) = &mut client {
            let dashboard = args.is_some_and(|args| args.dashboard);
            let asked = daemon::checks(client).into_iter();
            findings.extend(asked.filter(|finding| dashboard || finding.name != "dashboard"));
            findings.extend(daemon::problems(client, &findings));
        }
        if let (Some(client), Some(options)) = (client, options) {
            findings.push(shared::placeholders(trust_dir, options, client));
        }
        if let Some(args) = args.filter(|args| !args.credentials.is_empty()) {
            let mend = "mount them so that the sidecar's --user may read them";
            let wrong = unreadable(&args.credentials);
            findings.push(Finding::unless("credentials", &wrong, "readable", mend));
        }
        findings.push(home::audit_log(&context));
        only(findings)
    }
}

/// There are no clients here: they are in the agent's container.
fn only(findings: Vec<Finding>) -> Inside {
    Inside { findings, clients: Vec::new() }
}

/// The worker, which answers.
fn worker(context: &Context) -> Result<(Client, Status), Finding> {
    const NAME: &str = "worker";
    let client = Client::connect(&context.home).map_err(|error| Finding::failed(NAME, error))?;
    let Some(client) = client else {
        let detail = format!("nobody serves {}", context.home.root().display());
        return Err(Finding::fail(NAME, detail, Some(RESTART.to_owned())));
    };
    let mut client = client.acting(context.acting().unwrap_or_default());
    let status = client.call(Request::Status).map_err(|error| Finding::failed(NAME, error))?;
    Ok((client, status))
}
