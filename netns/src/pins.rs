//! Keeps things in their places: a command that may write to a directory may not rename, replace or
//! remove what is pinned in it.
//!
//! Something on which anything is mounted cannot be renamed or removed in that mount namespace
//! (rename(2), unlink(2), `EBUSY`), at whichever mount it is reached. So each pinned thing gets a
//! mount, in a second view of its directory, which leaves the usual view as it was; the views are
//! hidden afterwards. That ends where the namespace does: a process in a nested one without these
//! mounts, with a descriptor of the directory from before, is not held.

#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    mount::{MsFlags, mount},
    unistd::{AccessFlags, access},
};
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::mounts::{NONE, SEALED, bind, directory};

/// As many symbolic links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The pins of one namespace.
#[derive(Debug)]
pub(crate) struct Pins<'a> {
    /// A tmpfs that holds the views.
    views: PathBuf,
    /// An empty directory to be mounted on directories.
    empty: &'a Path,
    /// An empty file to be mounted on links.
    nothing: &'a Path,
    pinned: BTreeSet<PathBuf>,
}

impl<'a> Pins<'a> {
    /// `views` is an existing directory.
    pub(crate) fn new(views: PathBuf, empty: &'a Path, nothing: &'a Path) -> io::Result<Self> {
        mount(Some("authsome"), &views, Some("tmpfs"), SEALED, Some("mode=0755"))?;
        Ok(Self { views, empty, nothing, pinned: BTreeSet::new() })
    }

    /// Pins the directories above a path, which is absolute and without symbolic links.
    pub(crate) fn above(&mut self, path: &Path) -> io::Result<()> {
        path.ancestors().skip(1).try_for_each(|ancestor| self.pin(ancestor))
    }

    /// Pins a file under this name: itself, the directories above it, and every symbolic link on the
    /// way with the directories above that. The file cannot be written to either. Nothing if there
    /// is no such file.
    pub(crate) fn name(&mut self, path: &Path) -> io::Result<()> {
        let mut links = 0;
        let mut at = PathBuf::from("/");
        let mut rest: Vec<PathBuf> = parts(path);
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                at.pop();
                continue;
            }
            at.push(part);
            let Ok(metadata) = fs::symlink_metadata(&at) else { return Ok(()) };
            if metadata.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(());
                }
                let target = fs::read_link(&at)?;
                self.above(&at)?;
                self.pin(&at)?;
                at.pop();
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            } else if rest.is_empty() && metadata.is_file() {
                self.above(&at)?;
                return self.freeze(&at);
            }
        }
        Ok(())
    }

    /// Hides the views: no more can be pinned.
    pub(crate) fn seal(self) -> io::Result<()> {
        let options = Some("mode=0700,size=4k");
        Ok(mount(Some("authsome"), &self.views, Some("tmpfs"), SEALED, options)?)
    }

    fn pin(&mut self, path: &Path) -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        if !is_writable(parent) || !self.pinned.insert(path.to_owned()) {
            return Ok(());
        }
        let view = self.views.join(self.pinned.len().to_string());
        directory(&view)?;
        // What is mounted below in the caller's namespace may have to come along.
        let show = |shown: &Path| {
            bind(shown, &view).or_else(|_| {
                mount(Some(shown), &view, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
            })
        };
        if fs::symlink_metadata(path)?.is_dir() {
            // A view of no more than itself: programs that read the table of mounts, as Codex' sandbox
            // does, take a view of what it lies in for one more way to everything else in there.
            show(path)?;
            return Ok(bind(self.empty, &view)?);
        }
        show(parent)?;
        let itself = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_PATH | OFlag::O_NOFOLLOW).bits())
            .open(view.join(name))?;
        // mount(2) follows the link in /proc, and then none: a symbolic link itself is covered.
        let itself = format!("/proc/self/fd/{}", itself.as_raw_fd());
        Ok(bind(self.nothing, Path::new(&itself))?)
    }

    /// Mounts a file onto itself, read-only, which pins it too. The kernel refuses writes to a program
    /// that is being executed, but not every version does, and not after its last process has ended.
    fn freeze(&mut self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(path);
        if !(is_writable(parent) || is_writable(path)) || !self.pinned.insert(path.to_owned()) {
            return Ok(());
        }
        bind(path, path)?;
        // In a user namespace the flags of the mount it came from may not be taken away.
        let kept = statvfs(path)?.f_flag;
        let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        for (flag, mount_flag) in [
            (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
            (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
            (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        ] {
            flags.set(mount_flag, kept.contains(flag));
        }
        Ok(mount(NONE, path, NONE, flags, NONE)?)
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let meaningful =
        |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(meaningful).map(|part| PathBuf::from(part.as_os_str())).rev().collect()
}

/// Who may not write to a directory cannot rename what is in it. Asks for the real user, without the
/// capabilities that we have here (access(2)).
fn is_writable(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_from_its_end() {
        let found = parts(Path::new("/a/./b//../c"));
        assert_eq!(found, ["c", "..", "b", "a"].map(PathBuf::from));
    }
}
