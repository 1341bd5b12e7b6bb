//! The next lines, as they are written, from one file to the next.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    audit::{Entry, Error, Result, segments},
    paths,
};

/// How often [`Follow`] looks for new lines.
const POLL: Duration = Duration::from_millis(100);

/// How much is read at a time.
const CHUNK: u64 = 1024 * 1024;

/// Entries as they are written. As an iterator it waits for the next one and never ends.
///
/// When the file is full, reading goes on in those that follow it. If it shrinks, or another takes its
/// name without that it is kept, reading goes on at the beginning of what is there.
#[derive(Debug)]
pub struct Follow {
    log: PathBuf,
    open: Option<Position>,
    ready: VecDeque<Entry>,
}

#[derive(Debug)]
struct Position {
    file: File,
    offset: u64,
    /// A line whose end has not been written yet.
    rest: Vec<u8>,
}

/// Follows the log from its present end on. There need not be one yet.
///
/// # Errors
/// [`Error::Read`], [`Error::Path`].
pub fn follow(log: &Path) -> Result<Follow> {
    let mut follow = Follow { log: log.to_owned(), open: None, ready: VecDeque::new() };
    if let Some(file) = paths::open_private(log)? {
        let offset = follow.check(file.metadata())?.len();
        follow.open = Some(Position { file, offset, rest: Vec::new() });
    }
    Ok(follow)
}

impl Follow {
    /// What has been written since the last call. Does not wait.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Path`].
    pub fn poll(&mut self) -> Result<Vec<Entry>> {
        loop {
            // Looked at before our file is read: if it has another's name by then, it is whole.
            let written = paths::open_private(&self.log)?;
            if let Some(position) = &mut self.open {
                let read = position.read();
                let (entries, more) = self.check(read)?;
                if !entries.is_empty() || more {
                    return Ok(entries);
                }
            }
            // In the moment between two files there is none.
            let Some(written) = written else { return Ok(Vec::new()) };
            let Some(next) = self.next_file(written)? else { return Ok(Vec::new()) };
            self.open = Some(Position { file: next, offset: 0, rest: Vec::new() });
        }
    }

    /// The file to go on with after ours; none if ours is the one that is written.
    fn next_file(&self, written: File) -> Result<Option<File>> {
        let Some(position) = &self.open else { return Ok(Some(written)) };
        let ours = self.check(position.file.metadata())?;
        let found = self.check(written.metadata())?;
        if same(&ours, &found) {
            return Ok((found.len() < position.offset).then_some(written));
        }
        let mut full = Vec::new();
        for segment in segments::sealed(&self.log)? {
            if let Some(file) = paths::open_private(&segment.path)? {
                full.push(file);
            }
        }
        let mut files = full.into_iter();
        while let Some(file) = files.next() {
            if same(&ours, &self.check(file.metadata())?) {
                return Ok(Some(files.next().unwrap_or(written)));
            }
        }
        Ok(Some(written))
    }

    fn check<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Read { path: self.log.clone(), source })
    }
}

fn same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

impl Position {
    /// Whole lines since the last call, and whether there may be more already.
    fn read(&mut self) -> io::Result<(Vec<Entry>, bool)> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let count = (&self.file).take(CHUNK).read_to_end(&mut self.rest)? as u64;
        self.offset += count;
        let begin = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let unended = self.rest.split_off(begin);
        let lines = std::mem::replace(&mut self.rest, unended);
        let entries = lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        Ok((entries, count == CHUNK))
    }
}

impl Iterator for Follow {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(Ok(entry));
            }
            match self.poll() {
                Ok(entries) if entries.is_empty() => thread::sleep(POLL),
                Ok(entries) => self.ready = entries.into(),
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
