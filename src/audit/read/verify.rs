//! Checking: each line's hash, number and link, through all files, and the whole against what was
//! signed. Reads every byte once, through one buffer, and parses JSON only in lines of the log about
//! itself.

use std::{io, path::Path};

use super::{
    lines::{Lines, Spot},
    report::{Fault, KeyFrom, Problem, Report, Signed},
};
use crate::audit::{
    Deleted, Entry, Error, Kind, PublicKey, Result, SignedHead,
    chain::{Head, Link, VERSION, ZEROS, digest},
    head::{self, Found},
    recover::TAIL_MAX,
    segments::Segments,
};

/// How often it begins anew when the oldest file is deleted under it.
const ATTEMPTS: usize = 4;

/// How far into a line its kind stands: after `v`, `seq` and `time`.
const KIND_WITHIN: usize = 128;

/// What is known from elsewhere about a log, such as from the daemon that writes it.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The key its heads are signed with.
    pub key: Option<PublicKey>,
    /// A line it must have.
    pub head: Option<Head>,
}

/// Checks the whole log with what lies beside it. No log holds.
///
/// # Errors
/// [`Error::Read`], [`Error::Path`]. A broken chain is no error here but what the report is about.
pub fn verify(log: &Path) -> Result<Report> {
    verify_with(log, &Trust::default())
}

/// The same, with what is known from elsewhere.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(log: &Path, trust: &Trust) -> Result<Report> {
    let mut attempts = 1;
    loop {
        // The head before the lines: what is written meanwhile makes them more, never fewer.
        let claim = Claim::find(log, trust)?;
        match Check::new(log, claim, trust)?.run() {
            Err(Error::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS =>
            {
                attempts += 1;
            }
            result => return result,
        }
    }
}

/// What the signed head says.
struct Claim {
    signed: Option<(SignedHead, KeyFrom)>,
    key: Option<PublicKey>,
    fault: Option<Fault>,
}

impl Claim {
    fn find(log: &Path, trust: &Trust) -> Result<Self> {
        let mut known = trust.key.map(|key| (key, KeyFrom::Caller));
        if known.is_none() {
            known = head::kept_key(log)?.map(|key| (key, KeyFrom::File));
        }
        let found = head::read(log)?;
        if let (None, Found::Head(head)) = (known, &found) {
            known = head.named_key().map(|key| (key, KeyFrom::Head));
        }
        let key = known.map(|(key, _)| key);
        Ok(match (found, known) {
            (Found::Nothing, None) => Self { signed: None, key, fault: None },
            (Found::Nothing, Some(_)) => {
                Self { signed: None, key, fault: Some(Fault::HeadMissing) }
            }
            (Found::Head(head), Some((key, from))) if head.holds(&key) => {
                Self { signed: Some((*head, from)), key: Some(key), fault: None }
            }
            (Found::Head(_) | Found::Unreadable, _) => {
                Self { signed: None, key, fault: Some(Fault::HeadForged) }
            }
        })
    }
}

struct Check<'a> {
    log: &'a Path,
    lines: Lines,
    claim: Claim,
    /// Lines that must be there.
    wanted: Vec<Head>,
    report: Report,
    /// The line before the first, which a later one must say was deleted.
    before: Option<Head>,
    first: Spot,
    /// Bytes that are no line, and where they begin.
    remnant: Option<(Spot, Vec<u8>)>,
}

impl<'a> Check<'a> {
    fn new(log: &'a Path, claim: Claim, trust: &Trust) -> Result<Self> {
        let signed = claim.signed.as_ref();
        let signed = signed.map(|(head, _)| Head { seq: head.seq, hash: head.hash.clone() });
        let wanted = signed.into_iter().chain(trust.head.clone()).filter(|head| head.seq > 0);
        Ok(Self {
            log,
            lines: Lines::new(log, Segments::open(log)?),
            wanted: wanted.collect(),
            claim,
            report: Report::default(),
            before: None,
            first: Spot::default(),
            remnant: None,
        })
    }

    fn run(mut self) -> Result<Report> {
        let broken = self.chain()?;
        let problem = match broken {
            Some(problem) => Some(self.explained(problem)?),
            None => None,
        };
        self.report.files = self.lines.files();
        self.report.first_problem = self.begins_late().or(problem).or_else(|| self.against_head());
        if self.report.first_problem.is_none() {
            self.report.signed = self.claim.signed.map(|(head, key_from)| Signed {
                seq: head.seq,
                time: head.time,
                key: head.named_key().unwrap_or_default(),
                key_from,
            });
        }
        Ok(self.report)
    }

    /// Goes through the lines up to the first that is wrong.
    fn chain(&mut self) -> Result<Option<Problem>> {
        while self.lines.advance()? {
            if self.lines.is_being_written() {
                self.report.unended = true;
                break;
            }
            let line = self.lines.line();
            let parsed = Link::parse(line).filter(|_| self.lines.is_ended());
            let Some(link) = parsed else {
                let spot = self.lines.spot();
                let (_, bytes) = self.remnant.get_or_insert_with(|| (spot.clone(), Vec::new()));
                bytes.extend_from_slice(line);
                if self.lines.is_ended() {
                    bytes.push(b'\n');
                }
                if bytes.len() as u64 > TAIL_MAX {
                    break;
                }
                continue;
            };
            if let Some((spot, bytes)) = self.remnant.take() {
                if !vouches(line, &bytes) {
                    return Ok(Some(Problem::new(&spot, Fault::NotALine)));
                }
                self.report.recovered += 1;
            }
            if self.report.records == 0 {
                self.first = self.lines.spot().clone();
                self.report.begins = link.seq;
                if link.seq > 1 {
                    let before = Head { seq: link.seq - 1, hash: link.prev.to_owned() };
                    self.report.head = before.clone();
                    self.before = Some(before);
                }
            }
            let about_itself = about_itself(line);
            let fault = fault(&link, &self.report.head)
                .or_else(|| self.unwanted(&link))
                .or_else(|| about_itself.as_ref().and_then(|entry| self.contradicts(entry)));
            let head = link.head();
            if let Some(fault) = fault {
                return Ok(Some(Problem::new(self.lines.spot(), fault)));
            }
            self.report.records += 1;
            self.report.head = head;
            if let Some(entry) = about_itself {
                self.report.lost += entry.event.lost.unwrap_or_default();
                self.note_deleted(entry.event.deleted.as_deref());
            }
        }
        let remnant = self.remnant.take();
        Ok(remnant.map(|(spot, _)| Problem::new(&spot, Fault::NotALine)))
    }

