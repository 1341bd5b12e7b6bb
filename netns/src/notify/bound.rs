//! Under which names the local sockets of this machine were bound (sock_diag(7), `<linux/unix_diag.h>`).
//!
//! A name stays what it was when its file is moved or gets another link. The kernel says which file it made
//! for a name by the file's inode number alone; so of two file systems, either may be meant.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv,
        send, socket_with,
    },
};

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// Header and `struct unix_diag_req`.
const QUESTION: u32 = 16 + 24;
/// Header and `struct unix_diag_msg`.
const ANSWER: usize = HEADER + 16;
/// More than the kernel writes at once.
const BUFFER: usize = 1 << 16;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const FLAGS: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AF_UNIX: u8 = 1;
/// Those that can be connected or sent to: `TCP_LISTEN`, and `TCP_CLOSE` for datagrams.
const STATES: u32 = 1 << 10 | 1 << 7;
/// `UDIAG_SHOW_NAME | UDIAG_SHOW_VFS`.
const SHOW: u32 = 3;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;

/// The names of sockets whose file has this inode number.
///
/// # Errors
/// The kernel's. Where it has no `unix_diag`, too.
pub(super) fn names(inode: u64) -> Result<Vec<PathBuf>, Errno> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
    send(&socket, &question(), SendFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    let mut names = Vec::new();
    loop {
        let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((message, after)) = record(rest, 4) {
            match field(message, 4).map(u16::from_ne_bytes) {
                Some(NLMSG_DONE) => return Ok(names),
                Some(NLMSG_ERROR) | None => return Err(Errno::PROTONOSUPPORT),
                Some(_) => names.extend(name(message, inode)),
            }
            rest = after;
        }
    }
}

fn question() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(QUESTION.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(FLAGS.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_UNIX, 0, 0, 0]);
    bytes.extend(STATES.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(SHOW.to_ne_bytes());
    // Whichever it is.
    bytes.extend([0xff; 8]);
    bytes
}

/// The socket's name, if its file is the one that is asked for.
fn name(message: &[u8], inode: u64) -> Option<PathBuf> {
    let (mut name, mut is_it) = (None, false);
    let mut rest = message.get(ANSWER..)?;
    while let Some((attribute, after)) = record(rest, 2) {
        let value = attribute.get(4..)?;
        match u16::from_ne_bytes(field(attribute, 2)?) {
            UNIX_DIAG_NAME => name = value.split(|byte| *byte == 0).next(),
            // The kernel tells the lower half.
            UNIX_DIAG_VFS => {
                let told = u32::from_ne_bytes(field(value, 0)?);
                is_it = u64::from(told) == inode & u64::from(u32::MAX);
            }
            _ => {}
        }
        rest = after;
    }
    name.filter(|name| is_it && !name.is_empty()).map(|name| OsStr::from_bytes(name).into())
}

/// Splits off what begins with its length in so many bytes, and is padded to four.
fn record(bytes: &[u8], width: usize) -> Option<(&[u8], &[u8])> {
    let length = if width == 4 {
        usize::try_from(u32::from_ne_bytes(field(bytes, 0)?)).ok()?
    } else {
        usize::from(u16::from_ne_bytes(field(bytes, 0)?))
    };
    let whole = bytes.get(..length).filter(|whole| whole.len() >= 4)?;
    Some((whole, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{
            fs::MetadataExt,
            net::{UnixDatagram, UnixListener},
        },
    };

    use super::*;

    #[test]
    fn a_socket_keeps_its_name_wherever_its_file_goes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let _stream = UnixListener::bind(at("stream")).unwrap();
        let _datagram = UnixDatagram::bind(at("datagram")).unwrap();
        for name in ["stream", "datagram"] {
            fs::rename(at(name), at("moved")).unwrap();
            let inode = fs::metadata(at("moved")).unwrap().ino();
            assert!(names(inode).unwrap().contains(&at(name)), "{name}");
        }
    }

    #[test]
    fn a_file_that_no_socket_made_has_no_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let inode = file.as_file().metadata().unwrap().ino();
        assert!(!names(inode).unwrap().contains(&file.path().to_owned()));
    }
}
