//! Reading the log: its last lines, its next lines, and whether its chain holds. Takes no lock, so it
//! works while the daemon writes.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub use super::chain::Head;
use super::{
    Entry, Error, Kind, Result,
    chain::{Link, VERSION, digest},
};
use crate::paths;

/// Longest line that is read as one. Ours stay far below.
const LINE_MAX: u64 = 64 * 1024;

/// How much is read at a time from the end.
const BLOCK: u64 = 64 * 1024;

/// How often [`Follow`] looks for new lines.
const POLL: Duration = Duration::from_millis(100);

/// The last `count` entries, oldest first. Remnants of crashes are passed over; no log is an empty log.
///
/// # Errors
/// [`Error::Read`], [`Error::Path`].
pub fn tail(path: &Path, count: usize) -> Result<Vec<Entry>> {
    let Some(file) = paths::open_private(path)? else {
        return Ok(Vec::new());
    };
    last(&file, count).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn last(file: &File, count: usize) -> io::Result<Vec<Entry>> {
    let mut entries = VecDeque::new();
    let mut start = file.metadata()?.len();
    // The beginning of the block read before: a line that began in the block before that.
    let mut rest = Vec::new();
    while start > 0 && entries.len() < count {
        let length = start.min(BLOCK);
        start -= length;
        let mut block = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut block, start)?;
        block.append(&mut rest);
        let begin = if start == 0 {
            0
        } else {
            block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1)
        };
        let lines = block.split_off(begin);
        rest = block;
        for line in lines.rsplit(|byte| *byte == b'\n') {
            if entries.len() < count
                && let Ok(entry) = serde_json::from_slice(line)
            {
                entries.push_front(entry);
            }
        }
    }
    Ok(entries.into())
}

/// Entries as they are written. As an iterator it waits for the next one and never ends.
///
/// If the file shrinks or another takes its name, reading goes on at the beginning of what is there.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
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
pub fn follow(path: &Path) -> Result<Follow> {
    let mut follow = Follow { path: path.to_owned(), open: None, ready: VecDeque::new() };
    if let Some(file) = paths::open_private(path)? {
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
        let Some(current) = paths::open_private(&self.path)? else {
            self.open = None;
            return Ok(Vec::new());
        };
        let found = self.check(current.metadata())?;
        let same = match &self.open {
            Some(position) => {
                let before = self.check(position.file.metadata())?;
                (before.dev(), before.ino()) == (found.dev(), found.ino())
                    && found.len() >= position.offset
            }
            None => false,
        };
        if !same {
            self.open = Some(Position { file: current, offset: 0, rest: Vec::new() });
        }
        let Some(position) = &mut self.open else {
            return Ok(Vec::new());
        };
        let read = position.read();
        self.check(read)
    }

    fn check<T>(&self, result: io::Result<T>) -> Result<T> {
        result.map_err(|source| Error::Read { path: self.path.clone(), source })
    }
}

impl Position {
    fn read(&mut self) -> io::Result<Vec<Entry>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.offset += self.file.read_to_end(&mut self.rest)? as u64;
        let begin = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let unended = self.rest.split_off(begin);
        let lines = std::mem::replace(&mut self.rest, unended);
        Ok(lines
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
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

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that hold, up to the first problem.
    pub records: u64,
    /// Remnants of crashes among them that a later line vouches for.
    pub recovered: u64,
    /// The file ends within a line: it is being written, or a crash is not recovered from yet.
    pub unended: bool,
    /// What is wrong, if anything is; nothing after it was looked at.
    pub first_problem: Option<Problem>,
    /// The last line that holds. Cutting lines off the end can only be seen by comparing this with one
    /// remembered elsewhere.
    pub head: Head,
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Reads the whole log and checks each line's hash, number and link. No log holds.
///
/// # Errors
/// [`Error::Read`], [`Error::Path`]. A broken chain is no error here but what the report is about.
pub fn verify(path: &Path) -> Result<Report> {
    let Some(file) = paths::open_private(path)? else {
        return Ok(Report::default());
    };
    check_chain(BufReader::new(file))
        .map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn check_chain(mut input: impl BufRead) -> io::Result<Report> {
    let mut report = Report::default();
    let mut line = Vec::new();
    // Bytes that are no line, and the number of the first such line.
    let mut remnant: Option<(u64, Vec<u8>)> = None;
    for number in 1.. {
        line.clear();
        if input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let content = line.strip_suffix(b"\n");
        let Some(link) = content.and_then(Link::parse) else {
            if content.is_none() && (line.len() as u64) < LINE_MAX {
                report.unended = true;
                break;
            }
            let (_, bytes) = remnant.get_or_insert_with(|| (number, Vec::new()));
            bytes.extend_from_slice(&line);
            if bytes.len() as u64 > super::recover::TAIL_MAX {
                break;
            }
            continue;
        };
        let content = content.unwrap_or_default();
        if let Some((first, bytes)) = remnant.take() {
            if !vouches(content, &bytes) {
                report.first_problem =
                    Some(Problem { line: first, what: "it is no line of the log".to_owned() });
                return Ok(report);
            }
            report.recovered += 1;
        }
        if let Some(what) = fault(&link, content, &report.head) {
            report.first_problem = Some(Problem { line: number, what });
            return Ok(report);
        }
        report.records += 1;
        report.head = Head { seq: link.seq, hash: link.hash };
    }
    if let Some((first, _)) = remnant {
        report.first_problem =
            Some(Problem { line: first, what: "it is no line of the log".to_owned() });
    }
    Ok(report)
}

/// Is `line` the log's note about this remnant?
fn vouches(line: &[u8], remnant: &[u8]) -> bool {
    // Recovery ended it with a line feed that is not part of it.
    let remnant = remnant.strip_suffix(b"\n").unwrap_or(remnant);
    serde_json::from_slice::<Entry>(line).is_ok_and(|entry| {
        entry.event.kind == Kind::Log
            && entry.event.torn.is_some_and(|torn| {
                torn.bytes == remnant.len() as u64 && torn.sha256 == digest(remnant)
            })
    })
}

/// What is wrong with a line that follows `head`.
fn fault(link: &Link, line: &[u8], head: &Head) -> Option<String> {
    if link.v != VERSION {
        return Some(format!("its format {} is unknown", link.v));
    }
    if !link.holds(line) {
        return Some("it was changed: its hash does not fit".to_owned());
    }
    if link.seq != head.seq + 1 {
        return Some(format!("it is number {}, and {} should follow", link.seq, head.seq + 1));
    }
    if link.prev != head.hash {
        return Some("it does not follow from the line before".to_owned());
    }
    None
}
