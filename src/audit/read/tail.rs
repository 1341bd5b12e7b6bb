//! The last lines, read from the end.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt, path::Path};

use crate::{
    audit::{Entry, Error, Result, segments::Segments},
    paths,
};

/// How much is read at a time.
const BLOCK: u64 = 64 * 1024;

/// The last `count` entries, oldest first. Remnants of crashes are passed over; no log is an empty log.
///
/// # Errors
/// [`Error::Read`], [`Error::Path`].
pub fn tail(log: &Path, count: usize) -> Result<Vec<Entry>> {
    matching(log, count, |_| true)
}

/// The last `count` entries that are `wanted`, oldest first. Reads back as far as it takes.
///
/// # Errors
/// [`Error::Read`], [`Error::Path`].
pub fn matching(log: &Path, count: usize, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
    let segments = Segments::open(log)?;
    let mut found = Found { entries: VecDeque::new(), count, wanted };
    if let Some(active) = &segments.active {
        found.read(active).map_err(|source| Error::Read { path: log.to_owned(), source })?;
    }
    for segment in segments.sealed.iter().rev() {
        if found.is_full() {
            break;
        }
        // Gone by now: it was too old to be kept, and so are those before it.
        let Some(file) = paths::open_private(&segment.path)? else { break };
        found.read(&file).map_err(|source| Error::Read { path: segment.path.clone(), source })?;
    }
    Ok(found.entries.into())
}

struct Found<F> {
    entries: VecDeque<Entry>,
    count: usize,
    wanted: F,
}

impl<F: Fn(&Entry) -> bool> Found<F> {
    fn is_full(&self) -> bool {
        self.entries.len() >= self.count
    }

    /// Takes what is wanted from one file, last line first.
    fn read(&mut self, file: &File) -> io::Result<()> {
        let mut start = file.metadata()?.len();
        // The beginning of the block read before: a line that began in the block before that.
        let mut rest = Vec::new();
        while start > 0 && !self.is_full() {
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
                if self.is_full() {
                    return Ok(());
                }
                if let Ok(entry) = serde_json::from_slice(line)
                    && (self.wanted)(&entry)
                {
                    self.entries.push_front(entry);
                }
            }
        }
        Ok(())
    }
}
