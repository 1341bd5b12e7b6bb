//! What the command sees of the file system: some directories covered, some files replaced.
//!
//! Mounts made here cannot be taken away inside: the command has no capability, and a namespace
//! nested in ours gets them locked (mount_namespaces(7)).

#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    mount::{MsFlags, mount},
};

use crate::{
    error::{Failure, InStep, Step},
    merge::merge,
    mount_table,
    pins::Pins,
    spec::DirectoryId,
};

/// An empty file of the trust directory, put over hidden files and sockets.
const NOTHING: &str = ".nothing";
/// An empty directory there, put over other ways to the same place.
const EMPTY: &str = ".empty";
/// A directory there that holds the mounts of [`Pins`], out of sight.
const PINS: &str = ".pins";
/// For files that a hidden directory's owner makes anew inside, such as another tmux's socket.
const COVER_OPTIONS: &str = "size=16m";
pub(crate) const NONE: Option<&str> = None;
/// Of every file system of our own.
pub(crate) const SEALED: MsFlags =
    MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// Everything that mounts are made from.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// Covered by a tmpfs with `files` in it.
    pub(crate) trust_dir: &'a Path,
    /// Which directory that must be.
    pub(crate) trust_dir_id: Option<DirectoryId>,
    /// Relative path and contents.
    pub(crate) files: Vec<(PathBuf, &'a [u8])>,
    /// Relative source and target of what is shown together.
    pub(crate) merges: Vec<(PathBuf, PathBuf)>,
    /// Relative source and target.
    pub(crate) overlays: Vec<(PathBuf, PathBuf)>,
    /// Relative source and target of what is copied.
    pub(crate) copies: Vec<(PathBuf, PathBuf)>,
    /// Names of files that are to stay what they are.
    pub(crate) keep: Vec<PathBuf>,
    /// What is hidden.
    pub(crate) hide: Vec<PathBuf>,
    /// Hidden directories keep their owner: only root can say so.
    pub(crate) keep_owner: bool,
}

impl Plan<'_> {
    /// Makes the mounts. Returns what the user should know: overlays that could not be made.
    pub(crate) fn carry_out(&self) -> Result<Vec<String>, Failure> {
        let slave = MsFlags::MS_SLAVE | MsFlags::MS_REC;
        mount(NONE, "/", NONE, slave, NONE).in_step(Step::Propagation)?;
        let cover = || Step::Cover { path: self.trust_dir.to_owned() };
        let (held, trust) = self.hold().in_step(cover())?;
        let aliases = mount_table::aliases(&trust).in_step(cover())?;
        // Over the directory that was looked at, not over what its path may name by now.
        let itself = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        mount(Some("authsome"), &itself, Some("tmpfs"), SEALED, Some("mode=0755"))
            .in_step(cover())?;
        for (path, contents) in &self.files {
            write(&trust, path, contents).in_step(Step::Write { path: trust.join(path) })?;
        }
        write(&trust, Path::new(NOTHING), &[]).in_step(cover())?;
        directory(&trust.join(PINS)).in_step(cover())?;
        directory(&trust.join(EMPTY)).in_step(cover())?;
        let mut warnings = Vec::new();
        self.pin(&trust, &mut warnings);
        let mut covered = BTreeSet::from([trust.clone()]);
        for (source, target) in &self.merges {
            let merged = uncovered(target, &mut covered).and_then(|target| match target {
                Some((target, _)) => merge(&trust, source, &target),
                None => Ok(()),
            });
            if let Err(error) = merged {
                warnings.push(format!("cannot add to {}: {error}", target.display()));
            }
        }
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | SEALED;
        // Fails if the path does not lead to what was mounted.
        mount(NONE, &trust, NONE, read_only, NONE).in_step(cover())?;

        for alias in aliases {
            bind_alias(&trust.join(EMPTY), &trust.join(NOTHING), &alias)
                .in_step(Step::Cover { path: alias.clone() })?;
            covered.insert(alias);
        }
        for (source, target) in &self.overlays {
            let bound = uncovered(target, &mut covered).and_then(|target| match target {
                Some((target, _)) => Ok(bind(&trust.join(source), &target)?),
                None => Ok(()),
            });
            if let Err(error) = bound {
                warnings.push(format!("cannot put a file over {}: {error}", target.display()));
            }
        }
        for (source, target) in &self.copies {
            if let Err(error) = self.copy(&trust.join(source), target, &mut covered) {
                warnings.push(format!("cannot put a copy over {}: {error}", target.display()));
            }
        }
        for path in &self.hide {
            self.hide(path, &trust, &mut covered).in_step(Step::Hide { path: path.clone() })?;
        }
        Ok(warnings)
    }

    /// Takes hold of the directory that is to be covered; and its path without links.
    fn hold(&self) -> io::Result<(fs::File, PathBuf)> {
        let trust = fs::canonicalize(self.trust_dir)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let held = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&trust)?;
        let found = held.metadata()?;
        let id = DirectoryId { device: found.dev(), inode: found.ino() };
        if self.trust_dir_id.is_some_and(|wanted| wanted != id) {
            return Err(io::Error::other("another directory is in its place: it was moved"));
        }
        Ok((held, trust))
    }

    /// Pins the directories above `trust`, without which the command could move the real directory
    /// away, to lie uncovered beside the path that the next run covers; and what is to be kept.
    fn pin(&self, trust: &Path, warnings: &mut Vec<String>) {
        let (empty, nothing) = (trust.join(EMPTY), trust.join(NOTHING));
        let mut failed = |path: &Path, error: io::Error| {
            let path = path.display();
            warnings
                .push(format!("the command could put something in the place of {path}: {error}"));
        };
        let mut pins = match Pins::new(trust.join(PINS), &empty, &nothing) {
            Ok(pins) => pins,
            Err(error) => return failed(trust, error),
        };
        if let Err(error) = pins.above(trust) {
            failed(trust, error);
        }
        for path in &self.keep {
            if let Err(error) = pins.name(path) {
                failed(path, error);
            }
        }
        if let Err(error) = pins.seal() {
            failed(trust, error);
        }
    }

    fn hide(&self, path: &Path, trust: &Path, covered: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        let Some((target, metadata)) = uncovered(path, covered)? else { return Ok(()) };
        if target.starts_with(trust) {
            return Ok(());
        }
        if !metadata.is_dir() {
            return Ok(bind(&trust.join(NOTHING), &target)?);
        }
        let aliases = mount_table::aliases(&target)?;
        self.cover(&target, &metadata)?;
        let (empty, nothing) = (trust.join(EMPTY), trust.join(NOTHING));
        aliases.iter().try_for_each(|alias| bind_alias(&empty, &nothing, alias))
    }

    /// Covers a directory with an empty one of the same mode and owner.
    fn cover(&self, target: &Path, metadata: &fs::Metadata) -> io::Result<()> {
        let mut options = format!("{COVER_OPTIONS},mode={:o}", metadata.mode() & 0o7777);
        if self.keep_owner {
            options.push_str(&format!(",uid={},gid={}", metadata.uid(), metadata.gid()));
        }
        Ok(mount(Some("authsome"), target, Some("tmpfs"), SEALED, Some(options.as_str()))?)
    }

    /// Covers a directory with one that has the files of `source`, which the command may write to.
    fn copy(
        &self,
        source: &Path,
        target: &Path,
        covered: &mut BTreeSet<PathBuf>,
    ) -> io::Result<()> {
        let Some((target, metadata)) = uncovered(target, covered)? else { return Ok(()) };
        self.cover(&target, &metadata)?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            let copy = target.join(entry.file_name());
            fs::copy(entry.path(), &copy)?;
            fs::set_permissions(&copy, Permissions::from_mode(0o600))?;
            if self.keep_owner {
                chown(&copy, Some(metadata.uid()), Some(metadata.gid()))?;
            }
        }
        Ok(())
    }
}

