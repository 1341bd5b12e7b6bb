//! What the command must not read or write, where no mount can cover it: Landlock (landlock(7)).
//!
//! Landlock knows only what is allowed. So everything is, but for what is hidden: of each directory above a
//! hidden one, all entries that are there now. Such a directory itself then takes no new entries, which is what
//! keeps the hidden one from being moved. Names can be listed everywhere.
//!
//! Besides, a command under Landlock can trace no process outside, connect or bind no TCP socket by itself
//! (Linux 6.7), and signal nobody outside (6.12). It can mount nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::mount_table;

/// The rights on files that are handled, where the kernel has them.
const RIGHTS: ABI = ABI::V5;

/// What the user should know of a cover.
#[derive(Debug)]
pub(super) struct Covered {
    /// Directories above hidden ones: nothing new can be made directly in them.
    pub(super) closed: Vec<PathBuf>,
    /// Does the kernel have all that was asked for, down to keeping signals in?
    pub(super) whole: bool,
}

/// Puts this thread, and all it starts, under Landlock.
///
/// # Errors
/// Where the kernel has no Landlock, too.
pub(super) fn hide(paths: &[PathBuf]) -> io::Result<Covered> {
    let hidden = everywhere(paths)?;
    let mut plan = Plan::default();
    plan.walk(Path::new("/"), &hidden)?;
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp))
        .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let root = PathFd::new("/").map_err(io::Error::other)?;
    let mut ruleset =
        ruleset.add_rule(PathBeneath::new(root, AccessFs::ReadDir)).map_err(io::Error::other)?;
    for (path, directory) in &plan.open {
        // What has gone since needs no rule.
        let Ok(file) = PathFd::new(path) else { continue };
        let rights =
            if *directory { AccessFs::from_all(RIGHTS) } else { AccessFs::from_file(RIGHTS) };
        ruleset = ruleset.add_rule(PathBeneath::new(file, rights)).map_err(io::Error::other)?;
    }
    let status = ruleset.restrict_self().map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(Covered { closed: plan.closed, whole: status.ruleset == RulesetStatus::FullyEnforced })
}

/// The hidden paths without links, and wherever else they are mounted.
fn everywhere(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let Ok(path) = path.canonicalize() else { continue };
        found.extend(mount_table::aliases(&path)?);
        found.push(path);
    }
    Ok(found)
}

#[derive(Debug, Default)]
struct Plan {
    /// What is allowed, and whether it is a directory.
    open: Vec<(PathBuf, bool)>,
    closed: Vec<PathBuf>,
}

impl Plan {
    fn walk(&mut self, directory: &Path, hidden: &[PathBuf]) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(directory) else {
            // Not to be listed by us, and so not by the command: what lies below is allowed to nobody.
            return Ok(());
        };
        self.closed.push(directory.to_owned());
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            // Rights are those of what a link leads to.
            if kind.is_symlink() || hidden.contains(&path) {
                continue;
            }
            if hidden.iter().any(|hidden| hidden.starts_with(&path)) {
                self.walk(&path, hidden)?;
            } else {
                self.open.push((path, kind.is_dir()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_hidden_is_open_and_what_is_above_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/vault/deep")).unwrap();
        fs::create_dir_all(at("a/other")).unwrap();
        fs::create_dir(at("b")).unwrap();
        fs::File::create(at("a/file")).unwrap();
        std::os::unix::fs::symlink(at("a/vault"), at("b-link")).unwrap();
        let mut plan = Plan::default();
        plan.walk(directory.path(), &[at("a/vault")]).unwrap();
        plan.open.sort();
        let open = [(at("a/file"), false), (at("a/other"), true), (at("b"), true)];
        assert_eq!(plan.open, open);
        assert_eq!(plan.closed, [directory.path().to_owned(), at("a")]);
    }
}
