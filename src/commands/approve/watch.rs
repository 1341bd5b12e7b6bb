//! `authsome approve --watch`: each request as it begins to wait.
//!
//! At a terminal it asks about each, and takes the question back when somebody else has answered it
//! or nobody is waiting any more: so input and daemon are looked at in turn, and neither is waited for
//! alone.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::{
    super::{Context, Error},
    answer_ask, describe, look, outcome, told,
};
use crate::{
    daemon::client::Client,
    output::can_prompt,
    protocol::{
        ErrorKind,
        asks::{AskAnswer, AskView},
    },
};

/// Longest wait in one request, in seconds.
const LOOK: u32 = 50;
/// How long input is waited for before the daemon is asked whether the question still stands.
const PAUSE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// A line of input that is longer is no answer.
const MAX_LINE: usize = 256;

pub(super) fn watch(context: &Context) -> Result<(), Error> {
    let mut client = context.client()?;
    let asking = !context.output.is_json() && can_prompt() && io::stdout().is_terminal();
    context.output.note(if asking {
        "waiting for requests that need an approval (Ctrl-C ends this, and nothing else)"
    } else {
        "waiting for requests that need an approval"
    });
    // Those that were shown, and whether they were passed over.
    let mut known: BTreeMap<String, AskView> = BTreeMap::new();
    let mut seen = None;
    loop {
        let now = look(&mut client, seen, LOOK)?;
        seen = Some(now.revision);
        let gone: Vec<_> =
            known.keys().filter(|id| now.asks.iter().all(|ask| ask.id != **id)).cloned().collect();
        for id in gone {
            known.remove(&id);
            if context.output.is_json() {
                context.output.line(json!({ "ended": id }))?;
            }
        }
        for ask in now.asks {
            if known.contains_key(&ask.id) {
                continue;
            }
            known.insert(ask.id.clone(), ask.clone());
            if context.output.is_json() {
                context.output.line(json!({ "ask": ask }))?;
                continue;
            }
            context.output.result(json!({}), |text| describe(text, &ask))?;
            if asking {
                decide(&ask, &mut client, context)?;
            }
        }
    }
}

/// Asks about one, until there is an answer or nobody waits for it.
fn decide(ask: &AskView, client: &mut Client, context: &Context) -> Result<(), Error> {
    let question =
        "      allow it? [y] once, [r] for this run, [a] always, [n] deny, [s] decide later: ";
    context.output.prompt(question);
    loop {
        let answer = match line()? {
            Input::None => {
                if look(client, None, 0)?.asks.iter().all(|now| now.id != ask.id) {
                    context.output.result(json!({}), |text| {
                        text.blank();
                        text.line("      Answered elsewhere, timed out or gone.");
                    })?;
                    return Ok(());
                }
                continue;
            }
            Input::End => return Err(Error::failed("the input has ended")),
            Input::Line(text) => match text.trim().to_ascii_lowercase().as_str() {
                "y" | "yes" | "once" => AskAnswer::Once,
                "r" | "run" => AskAnswer::Run,
                "a" | "always" => AskAnswer::Always,
                "n" | "no" | "deny" => AskAnswer::Deny { reason: None },
                "s" | "skip" | "later" => return Ok(()),
                _ => {
                    context.output.prompt(question);
                    continue;
                }
            },
        };
        let done = outcome(&answer);
        match answer_ask(client, ask.id.clone(), answer) {
            Ok(view) => {
                let line = format!("      {}", told(&view, done));
                return Ok(context.output.result(json!({}), |text| text.line(line))?);
            }
            Err(error) if error.kind == ErrorKind::NotFound => {
                context.output.warning(error.message);
                return Ok(());
            }
            // It still waits; another answer may do.
            Err(error) => {
                context.output.error(error.kind, &error.message, error.hint.as_deref());
                context.output.prompt(question);
            }
        }
    }
}

enum Input {
    Line(String),
    /// Nothing yet.
    None,
    End,
}

/// A line of the terminal, if one comes soon. Unbuffered: a terminal gives one line at a time, and what
/// a buffer held back poll(2) would not tell of.
fn line() -> Result<Input, Error> {
    let input = io::stdin();
    let mut descriptors = [PollFd::new(&input, PollFlags::IN)];
    match poll(&mut descriptors, Some(&PAUSE)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Input::None),
        Ok(_) => {}
        Err(error) => return Err(Error::caused("cannot wait for the terminal", &error)),
    }
    let mut buffer = [0; MAX_LINE];
    match rustix::io::read(input.as_fd(), &mut buffer) {
        Ok(0) => Ok(Input::End),
        Ok(count) => {
            let line = buffer.get(..count).unwrap_or_default();
            Ok(Input::Line(String::from_utf8_lossy(line).into_owned()))
        }
        Err(rustix::io::Errno::INTR) => Ok(Input::None),
        Err(error) => Err(Error::caused("cannot read from the terminal", &error)),
    }
}
