//! Whom a daemon that starts tells how it went: the command that started it, or, in a sidecar, the
//! thread that waits for it.

use std::{
    io::{self, Write},
    sync::mpsc::Sender,
};

use serde::Serialize;

use crate::{interceptor::Sockets, protocol::ErrorReply};

/// What is otherwise for a daemon in a network namespace that agents share: nothing there that is found
/// by a name or a port can be trusted to be its own.
#[derive(Clone, Debug)]
pub struct Contained {
    /// Where the sockets of its outgoing connections come from.
    pub sockets: Sockets,
    /// Serve the dashboard nevertheless.
    pub dashboard: bool,
    /// Told when it serves, in place of standard output.
    pub serving: Sender<()>,
}

/// The start-up report, one line on standard output; see `client::Started`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report<'a> {
    Ready,
    AlreadyRunning,
    Error(&'a ErrorReply),
}

/// Says it. In a sidecar an error is for whoever called [`super::serve`].
pub(super) fn report(contained: Option<&Contained>, said: &Report<'_>) {
    match (contained, said) {
        (None, said) => to_standard_output(said),
        // One that has ended meanwhile needs not be told.
        (Some(contained), Report::Ready) => drop(contained.serving.send(())),
        (Some(_), Report::AlreadyRunning | Report::Error(_)) => {}
    }
}

fn to_standard_output(report: &Report<'_>) {
    // Nobody may be listening: started by hand, or the client was killed.
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = io::stdout().write_all(&line);
        let _ = io::stdout().flush();
    }
}
