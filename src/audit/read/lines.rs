//! All lines of a log, oldest first, through one buffer.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    audit::{
        Error, Result,
        open::LINE_MAX,
        segments::{Sealed, Segments},
    },
    paths,
};

/// How much is read at a time.
const BLOCK: usize = 256 * 1024;

/// Where a line stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: PathBuf,
    /// Line in the file, from 1.
    pub(super) line: u64,
    /// Bytes of the file before it.
    pub(super) byte: u64,
}

pub(super) struct Lines {
    log: PathBuf,
    sealed: VecDeque<Sealed>,
    active: Option<File>,
    input: Option<BufReader<File>>,
    /// The line read last, without its line feed if it has one.
    line: Vec<u8>,
    is_ended: bool,
    spot: Spot,
    next_byte: u64,
    files: u64,
}

impl Lines {
    pub(super) fn new(log: &Path, segments: Segments) -> Self {
        Self {
            log: log.to_owned(),
            sealed: segments.sealed.into(),
            active: segments.active,
            input: None,
            line: Vec::new(),
            is_ended: false,
            spot: Spot { file: log.to_owned(), line: 1, byte: 0 },
            next_byte: 0,
            files: 0,
        }
    }

    /// Reads the next line; `false` at the end of the last file.
    pub(super) fn advance(&mut self) -> Result<bool> {
        loop {
            if self.input.is_none() && !self.next_file()? {
                return Ok(false);
            }
            let Some(input) = &mut self.input else { return Ok(false) };
            self.line.clear();
            let read = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.line);
            let count =
                read.map_err(|source| Error::Read { path: self.spot.file.clone(), source })? as u64;
            self.spot.byte = self.next_byte;
            self.spot.line += 1;
            self.next_byte += count;
            if count > 0 {
                self.is_ended = self.line.pop_if(|byte| *byte == b'\n').is_some();
                return Ok(true);
            }
            self.input = None;
        }
    }

    fn next_file(&mut self) -> Result<bool> {
        let (path, file) = if let Some(segment) = self.sealed.pop_front() {
            let file = paths::open_private(&segment.path)?.ok_or_else(|| Error::Read {
                path: segment.path.clone(),
                source: io::ErrorKind::NotFound.into(),
            })?;
            (segment.path, file)
        } else if let Some(active) = self.active.take() {
            (self.log.clone(), active)
        } else {
            return Ok(false);
        };
        self.spot = Spot { file: path, line: 0, byte: 0 };
        self.next_byte = 0;
        self.files += 1;
        self.input = Some(BufReader::with_capacity(BLOCK, file));
        Ok(true)
    }

    /// The line, without its line feed.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Does the file end within it, and nothing come after it?
    pub(super) fn is_being_written(&self) -> bool {
        !self.is_ended
            && (self.line.len() as u64) < LINE_MAX
            && self.sealed.is_empty()
            && self.active.is_none()
    }

    /// Has it a line feed?
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Files begun so far.
    pub(super) fn files(&self) -> u64 {
        self.files
    }
}
