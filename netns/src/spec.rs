//! What a caller asks for.

use std::{ffi::OsString, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The network of a namespace, which can be made before it is known what else is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The caller is root and needs no user namespace: [`Spec::user`] says whom the command becomes.
    /// Else there is one, which maps the caller's uid and gid to themselves.
    pub as_root: bool,
    /// TCP ports that are caught for every address, IPv4 and IPv6. Port 53 is always caught, TCP
    /// and UDP.
    pub tcp_ports: Vec<u16>,
    /// Redirect every other TCP port, loopback addresses excepted, to one more listener.
    pub catch_all: bool,
    /// Ports listened on at the namespace's loopback addresses only.
    pub host_ports: Vec<u16>,
    /// Have unconnected sockets of the namespace given out ([`crate::ListenerKind::SocketGiver`]).
    pub give_sockets: bool,
}

/// A command and what it finds in its namespace.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Program and arguments. A program without a slash is looked up in the `PATH` of `env`.
    pub command: Vec<OsString>,
    /// The command's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory, entered after the mounts are made.
    pub cwd: PathBuf,
    /// What the interceptor's answer to the probe must contain.
    pub run_id: String,
    /// Whom the command runs as, for a caller that is root: as in [`Network::as_root`].
    pub user: Option<Credentials>,
    /// An existing directory, covered by a fresh read-only tmpfs: what it holds on the host is out
    /// of reach inside, and `files` take its place.
    pub trust_dir: PathBuf,
    /// Which directory `trust_dir` must be; none: whichever it is. Another one in its place is an error.
    pub trust_dir_id: Option<DirectoryId>,
    /// Files in `trust_dir`, mode 0644.
    pub files: Vec<File>,
    /// Directories of `trust_dir` that are shown together with what they cover, read-only.
    pub merges: Vec<Overlay>,
    /// Files and directories of `trust_dir` that are put over others, read-only; after the merges.
    pub overlays: Vec<Overlay>,
    /// Directories of `trust_dir` whose files are put over others as copies that belong to the command,
    /// which may write to them; what it writes is lost in the end.
    pub copies: Vec<Overlay>,
    /// Absolute names of files that the command can neither write to, nor put others in the place of:
    /// also the symbolic links on the way and the directories above. Missing ones are skipped.
    pub keep: Vec<PathBuf>,
    /// Directories covered by an empty tmpfs, at every mount of them, and files or sockets covered by an
    /// empty file. Those that are missing, or out of the caller's reach, are skipped.
    pub hide: Vec<PathBuf>,
}

/// A directory, wherever it is (stat(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryId {
    /// The file system's device number.
    pub device: u64,
    /// Its inode number there.
    pub inode: u64,
}

/// A file to be made.
#[derive(Clone, Debug)]
pub struct File {
    /// Path relative to [`Spec::trust_dir`], without `..`.
    pub path: PathBuf,
    /// What it holds. Readable by the command: no secret belongs here.
    pub contents: Vec<u8>,
}

/// A file or directory bound over another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overlay {
    /// Path of the new file relative to [`Spec::trust_dir`].
    pub source: PathBuf,
    /// Path that shows it; symbolic links are followed. Skipped if it does not exist.
    pub target: PathBuf,
}

/// Whom a command runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, all of them.
    pub groups: Vec<u32>,
}