    /// Is it in the place of a line that was signed, and another?
    fn unwanted(&self, link: &Link<'_>) -> Option<Fault> {
        let other = |head: &&Head| head.seq == link.seq && head.hash != link.hash;
        self.wanted.iter().find(other).map(|head| Fault::AnotherChain { seq: head.seq })
    }

    /// What a line of the log about itself says against it.
    fn contradicts(&self, entry: &Entry) -> Option<Fault> {
        if entry.event.operation.as_deref() == Some("tampered") {
            let what = entry.event.error.as_deref().unwrap_or_default();
            return Some(Fault::Noted(what.to_owned()));
        }
        let checkpoint = entry.event.checkpoint.as_deref()?;
        let holds = checkpoint.holds(&self.report.head, self.claim.key.as_ref()?);
        (holds == Some(false)).then_some(Fault::CheckpointForged)
    }

    fn note_deleted(&mut self, deleted: Option<&Deleted>) {
        let fits = |before: &Head| {
            deleted.is_some_and(|it| it.through == before.seq && it.hash == before.hash)
        };
        if self.before.as_ref().is_some_and(fits) {
            self.before = None;
        }
    }

    /// Looks through the rest: for the line that should have been where another was found, and for one
    /// that says that the lines before the first were deleted.
    fn explained(&mut self, mut problem: Problem) -> Result<Problem> {
        let is_missing = matches!(problem.fault, Fault::Missing { .. });
        let is_done = |check: &Self| !is_missing && check.before.is_none();
        while !is_done(self) && self.lines.advance()? {
            let Some(link) = Link::parse(self.lines.line()).filter(Link::holds) else { continue };
            if let Fault::Missing { found, expected, .. } = problem.fault
                && link.seq == expected
            {
                let at = self.lines.spot().line;
                problem.fault = Fault::OutOfOrder { found, expected, at };
            }
            if let Some(entry) = about_itself(self.lines.line()) {
                self.note_deleted(entry.event.deleted.as_deref());
            }
        }
        Ok(problem)
    }

    fn begins_late(&self) -> Option<Problem> {
        self.before.as_ref()?;
        let fault = Fault::BeginsLate { begins: self.report.begins };
        Some(Problem::new(&self.first, fault))
    }

    /// What is wrong with the whole, each line being right.
    fn against_head(&self) -> Option<Problem> {
        let has = self.report.head.seq;
        let newest = self.wanted.iter().map(|head| head.seq).max().unwrap_or_default();
        if newest > has {
            let fault = Fault::Truncated { has, says: newest };
            return Some(Problem::new(self.lines.spot(), fault));
        }
        // Older than the oldest file: no head that was signed last.
        if let Some(head) = self.wanted.iter().find(|head| head.seq < self.report.begins) {
            return Some(Problem::new(&self.first, Fault::AnotherChain { seq: head.seq }));
        }
        // Without any line there is nothing that a head would be missing for.
        let is_gone = self.claim.fault == Some(Fault::HeadMissing) && self.report.records == 0;
        let fault = self.claim.fault.clone().filter(|_| !is_gone)?;
        let spot = Spot { file: head::path(self.log), line: 1, byte: 0 };
        Some(Problem::new(&spot, fault))
    }
}

/// The line as an entry, if it is one of the log about itself.
fn about_itself(line: &[u8]) -> Option<Entry> {
    const KIND: &[u8] = b"\"kind\":\"log\"";
    let beginning = line.get(..line.len().min(KIND_WITHIN)).unwrap_or_default();
    memchr::memmem::find(beginning, KIND)?;
    let entry: Entry = serde_json::from_slice(line).ok()?;
    (entry.event.kind == Kind::Log).then_some(entry)
}

/// Is `line` the log's note about this remnant?
fn vouches(line: &[u8], remnant: &[u8]) -> bool {
    // Recovery ended it with a line feed that is not part of it.
    let remnant = remnant.strip_suffix(b"\n").unwrap_or(remnant);
    about_itself(line).is_some_and(|entry| {
        entry.event.torn.is_some_and(|torn| {
            torn.bytes == remnant.len() as u64 && torn.sha256 == digest(remnant)
        })
    })
}

/// What is wrong with a line that follows `head`.
fn fault(link: &Link<'_>, head: &Head) -> Option<Fault> {
    if link.v != VERSION {
        return Some(Fault::Format(link.v));
    }
    if !link.holds() {
        return Some(Fault::Changed);
    }
    let (found, expected) = (link.seq, head.seq.saturating_add(1));
    if found > expected {
        return Some(Fault::Missing { count: found - expected, found, expected });
    }
    if found < expected {
        return Some(Fault::Repeated { found, expected });
    }
    let prev = if head.seq == 0 { ZEROS } else { &head.hash };
    (link.prev != prev).then_some(Fault::Unlinked)
}
