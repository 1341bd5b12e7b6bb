//! `struct pfioc_iface` and its requests. The SDK has no `net/pfvar.h`; Apple's published kernels do, and
//! there it has been the same from 10.8 to 15.4.

/// `DIOCSETIFFLAG`: `_IOWR('D', 89, struct pfioc_iface)`.
pub(crate) const DIOCSETIFFLAG: u64 = read_write(b'D', 89, size_of::<PfiocIface>());
/// `DIOCCLRIFFLAG`: `_IOWR('D', 90, struct pfioc_iface)`.
pub(crate) const DIOCCLRIFFLAG: u64 = read_write(b'D', 90, size_of::<PfiocIface>());
/// "pf does not look at this interface".
pub(crate) const PFI_IFLAG_SKIP: i32 = 0x100;

/// `IFNAMSIZ`.
const NAME: usize = 16;

const _: () = assert!(size_of::<PfiocIface>() == 40);
const _: () = assert!(std::mem::offset_of!(PfiocIface, buffer) == 16);
const _: () = assert!(std::mem::offset_of!(PfiocIface, flags) == 36);
const _: () = assert!(DIOCSETIFFLAG == 0xC028_4459);
const _: () = assert!(DIOCCLRIFFLAG == 0xC028_445A);

/// An interface, and the flags to set or clear.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct PfiocIface {
    name: [u8; NAME],
    /// A pointer; of no use to these requests, nor are the three numbers behind it.
    buffer: u64,
    entry_size: i32,
    size: i32,
    zeroed: i32,
    flags: i32,
}

impl PfiocIface {
    /// A name that is too long is cut off, and then names no interface.
    pub(crate) fn new(name: &str, flags: i32) -> Self {
        let mut own = [0; NAME];
        for (to, from) in own.iter_mut().take(NAME - 1).zip(name.bytes()) {
            *to = from;
        }
        Self { name: own, buffer: 0, entry_size: 0, size: 0, zeroed: 0, flags }
    }
}

/// `_IOWR` of `<sys/ioccom.h>`.
const fn read_write(group: u8, number: u8, size: usize) -> u64 {
    0xC000_0000 | ((size as u64 & 0x1fff) << 16) | ((group as u64) << 8) | number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_first_and_ends_in_a_null() {
        assert_eq!(PfiocIface::new("lo0", PFI_IFLAG_SKIP).name, *b"lo0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(PfiocIface::new("a-very-long-name-of-one", 0).name.last(), Some(&0));
    }
}
