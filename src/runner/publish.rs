//! Ports that are to be published and cannot be an agent's: where it has the host's network, there are none.

#![cfg(target_os = "linux")]

use super::Plan;
use crate::protocol::{
    ErrorKind, ErrorReply,
    publish::{Publish, PublishedPort},
};

/// A port inside that has a listener of ours, for every address or for the host's port of that number,
/// is none that the agent could listen on.
///
/// # Errors
/// The first such port, with what to do about it.
pub(super) fn check(plan: &Plan, caught: &[u16]) -> Result<(), ErrorReply> {
    let named = plan.options.publish.iter().filter_map(Publish::port);
    for PublishedPort { port, .. } in named {
        let why = if plan.host_ports.contains(&port) {
            "it leads to the host (--host-port)"
        } else if caught.contains(&port) {
            "connections to it are caught (--allow, --resolve)"
        } else {
            continue;
        };
        return Err(ErrorReply {
            kind: ErrorKind::Usage,
            message: format!("port {port} cannot be published: {why}"),
            hint: Some("have the agent listen on another port".to_owned()),
        });
    }
    Ok(())
}
