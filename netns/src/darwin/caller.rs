//! Who made a TCP connection on this machine: the kernel's list of connections names a process, and
//! the process has a group.

use std::{
    ffi::{OsString, c_void},
    io,
    mem::MaybeUninit,
    net::SocketAddrV4,
    os::unix::ffi::OsStringExt as _,
    path::PathBuf,
    ptr,
    time::Duration,
};

use nix::{
    libc,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::pf::pcb::{self, Owner};

/// What the list may grow by between asking for its size and for itself.
const ROOM: usize = 64 * 1024;
/// `PROC_PIDPATHINFO_MAXSIZE`.
const PATH_MAX: u32 = 4 * 1024;

/// More processes than the kernel allows at once (`kern.maxproc`).
const PROCESSES: usize = 64 * 1024;
/// How often those of a group are looked for before giving up, and what lies between.
const ROUNDS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A process that is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub pid: u32,
    /// The user whose socket it is.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Path of the program it runs; empty where there is no telling.
    pub executable: PathBuf,
}

/// The processes whose sockets are at `own` and connected to this port somewhere; mostly one.
///
/// # Errors
/// One has ended, or the kernel does not say.
pub fn peers(own: SocketAddrV4, port: u16) -> io::Result<Vec<Peer>> {
    let peer = |Owner { uid, pid }| {
        Ok(Peer { pid: pid.cast_unsigned(), uid, gid: group(pid)?, executable: executable(pid) })
    };
    pcb::owners(&connections()?, own, port).into_iter().map(peer).collect()
}

/// `net.inet.tcp.pcblist_n` (sysctlbyname(3)).
#[expect(unsafe_code, reason = "sysctlbyname has no safe wrapper")]
fn connections() -> io::Result<Vec<u8>> {
    let name = c"net.inet.tcp.pcblist_n";
    let mut size = 0;
    // SAFETY: asks for the size alone: a null buffer, and a place for the size that outlives the call.
    let done = unsafe {
        libc::sysctlbyname(name.as_ptr(), ptr::null_mut(), &raw mut size, ptr::null_mut(), 0)
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    size += ROOM;
    let mut list = vec![0_u8; size];
    // SAFETY: the buffer has as many bytes as `size` says, and both outlive the call.
    let done = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            list.as_mut_ptr().cast::<c_void>(),
            &raw mut size,
            ptr::null_mut(),
            0,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    list.truncate(size);
    Ok(list)
}

/// A process's effective group (`PROC_PIDTBSDINFO`, `sys/proc_info.h`).
#[expect(unsafe_code, reason = "proc_pidinfo has no safe wrapper")]
fn group(pid: i32) -> io::Result<u32> {
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).map_err(io::Error::other)?;
    // SAFETY: the buffer is as large as `size` says and outlives the call.
    let filled = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast::<c_void>(), size)
    };
    if filled != size {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel says that it has filled all of it; besides, all of it was zero, which is a value.
    let info = unsafe { info.assume_init() };
    Ok(info.pbi_gid)
}

#[expect(unsafe_code, reason = "proc_pidpath has no safe wrapper")]
fn executable(pid: i32) -> PathBuf {
    let mut path = vec![0_u8; usize::try_from(PATH_MAX).unwrap_or_default()];
    // SAFETY: the buffer is as large as is said and outlives the call.
    let length = unsafe { libc::proc_pidpath(pid, path.as_mut_ptr().cast::<c_void>(), PATH_MAX) };
    path.truncate(usize::try_from(length).unwrap_or_default());
    OsString::from_vec(path).into()
}

/// Kills every process of a group, however often they fork meanwhile.
///
/// # Errors
/// The processes cannot be listed, or there are still some in the end.
pub(crate) fn end_group(gid: u32) -> io::Result<()> {
    for _ in 0..ROUNDS {
        let members: Vec<i32> = processes()?
            .into_iter()
            .filter(|pid| group(*pid).is_ok_and(|own| own == gid))
            .collect();
        if members.is_empty() {
            return Ok(());
        }
        for pid in members {
            // One that has ended meanwhile is what is wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
    Err(io::Error::other("processes of the run do not end"))
}

/// All processes' ids (`sys/proc_info.h`).
#[expect(unsafe_code, reason = "proc_listallpids has no safe wrapper")]
fn processes() -> io::Result<Vec<i32>> {
    let mut pids = vec![0_i32; PROCESSES];
    let size = i32::try_from(size_of_val(pids.as_slice())).map_err(io::Error::other)?;
    // SAFETY: the buffer has as many bytes as is said and outlives the call.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast::<c_void>(), size) };
    if count <= 0 {
        return Err(io::Error::last_os_error());
    }
    pids.truncate(usize::try_from(count).unwrap_or_default());
    pids.retain(|pid| *pid > 0);
    Ok(pids)
}
