//! The only place that writes to the terminal.
//!
//! A command hands over its result once, as a JSON object and as text; [`Output`] writes the one that
//! was asked for to standard output. Everything else (warnings, errors, hints) goes to standard error,
//! so that standard output is always either complete or empty.
//!
//! # JSON
//!
//! With `--json` a command writes exactly one object with `"v": 1` and the members that its
//! `--help` names. Members are added without changing `v`; a member that changes or goes raises it.
//! `log --follow` writes one such object a line. Errors are
//! `{"v":1,"error":{"kind":…,"message":…,"hint":…}}` and warnings `{"v":1,"warning":{"message":…}}`,
//! one a line, on standard error.
//!
//! # Trust
//!
//! Provider definitions, hosts and paths come from elsewhere. Whatever could steer a terminal in them
//! is made visible before it is written ([`text::visible`]); in JSON it is escaped.
//!
//! Failing: standard output that was closed by its reader is [`Error::Closed`], which `main` takes for
//! success; standard error that cannot be written is given up silently, there being nowhere to say so.

mod prompt;
mod text;

use std::{
    env, fmt,
    io::{self, IsTerminal as _, Write as _},
};

use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::{Map, Value, json};

pub use self::{
    prompt::{PromptError, can_prompt, confirm, prompt_line, prompt_secret},
    text::{Table, Text, visible},
};
use crate::protocol::ErrorKind;

/// Version of the JSON shapes.
pub const JSON_VERSION: u32 = 1;

/// Why standard output was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its reader went away, as `head` does.
    #[error("standard output was closed")]
    Closed,
    /// It could not be written.
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

/// How results and messages are written.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    color_out: bool,
    color_err: bool,
}

impl Output {
    /// `no_color` is the flag; `NO_COLOR` (no-color.org), `TERM=dumb` and streams that are no
    /// terminals have the same effect.
    #[must_use]
    pub fn new(json: bool, no_color: bool) -> Self {
        let plain = no_color
            || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            color_out: !plain && io::stdout().is_terminal(),
            color_err: !plain && io::stderr().is_terminal(),
        }
    }

    /// Was JSON asked for?
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Is standard output a terminal, where people could look over a shoulder?
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a command's result: `members` of a JSON object beside `v`, or what `human` composes.
    ///
    /// # Errors
    ///
    /// [`Error`] if standard output does not take it.
    pub fn result(&self, members: Value, human: impl FnOnce(&mut Text)) -> Result<(), Error> {
        if self.json {
            return self.json(members);
        }
        let mut text = Text::new(self.color_out);
        human(&mut text);
        write_out(text.as_str())
    }

    /// Writes `members` beside `v` whatever was asked for: verbs whose format is a flag of their own.
    ///
    /// # Errors
    ///
    /// [`Error`] if standard output does not take it.
    pub fn json(&self, members: Value) -> Result<(), Error> {
        let object = versioned(members);
        // Indented for a person; a stream of entries stays one a line.
        let text = if io::stdout().is_terminal() && !object.contains_key("entry") {
            serde_json::to_string_pretty(&object)
        } else {
            serde_json::to_string(&object)
        };
        write_out(&format!("{}\n", text::escape_json(&text.unwrap_or_default())))
    }

    /// Writes `members` beside `v` in one line, as one of several.
    ///
    /// # Errors
    ///
    /// [`Error`] if standard output does not take it.
    pub fn line(&self, members: Value) -> Result<(), Error> {
        let text = serde_json::to_string(&versioned(members)).unwrap_or_default();
        write_out(&format!("{}\n", text::escape_json(&text)))
    }

    /// Writes `text` exactly as it is: completions, exported variables, one value.
    ///
    /// # Errors
    ///
    /// [`Error`] if standard output does not take it.
    pub fn raw(&self, text: &str) -> Result<(), Error> {
        write_out(text)
    }

    /// Tells the person at the terminal something that is no result; nothing in JSON mode.
    pub fn note(&self, message: impl fmt::Display) {
        if !self.json {
            self.stderr(format_args!("authsome: {}", visible(&message.to_string())));
        }
    }

    /// The same while another program has the terminal: nothing if that draws on it, which is when it
    /// reads keys one by one (termios(3), `ICANON`).
    pub fn aside(&self, message: impl fmt::Display) {
        let drawn_on = tcgetattr(io::stderr())
            .is_ok_and(|mode| !mode.local_flags.contains(LocalFlags::ICANON));
        if !drawn_on {
            self.note(message);
        }
    }

    /// Asks something on standard error and stays in the line; see [`prompt_line`] for the usual way.
    pub fn prompt(&self, question: &str) {
        let mut err = io::stderr().lock();
        // Who cannot be asked does not answer.
        let _: io::Result<()> =
            err.write_all(visible(question).as_bytes()).and_then(|()| err.flush());
    }

    /// Warns.
    pub fn warning(&self, message: impl fmt::Display) {
        let message = message.to_string();
        if self.json {
            self.stderr_json(json!({ "warning": { "message": message } }));
        } else {
            let label = self.label("warning", "33");
            self.stderr(format_args!("authsome: {label}: {}", visible(&message)));
        }
    }

    /// Reports what ended the command.
    pub fn error(&self, kind: ErrorKind, message: &str, hint: Option<&str>) {
        if self.json {
            let error = json!({ "kind": kind, "message": message, "hint": hint });
            self.stderr_json(json!({ "error": error }));
            return;
        }
        let label = self.label("error", "31");
        self.stderr(format_args!("authsome: {label}: {}", visible(message)));
        if let Some(hint) = hint {
            let label = self.label("hint", "36");
            self.stderr(format_args!("authsome: {label}: {}", visible(hint)));
        }
    }

    fn label(&self, word: &str, color: &str) -> String {
        if self.color_err { format!("\x1b[{color}m{word}\x1b[0m") } else { word.to_owned() }
    }

    fn stderr_json(&self, members: Value) {
        let text = serde_json::to_string(&versioned(members)).unwrap_or_default();
        self.stderr(format_args!("{}", text::escape_json(&text)));
    }

    fn stderr(&self, line: fmt::Arguments<'_>) {
        // One write, so that lines of several processes do not mix.
        let line = format!("{line}\n");
        let _: io::Result<()> = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn versioned(members: Value) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("v".to_owned(), json!(JSON_VERSION));
    if let Value::Object(members) = members {
        object.extend(members);
    }
    object
}

fn write_out(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe { Error::Closed } else { Error::Write(error) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_json_object_begins_with_its_version() {
        let text = serde_json::to_string(&versioned(json!({ "name": "x" }))).unwrap();

        assert_eq!(text, r#"{"v":1,"name":"x"}"#);
    }
}
