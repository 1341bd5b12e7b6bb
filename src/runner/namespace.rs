//! The usual enclosure: a network namespace of its own, in which every address is local.

#![cfg(target_os = "linux")]

use std::{os::fd::BorrowedFd, path::PathBuf};

use netns::{Beginning, Network, ProbeReport, Sandbox, Spec};

use super::{
    Actor, FAILED, GoError, Plan,
    enclosure::{Begun, Complete, Contents, Enclosure, Event},
    publish, redirect,
};
use crate::protocol::{ErrorKind, ErrorReply};

/// TCP ports that always have a listener of their own: 443 because it is what this is about, 80 so
/// that it works where the kernel cannot redirect the others.
const PORTS: [u16; 2] = [443, 80];

/// Begins a namespace: its network is made while it is found out what goes into it.
///
/// # Errors
/// The helper could not be started.
pub(super) fn begin(actor: &Actor, plan: &Plan) -> Result<Box<dyn Begun>, ErrorReply> {
    let network = network(actor, plan);
    publish::check(plan, &network.tcp_ports)?;
    let beginning = Beginning::new(&network).map_err(|error| reply(&error))?;
    Ok(Box::new(beginning))
}

impl Begun for Beginning {
    fn complete(self: Box<Self>, contents: Contents<'_>) -> Result<Complete, ErrorReply> {
        let (sandbox, prepared) = Self::complete(*self, &spec(contents))
            .map_err(|error| redirect::refused(reply(&error), &error))?;
        let listeners =
            prepared.listeners.into_iter().map(|listener| (listener.kind, listener.fd)).collect();
        Ok(Complete { enclosure: Box::new(sandbox), listeners, warnings: prepared.warnings })
    }
}

impl Enclosure for Sandbox {
    fn probe(&mut self) -> Result<ProbeReport, ErrorReply> {
        Self::probe(self).map_err(|error| reply(&error))
    }

    fn release(&mut self) -> Result<(), GoError> {
        Self::release(self).map_err(|error| GoError {
            code: match error.exit_code() {
                // Its own word for "something else".
                1 => FAILED,
                code => code,
            },
            error: reply(&error),
        })
    }

    fn wait(&mut self, extra: BorrowedFd<'_>) -> Result<Event, GoError> {
        match self.wait_event(Some(extra)) {
            Ok(netns::Event::Exited(status)) => Ok(Event::Exited(status.code())),
            Ok(netns::Event::Extra) => Ok(Event::Extra),
            Err(error) => Err(GoError { code: FAILED, error: reply(&error) }),
        }
    }
}

fn network(actor: &Actor, plan: &Plan) -> Network {
    let mut tcp_ports = PORTS.to_vec();
    // Where the kernel cannot redirect, the ports that were asked for still work.
    tcp_ports.extend(plan.options.allow.iter().filter_map(|rule| rule.port));
    tcp_ports.extend(plan.options.resolve.iter().map(|rule| rule.port));
    tcp_ports.retain(|port| *port != 53);
    tcp_ports.sort_unstable();
    tcp_ports.dedup();
    Network {
        as_root: actor.credentials().is_some(),
        tcp_ports,
        catch_all: true,
        host_ports: plan.host_ports.clone(),
        give_sockets: !plan.options.publish.is_empty(),
    }
}

fn spec(contents: Contents<'_>) -> Spec {
    let Contents { run, actor, home, command, env, cwd, overlay, hide, keep } = contents;
    let files =
        overlay.files.into_iter().map(|(path, contents)| netns::File { path, contents }).collect();
    let pairs = |pairs: Vec<(PathBuf, PathBuf)>| {
        pairs.into_iter().map(|(source, target)| netns::Overlay { source, target }).collect()
    };
    Spec {
        run_id: run.to_owned(),
        user: actor.credentials(),
        keep,
        trust_dir: actor.home.root().to_owned(),
        trust_dir_id: Some(home),
        files,
        merges: pairs(overlay.merges),
        overlays: pairs(overlay.mounts),
        copies: pairs(overlay.copies),
        hide,
        command,
        env,
        cwd,
    }
}

pub(super) fn reply(error: &netns::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint())
}
