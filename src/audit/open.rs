//! Where an existing log goes on: which file, after which line, and what has to be said first.
//!
//! A crash leaves half a line, or a new file that was not begun; both are mended here. Whether the log
//! is what its signed head says is looked at before anything is signed again: what is wrong becomes a
//! line of the log, so that it stays seen. Nothing is ever removed.

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use super::{
    Error, Event, Result, SignedHead, Signing,
    chain::{self, Head, Link},
    head::{self, Found, Place},
    recover::{self, End},
    segments::{self, Sealed, beside},
};
use crate::paths;

/// More than the longest line.
pub(super) const LINE_MAX: u64 = 64 * 1024;

/// Says that this process writes the log. The files of the log change their names; this one does not.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(log: &Path) -> Result<Self> {
        let file = paths::append_private(&beside(log, "lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Held { path: log.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::Read { path: log.to_owned(), source }),
        }
    }
}

/// Where writing begins.
pub(super) struct Start {
    pub(super) file: Arc<File>,
    /// The last line that is in the file.
    pub(super) place: Place,
    pub(super) length: u64,
    /// What has to be written first, and where the chain stands after it.
    pub(super) pending: Vec<u8>,
    pub(super) next: Head,
    pub(super) alarm: Option<String>,
}

impl Start {
    /// For whoever holds the lock.
    pub(super) fn find(log: &Path, signing: Option<&Signing>) -> Result<Self> {
        let read_error = |source| Error::Read { path: log.to_owned(), source };
        let sealed = undo_rotation(log, segments::sealed(log)?)?;
        let before = match sealed.last() {
            Some(newest) => head_of(newest)?,
            None => Head::default(),
        };
        let file = paths::append_private(log)?;
        let mut pending = Vec::new();
        let (head, noted) = match recover::end(&file, &before).map_err(read_error)? {
            End::Whole(head) => (head, None),
            End::Unended(head) => {
                pending.push(b'\n');
                (head, None)
            }
            End::Torn(head, event) => {
                pending.push(b'\n');
                (head, Some(*event))
            }
            End::Damaged => return Err(Error::Damaged { path: log.to_owned() }),
        };
        let first = first_line(&file)
            .map_err(read_error)?
            .map_or(head.seq.saturating_add(1), |first| first.seq);
        let length = file.metadata().map_err(read_error)?.len();
        let place = Place { head: head.clone(), file: first, end: length };
        let looked = match signing {
            Some(signing) => {
                Look { log, file: &file, sealed: &sealed, place: &place }.at(signing)?
            }
            None => Looked::Fine,
        };
        let mut alarm = None;
        let said = match looked {
            Looked::Fine => None,
            Looked::Noted(operation) => Some(Event::of_log(operation)),
            Looked::Alarm(what) => {
                tracing::error!(path = %log.display(), what, "the audit log was tampered with");
                let error = Some(what.clone().into());
                alarm = Some(what);
                Some(Event { error, ..Event::of_log("tampered") })
            }
        };
        let mut next = head;
        for mut event in noted.into_iter().chain(said) {
            event.bound();
            chain::write(&event, &mut next, &mut pending, &mut Vec::new())
                .map_err(|e| Error::Write { path: log.to_owned(), source: Arc::new(e.into()) })?;
        }
        Ok(Self { file: Arc::new(file), place, length, pending, next, alarm })
    }
}

/// A crash can leave the newest full file without one that follows it, or with an empty one. It gets
/// its old name back: it is full still, and will be renamed again.
fn undo_rotation(log: &Path, mut sealed: Vec<Sealed>) -> Result<Vec<Sealed>> {
    let is_begun = match fs::symlink_metadata(log) {
        Ok(found) => found.len() > 0,
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(source) => return Err(Error::Read { path: log.to_owned(), source }),
    };
    if !is_begun && let Some(newest) = sealed.pop() {
        fs::rename(&newest.path, log)
            .map_err(|e| Error::Write { path: log.to_owned(), source: Arc::new(e) })?;
    }
    Ok(sealed)
}

