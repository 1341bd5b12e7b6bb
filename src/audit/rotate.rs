//! Beginning a new file when one is full, and letting go of the oldest.
//!
//! The full file ends with a `sealed` line, which vouches for the line before with a signature, so that
//! a file that was moved elsewhere can be trusted by itself. It is put on disk, renamed after its first
//! line, and the next file, made beforehand, takes its place and begins with a `continued` line. Killed
//! in between, [`super::open`] finds no file that is written, or an empty one, and gives the full one
//! its name back. Old files go only after a `deleted` line that says so is on disk.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Arc,
};

use super::{
    Checkpoint, Deleted, Error, Event, Result, causes,
    chain::Head,
    open::first_line,
    segments::{self, Sealed, beside, sealed_path},
    writer::Writer,
};
use crate::paths;

impl Writer {
    /// Begins a new file. Where that fails the old one is written on, and it is tried again later.
    /// `false`: the log was closed while the disk refused.
    pub(super) fn rotate(&mut self) -> bool {
        let checkpoint =
            self.signer.as_ref().map(|signer| Box::new(Checkpoint::sign(&self.head, &**signer)));
        self.add(Event { checkpoint, ..Event::of_log("sealed") });
        if !self.write_out() {
            return false;
        }
        if let Err(error) = self.change_files() {
            tracing::warn!(error = causes(&error), "the audit log goes on in a file that is full");
            self.full_at = self.length.saturating_add(self.max_size / 8);
            return true;
        }
        let before = self.head.clone();
        self.add(Event::of_log("continued"));
        if !self.write_out() {
            return false;
        }
        match self.too_old(&before) {
            Ok((files, _)) if files.is_empty() => true,
            Ok((files, through)) => self.let_go(&files, through),
            Err(error) => {
                tracing::warn!(error = causes(&error), "old files of the audit log are kept");
                true
            }
        }
    }

    fn change_files(&mut self) -> Result<()> {
        let log = &self.shared.path;
        let refused = |e| Error::Write { path: log.clone(), source: Arc::new(e) };
        let next = beside(log, "next");
        match fs::remove_file(&next) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(refused(e)),
            Ok(()) | Err(_) => {}
        }
        let file = paths::append_private(&next)?;
        self.file.sync_data().map_err(refused)?;
        let full = sealed_path(log, self.first);
        // Nobody else writes here while we hold the lock.
        if fs::symlink_metadata(&full).is_ok() {
            return Err(refused(io::ErrorKind::AlreadyExists.into()));
        }
        fs::rename(log, &full).map_err(refused)?;
        if let Err(e) = fs::rename(&next, log) {
            // Its name back; should that fail as well, the next opening does it.
            let _ = fs::rename(&full, log);
            return Err(refused(e));
        }
        sync_directory(log);
        self.file = Arc::new(file);
        self.first = self.head.seq.saturating_add(1);
        self.length = 0;
        self.full_at = self.max_size;
        Ok(())
    }

    /// The full files beyond those to keep, and the last line in them. `newest` is the last line of
    /// the newest.
    fn too_old(&self, newest: &Head) -> Result<(Vec<Sealed>, Head)> {
        let log = &self.shared.path;
        let mut files = segments::sealed(log)?;
        let Some(keep) = self.keep.filter(|keep| *keep < files.len()) else {
            return Ok((Vec::new(), Head::default()));
        };
        let kept = files.split_off(files.len() - keep);
        let Some(oldest) = kept.first() else { return Ok((files, newest.clone())) };
        let damaged = || Error::Damaged { path: oldest.path.clone() };
        let file = paths::open_private(&oldest.path)?.ok_or_else(damaged)?;
        let begin = first_line(&file)
            .map_err(|source| Error::Read { path: oldest.path.clone(), source })?
            .filter(|begin| begin.seq == oldest.first)
            .ok_or_else(damaged)?;
        Ok((files, Head { seq: begin.seq.saturating_sub(1), hash: begin.hash }))
    }

    fn let_go(&mut self, files: &[Sealed], through: Head) -> bool {
        let deleted =
            Deleted { through: through.seq, hash: through.hash, files: files.len() as u64 };
        self.add(Event { deleted: Some(Box::new(deleted)), ..Event::of_log("deleted") });
        if !self.write_out() {
            return false;
        }
        let removed = self.file.sync_data().and_then(|()| {
            files.iter().try_for_each(|file| match fs::remove_file(&file.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            })
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "an old file of the audit log cannot be deleted");
        }
        true
    }
}

/// So that after a power failure the new names are there. Without it the old ones may be, which is no
/// harm.
fn sync_directory(log: &Path) {
    if let Some(directory) = log.parent() {
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
}
