//! The calls that no maintained crate offers safely. With `names`, the only `unsafe` of the crate.

#![cfg(target_os = "linux")]

use std::{ffi::CStr, io, ptr};

use nix::{libc, unistd::ForkResult};

/// Marks every descriptor above 2 close-on-exec: what a shell or editor left open in the caller
/// must not reach the command. `close_range(2)`; before Linux 5.11 one `fcntl(2)` each.
///
/// # Errors
///
/// If neither can be done: without `/proc` on an old kernel.
#[expect(unsafe_code, reason = "close_range has no safe wrapper")]
pub(crate) fn close_on_exec_above_stderr() -> io::Result<()> {
    let first: libc::c_uint = 3;
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: takes three integers and no pointer; it closes nothing, it only sets a flag.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    if done == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse::<libc::c_int>().ok()) else {
            continue;
        };
        if fd > 2 {
            // SAFETY: sets a flag of a descriptor by number; it neither closes nor reads it.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Forks. Init continues as a copy of the helper: to execute the program once more would cost as much
/// as making all of the namespace.
///
/// # Errors
/// Also where this process has a second thread, which would be missing in the copy with whatever
/// locks it held.
#[expect(unsafe_code, reason = "fork has no safe wrapper")]
pub(crate) fn fork() -> io::Result<ForkResult> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("the helper has more than one thread"));
    }
    // SAFETY: with a single thread nothing can be half done, so the child may go on like the parent.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Joins a new, anonymous session keyring (`keyctl(2)`, `KEYCTL_JOIN_SESSION_KEYRING`). A kernel
/// without keyrings, or a container that forbids them, has none to leak: that is no error.
#[expect(unsafe_code, reason = "keyctl has no safe wrapper")]
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    let operation = libc::KEYCTL_JOIN_SESSION_KEYRING;
    // SAFETY: a null name asks for an anonymous keyring; no other pointer is passed.
    let key = unsafe { libc::syscall(libc::SYS_keyctl, operation, ptr::null::<libc::c_char>()) };
    if key >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

/// Takes from every mount what lets a program have more rights than who starts it: set-user-ID bits and
/// file capabilities (`mount_setattr(2)`, `MOUNT_ATTR_NOSUID`). The command has `no_new_privs` and would not
/// get them anyway; but a program with file capabilities, as ping(8) is in places, could not even be
/// executed then (`EPERM`, capabilities(7)). So a kernel that cannot is no error of ours to fail by.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]
pub(crate) fn no_rights_from_files() -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_NOSUID,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string, and the structure outlives the call and is as long as it says.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::AT_RECURSIVE,
            ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Adds a key of type `user` with one byte to the session keyring (`add_key(2)`); its serial number.
#[expect(unsafe_code, reason = "add_key has no safe wrapper")]
pub(crate) fn add_session_key(description: &CStr) -> io::Result<i32> {
    let payload = [0_u8];
    // SAFETY: both strings end with a NUL and outlive the call, which copies them and `payload`, whose
    // length is given.
    let serial = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            libc::KEY_SPEC_SESSION_KEYRING,
        )
    };
    if serial < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(serial).map_err(io::Error::other)
}

/// Takes a key out of the session keyring (`keyctl(2)`, `KEYCTL_UNLINK`).
#[expect(unsafe_code, reason = "keyctl has no safe wrapper")]
pub(crate) fn unlink_session_key(serial: i32) -> io::Result<()> {
    let ring = libc::KEY_SPEC_SESSION_KEYRING;
    // SAFETY: takes three integers and no pointer.
    let done = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_UNLINK, serial, ring) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Looks for a key of type `user` in all keyrings of this process (`request_key(2)`); nobody is asked to
