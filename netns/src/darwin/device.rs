//! `/dev/pf`, for the one thing that pfctl(8) cannot do: to set or clear an interface's `skip` flag alone.

use std::{fs::File, io, os::fd::AsRawFd};

use nix::libc;

use crate::pf::layout::{DIOCCLRIFFLAG, DIOCSETIFFLAG, PFI_IFLAG_SKIP, PfiocIface};

/// The packet filter. The kernel asks for root at each call, not only when it is opened.
#[derive(Debug)]
pub(crate) struct Device(File);

impl Device {
    /// Opens it.
    pub(crate) fn open() -> io::Result<Self> {
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/pf").map(Self)
    }

    /// Sets or clears `skip` of `lo0`; nothing else of it.
    #[expect(unsafe_code, reason = "ioctl has no safe wrapper")]
    pub(crate) fn set_loopback_skip(&self, skip: bool) -> io::Result<()> {
        let mut request = PfiocIface::new("lo0", PFI_IFLAG_SKIP);
        let number = if skip { DIOCSETIFFLAG } else { DIOCCLRIFFLAG };
        // SAFETY: the number says that the kernel reads and writes 40 bytes, which is the structure's
        // asserted size; it outlives the call.
        let done =
            unsafe { libc::ioctl(self.0.as_raw_fd(), number, std::ptr::from_mut(&mut request)) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
