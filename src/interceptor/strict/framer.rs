//! Where each request of an HTTP/1.1 connection begins and ends, and whether it may pass.
//!
//! Pure: bytes in, a verdict out. A head is released whole, after all of it was checked; body bytes
//! are released as they come.

use memchr::memchr;

use super::{
    chunk::Chunked,
    head::{Body, Head},
};

/// Longest head, the empty lines before it included.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// Its head, which was not released.
    Head(&'static str),
    /// Its body, the head of which was.
    Body(&'static str),
}

/// What came of looking at bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// This many of them, from the front, may pass.
    pub(super) released: usize,
    /// Then comes this; nothing after it is ever released.
    pub(super) violation: Option<Violation>,
}

/// Follows one direction of a connection.
#[derive(Debug)]
pub(super) struct Framer {
    state: State,
    /// The request being read may turn the connection into something else.
    may_switch: bool,
}

#[derive(Debug)]
enum State {
    Head {
        head: Head,
        line_start: usize,
        searched: usize,
    },
    Length(u64),
    Chunked(Chunked),
    /// All of a request that may switch protocols has passed.
    Waiting,
    Failed(Violation),
}

impl State {
    fn new_head() -> Self {
        Self::Head { head: Head::default(), line_start: 0, searched: 0 }
    }
}

impl Framer {
    pub(super) fn new() -> Self {
        Self { state: State::new_head(), may_switch: false }
    }

    /// Whether nothing is released until [`Framer::answered`].
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    /// The server has begun to answer and did not switch: what follows is a request.
    pub(super) fn answered(&mut self) {
        if self.is_waiting() {
            self.state = State::new_head();
        }
    }

    /// Looks at all bytes that were not released yet: those that an earlier call saw and kept, and new
    /// ones behind them.
    pub(super) fn examine(&mut self, bytes: &[u8]) -> Progress {
        let mut released = 0;
        loop {
            let rest = bytes.get(released..).unwrap_or_default();
            match self.step(rest) {
                Ok(Some(passed)) => released += passed,
                Ok(None) => return Progress { released, violation: None },
                Err(violation) => {
                    self.state = State::Failed(violation);
                    return Progress { released, violation: Some(violation) };
                }
            }
        }
    }

    /// Releases the next part; none if that takes more bytes or an answer.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Violation> {
        match &mut self.state {
            State::Failed(violation) => Err(*violation),
            State::Waiting => Ok(None),
            _ if bytes.is_empty() => Ok(None),
            State::Head { head, line_start, searched } => {
                let end = read_head(head, line_start, searched, bytes).map_err(Violation::Head)?;
                let Some(end) = end else { return Ok(None) };
                self.may_switch = head.may_switch();
                match head.body() {
                    Body::Chunked => self.state = State::Chunked(Chunked::START),
                    Body::Length(0) => self.end_request(),
                    Body::Length(length) => self.state = State::Length(length),
                }
                Ok(Some(end))
            }
            State::Length(left) => {
                let passed = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(passed as u64);
                if *left == 0 {
                    self.end_request();
                }
                Ok(Some(passed))
            }
            State::Chunked(chunked) => {
                let (passed, ended) = chunked.advance(bytes).map_err(Violation::Body)?;
                if ended {
                    self.end_request();
                }
                Ok(Some(passed))
            }
        }
    }

    fn end_request(&mut self) {
        self.state = if self.may_switch { State::Waiting } else { State::new_head() };
    }
}

/// Checks the lines that became complete since the last call; the head's length once it is.
fn read_head(
    head: &mut Head,
    line_start: &mut usize,
    searched: &mut usize,
    bytes: &[u8],
) -> Result<Option<usize>, &'static str> {
    while let Some(found) = memchr(b'\n', bytes.get(*searched..).unwrap_or_default()) {
        let end = *searched + found;
        let line = bytes.get(*line_start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").ok_or("http-bare-lf")?;
        *line_start = end + 1;
        *searched = *line_start;
        if *line_start > MAX_HEAD {
            return Err("http-head-too-large");
        }
        if head.line(line)? {
            return Ok(Some(*line_start));
        }
    }
    *searched = bytes.len();
    if bytes.len() > MAX_HEAD { Err("http-head-too-large") } else { Ok(None) }
}

#[cfg(test)]
mod tests;