/// make one.
#[expect(unsafe_code, reason = "request_key has no safe wrapper")]
pub(crate) fn finds_key(description: &CStr) -> io::Result<bool> {
    let nobody = ptr::null::<libc::c_char>();
    // SAFETY: both strings end with a NUL and outlive the call, which copies them; the null pointer says
    // that there is no program to call.
    let serial = unsafe {
        libc::syscall(libc::SYS_request_key, c"user".as_ptr(), description.as_ptr(), nobody, 0)
    };
    if serial >= 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOKEY) => Ok(false),
        _ => Err(error),
    }
}

/// Tries to type a blank into the terminal at standard input (`ioctl_tty(2)`, `TIOCSTI`).
///
/// # Errors
/// `EPERM` where [`crate::Sandbox`] forbids it to its command, whatever standard input is.
#[expect(unsafe_code, reason = "TIOCSTI has no safe wrapper")]
pub fn type_blank() -> io::Result<()> {
    let blank = b' ';
    // SAFETY: the call reads one byte at the pointer, which outlives it.
    let done = unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCSTI, ptr::from_ref(&blank)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives SIGCHLD its default disposition. A caller may have been started with it ignored, which
/// survives exec and would hide every death from init.
#[expect(unsafe_code, reason = "signal has no safe wrapper")]
pub(crate) fn default_child_signal() {
    // SAFETY: SIG_DFL is no function of ours, so nothing runs in a signal's context.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// `TIOCSTI`'s companion for the console: pastes a selection as if it were typed (`TIOCL_PASTESEL`,
/// ioctl_console(2)).
const TIOCLINUX: u32 = 0x541c;
/// Audit architectures and their numbers of `ioctl(2)`: the native ones, and those of programs for
/// other processor modes, which the same kernel runs (`<linux/audit.h>`, `<asm/unistd.h>`).
const IOCTL: [(u32, u32); 6] = [
    (0xc000_003e, 16),                // x86_64
    (0xc000_003e, 0x4000_0000 | 514), // x32
    (0x4000_0003, 54),                // i386
    (0xc000_00b7, 29),                // aarch64
    (0x4000_0028, 54),                // arm
    (0xc000_00f3, 29),                // riscv64
];

/// From now on, for this process and all it starts, nobody types into a terminal but its user:
/// `TIOCSTI` and `TIOCLINUX` fail with `EPERM`. Kernels that still allow them
/// (`dev.tty.legacy_tiocsti`) would let a command leave keystrokes behind for the shell that gets
/// the terminal back. Needs `no_new_privs`; `seccomp(2)`, classic BPF.
#[expect(unsafe_code, reason = "a seccomp filter has no safe wrapper")]
pub(crate) fn forbid_typing_into_terminals() -> io::Result<()> {
    // Offsets in struct seccomp_data. An ioctl's request is an unsigned int: the kernel looks at the
    // lower half of the argument only, and so must the filter.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const REQUEST: u32 = if cfg!(target_endian = "big") { 28 } else { 24 };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let equal =
        |value, yes, no| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no);
    let answer = |value| statement(libc::BPF_RET | libc::BPF_K, value, 0, 0);
    let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
    let type_in = u32::try_from(libc::TIOCSTI).map_err(io::Error::other)?;
    let mut program = Vec::new();
    for (architecture, number) in IOCTL {
        // Each jump that fails leads behind the refusal.
        program.extend([
            load(ARCHITECTURE),
            equal(architecture, 0, 6),
            load(NUMBER),
            equal(number, 0, 4),
            load(REQUEST),
            equal(type_in, 1, 0),
            equal(TIOCLINUX, 0, 1),
            answer(refusal),
        ]);
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it; its length is what `len` says.
    let done = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, ptr::from_ref(&filter))
    };
    let error = io::Error::last_os_error();
    match (done, error.raw_os_error()) {
        (0, _) => Ok(()),
        // A kernel built without filters has nobody to ask; the agent is as confined as before.
        (_, Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        _ => Err(error),
    }
}

fn statement(code: u32, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    // The opcodes are small numbers in wide constants.
    let code = u16::try_from(code).unwrap_or_default();
    libc::sock_filter { code, jt: yes, jf: no, k: value }
}