/// The last line of a full file.
fn head_of(segment: &Sealed) -> Result<Head> {
    let path = &segment.path;
    let file = paths::open_private(path)?.ok_or_else(|| Error::Damaged { path: path.clone() })?;
    match recover::end(&file, &Head::default()) {
        Ok(End::Whole(head) | End::Unended(head) | End::Torn(head, _)) => Ok(head),
        Ok(End::Damaged) => Err(Error::Damaged { path: path.clone() }),
        Err(source) => Err(Error::Read { path: path.clone(), source }),
    }
}

/// Number of the first line in a file, and the hash of the line before it.
pub(super) fn first_line(file: &File) -> io::Result<Option<Head>> {
    let mut input = BufReader::new(file).take(recover::TAIL_MAX);
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        // What is no line is what a crash left.
        if let Some(link) = Link::parse(line.strip_suffix(b"\n").unwrap_or(&line)) {
            return Ok(Some(Head { seq: link.seq, hash: link.prev.to_owned() }));
        }
    }
}

/// What came of looking at the log and its signed heads.
enum Looked {
    Fine,
    /// Nothing that an owner could not have done; this goes on record.
    Noted(&'static str),
    Alarm(String),
}

struct Look<'a> {
    log: &'a Path,
    file: &'a File,
    sealed: &'a [Sealed],
    place: &'a Place,
}

impl Look<'_> {
    fn at(&self, signing: &Signing) -> Result<Looked> {
        let key = signing.signer.public_key();
        let is_empty = self.place.head.seq == 0 && self.sealed.is_empty();
        let found = head::read(self.log)?;
        let ours = match &found {
            Found::Head(head) if head.holds(&key) => Some(&**head),
            Found::Head(_) | Found::Unreadable | Found::Nothing => None,
        };
        let Some(remembered) = &signing.remembered else {
            return match (ours, found.is_there()) {
                (Some(head), _) => self.compare(head),
                // A vault that was made anew has a new key.
                (None, true) if !is_empty => Ok(Looked::Noted("rekeyed")),
                (None, _) => Ok(Looked::Fine),
            };
        };
        let alarm = |what: String| Ok(Looked::Alarm(what));
        match ours {
            // Its owner has put it away, or somebody all of it.
            None if is_empty && !found.is_there() => Ok(Looked::Noted("began")),
            None if !found.is_there() => alarm("the signed head is missing".to_owned()),
            None => alarm("the signed head was changed".to_owned()),
            Some(head) if head.seq < remembered.seq => alarm(format!(
                "the signed head is an older one: it names line {}, and line {} was signed",
                head.seq, remembered.seq
            )),
            Some(head) => self.compare(head),
        }
    }

    fn compare(&self, head: &SignedHead) -> Result<Looked> {
        if self.has(head)? {
            return Ok(Looked::Fine);
        }
        let last = self.place.head.seq;
        Ok(Looked::Alarm(if last < head.seq {
            format!("lines were cut off: the last is {last}, and line {} was signed", head.seq)
        } else {
            format!("line {} is not the one that was signed", head.seq)
        }))
    }

    /// Is the line there that the head names?
    fn has(&self, head: &SignedHead) -> Result<bool> {
        if head.seq == 0 {
            return Ok(true);
        }
        let opened;
        let (file, path) = if head.file == self.place.file {
            (self.file, self.log)
        } else {
            let Some(segment) = self.sealed.iter().find(|segment| segment.first == head.file)
            else {
                return Ok(false);
            };
            let Some(file) = paths::open_private(&segment.path)? else { return Ok(false) };
            opened = file;
            (&opened, &*segment.path)
        };
        let start = head.end.saturating_sub(LINE_MAX);
        let mut bytes = vec![0; usize::try_from(head.end - start).unwrap_or_default()];
        match file.read_exact_at(&mut bytes, start) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        }
        let lines = bytes.strip_suffix(b"\n").unwrap_or_default();
        let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(Link::parse(line)
            .is_some_and(|link| link.seq == head.seq && link.hash == head.hash && link.holds()))
    }
}