/// Covers a second way to a covered place, or to a part of it.
fn bind_alias(empty: &Path, nothing: &Path, alias: &Path) -> io::Result<()> {
    let metadata = fs::metadata(alias)?;
    Ok(bind(if metadata.is_dir() { empty } else { nothing }, alias)?)
}

/// Makes a directory that everyone may enter, whatever the umask.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

/// A `/proc` of the pid namespace this process is in.
pub(crate) fn fresh_proc() -> io::Result<()> {
    Ok(mount(Some("proc"), "/proc", Some("proc"), SEALED, NONE)?)
}

/// As [`resolve`], once for each place.
fn uncovered(
    path: &Path,
    covered: &mut BTreeSet<PathBuf>,
) -> io::Result<Option<(PathBuf, fs::Metadata)>> {
    Ok(resolve(path)?.filter(|(path, _)| covered.insert(path.clone())))
}

/// A bind mount takes the flags of the mount it comes from: read-only, nosuid, nodev, noexec.
pub(crate) fn bind(source: &Path, target: &Path) -> nix::Result<()> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND, NONE)
}

/// The path without symbolic links, and what is there; none if nothing is, or nothing we can reach:
/// then neither can the command.
fn resolve(path: &Path) -> io::Result<Option<(PathBuf, fs::Metadata)>> {
    let found = fs::canonicalize(path).and_then(|path| Ok((fs::metadata(&path)?, path)));
    match found {
        Ok((metadata, path)) => Ok(Some((path, metadata))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Writes a file that everyone may read, whatever the umask, and the directories above it.
pub(crate) fn write(root: &Path, path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = make(root, path, |path| {
        OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
    })?;
    file.write_all(contents)?;
    file.set_permissions(Permissions::from_mode(0o644))
}

/// Makes a symbolic link, and the directories above it.
pub(crate) fn link(root: &Path, path: &Path, target: &Path) -> io::Result<()> {
    make(root, path, |path| std::os::unix::fs::symlink(target, path))
}

/// Makes something at a path below `root`. Of some hundred only the first in a directory finds it
/// missing: asking every time would be most of the work.
fn make<T>(root: &Path, path: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path inside the directory"));
    }
    let whole = root.join(path);
    match create(&whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            directories_above(root, path)?;
            create(&whole)
        }
        done => done,
    }
}

fn directories_above(root: &Path, path: &Path) -> io::Result<()> {
    let mut directory = root.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        directory.push(part);
        match DirBuilder::new().mode(0o755).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => {
                other?;
                fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cannot_leave_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["../x", "/x", "a/../../x"] {
            let error = write(directory.path(), Path::new(path), b"").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn files_are_readable_by_everyone() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), Path::new("a/b"), b"c").unwrap();
        let mode = fs::metadata(directory.path().join("a/b")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn what_is_missing_is_skipped() {
        assert!(resolve(Path::new("/nonexistent/x")).unwrap().is_none());
        assert!(resolve(Path::new("/dev/null/x")).unwrap().is_none());
    }
}
