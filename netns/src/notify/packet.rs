//! A message as it lies in a process' memory: `struct msghdr`, its pieces and its control data
//! (recv(2), cmsg(3)), for 64-bit systems.

use std::os::fd::OwnedFd;

use nix::libc;
use rustix::io::Errno;

use super::{
    address::{Address, LONGEST},
    target::Target,
};

/// What is taken of a stream at once; the rest is sent by another call. Longer datagrams are refused.
pub(super) const MOST: usize = 1 << 20;
/// Control data: the kernel's own limit for descriptors fits many times over (`SCM_MAX_FD`).
const MOST_CONTROL: u64 = 1 << 16;
/// `IOV_MAX`.
const MOST_PIECES: u64 = 1024;
/// Length of a `struct msghdr`.
const HEADER: usize = 56;
/// Length of a `struct mmsghdr`.
pub(super) const HEADER_OF_MANY: u64 = 64;
/// Length of a `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Packet {
    /// Where to, if it says so.
    pub(super) to: Option<Address>,
    /// What, or its beginning.
    pub(super) data: Vec<u8>,
    /// Is that all of it?
    pub(super) whole: bool,
    /// Descriptors that go with it.
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Where a message that is received goes.
#[derive(Debug)]
pub(super) struct Places {
    /// Where its sender's address goes; 0: nowhere.
    pub(super) name: u64,
    /// How much room there is for that.
    pub(super) name_length: u32,
    /// Where it goes itself, piece by piece.
    pub(super) pieces: Vec<(u64, usize)>,
}

impl Places {
    /// What the message at this address says.
    pub(super) fn read(target: &Target, at: u64) -> Result<Self, Errno> {
        let [name, name_length, pieces, count, ..] = words(&target.read(at, HEADER)?)?;
        let name_length = u32::try_from(name_length & u64::from(u32::MAX)).unwrap_or_default();
        Ok(Self { name, name_length, pieces: table(target, pieces, count)? })
    }
}

/// Reads an address.
pub(super) fn address(target: &Target, at: u64, length: u64) -> Result<Address, Errno> {
    // An int: the kernel looks at the lower half.
    let length = length & u64::from(u32::MAX);
    if length > LONGEST {
        return Err(Errno::INVAL);
    }
    let bytes = target.read(at, usize::try_from(length).unwrap_or_default())?;
    Address::parse(&bytes).ok_or(Errno::INVAL)
}

impl Packet {
    /// What `sendto` is given.
    pub(super) fn plain(target: &Target, args: &[u64; 6]) -> Result<Self, Errno> {
        let [_, at, length, _, name, name_length] = *args;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let data = target.read(at, length.min(MOST))?;
        let to = (name != 0).then(|| address(target, name, name_length)).transpose()?;
        Ok(Self { to, data, whole: length <= MOST, descriptors: Vec::new() })
    }

    /// The message at this address.
    pub(super) fn read(target: &Target, at: u64) -> Result<Self, Errno> {
        let header = target.read(at, HEADER)?;
        let [name, name_length, pieces, count, control, control_length, _] = words(&header)?;
        // The name's length is an int, with padding behind.
        let name_length = name_length & u64::from(u32::MAX);
        let to = (name != 0 && name_length != 0)
            .then(|| address(target, name, name_length))
            .transpose()?;
        let (data, whole) = gather(target, pieces, count)?;
        let descriptors = if control == 0 || control_length == 0 {
            Vec::new()
        } else {
            descriptors(target, control, control_length)?
        };
        Ok(Self { to, data, whole, descriptors })
    }
}

fn words(header: &[u8]) -> Result<[u64; 7], Errno> {
    let mut words = [0; 7];
    for (word, bytes) in words.iter_mut().zip(header.as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    if header.len() == HEADER { Ok(words) } else { Err(Errno::FAULT) }
}

/// Where the pieces of a message are, and how long.
fn table(target: &Target, pieces: u64, count: u64) -> Result<Vec<(u64, usize)>, Errno> {
    if count > MOST_PIECES {
        return Err(Errno::MSGSIZE);
    }
    let table = target.read(pieces, usize::try_from(count).unwrap_or_default() * 16)?;
    let pieces = table.as_chunks::<16>().0.iter().map(|piece| {
        let [at, length] = [piece.first_chunk::<8>(), piece.last_chunk::<8>()]
            .map(|word| word.map_or(0, |word| u64::from_ne_bytes(*word)));
        (at, usize::try_from(length).unwrap_or(usize::MAX))
    });
    Ok(pieces.collect())
}

fn gather(target: &Target, pieces: u64, count: u64) -> Result<(Vec<u8>, bool), Errno> {
    let (mut data, mut whole) = (Vec::new(), true);
    for (at, length) in table(target, pieces, count)? {
        let room = MOST - data.len();
        whole &= length <= room;
        data.extend(target.read(at, length.min(room))?);
    }
    Ok((data, whole))
}

/// The descriptors in control data. Credentials are not taken over: the kernel would demand the
/// supervisor's own; nothing else means anything to a local socket.
fn descriptors(target: &Target, at: u64, length: u64) -> Result<Vec<OwnedFd>, Errno> {
    if length > MOST_CONTROL {
        return Err(Errno::NOBUFS);
    }
    let control = target.read(at, usize::try_from(length).unwrap_or_default())?;
    let mut found = Vec::new();
    let mut rest = control.as_slice();
    while let Some((header, _)) = rest.split_first_chunk::<CONTROL_HEADER>() {
        let (length, kind) = header.split_at(8);
        let length = length.first_chunk().map_or(0, |length| u64::from_ne_bytes(*length));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let body = rest.get(CONTROL_HEADER..length).ok_or(Errno::INVAL)?;
        let [level, name] = [kind.first_chunk::<4>(), kind.last_chunk::<4>()]
            .map(|word| word.map_or(0, |word| i32::from_ne_bytes(*word)));
        if (level, name) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            for number in body.as_chunks::<4>().0 {
                found.push(target.descriptor(u32::from_ne_bytes(*number).into())?);
            }
        }
        rest = rest.get(length.next_multiple_of(8)..).unwrap_or_default();
    }
    Ok(found)
}
