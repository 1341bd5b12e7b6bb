//! Users and hosts in a program that has the C library linked in.
//!
//! glibc asks the modules that `/etc/nsswitch.conf` names, which it loads at run time. Into a static
//! program it loads those of the machine it runs on, whose glibc is another: mdns, systemd or resolve
//! then end the process by a signal in the middle of a look-up. What is built in (files, dns) needs no
//! module.
//!
//! The price: names that only a module knows (`.local`, users of a directory service) are not found.
//! Programs linked dynamically are left as they are.

#![cfg(target_os = "linux")]

/// Which services may be asked, in nsswitch.conf(5)'s words.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
const BUILT_IN: [(&std::ffi::CStr, &std::ffi::CStr); 5] = [
    (c"hosts", c"files dns"),
    (c"passwd", c"files"),
    (c"group", c"files"),
    (c"initgroups", c"files"),
    (c"services", c"files"),
];

/// Keeps look-ups of users and hosts to what is built in, where the C library is linked in. To be
/// called before anything is looked up.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[expect(unsafe_code, reason = "no crate offers glibc's own call")]
pub fn use_built_in_name_services() {
    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        // nss.h of glibc 2.2 and later.
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    for (database, services) in BUILT_IN {
        // SAFETY: both are constants that end in NUL; glibc copies what it keeps, under its own lock.
        // It fails only where there is no memory, and then nothing is changed.
        unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
    }
}

/// Nothing to do: the machine's C library loads modules of its own.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub fn use_built_in_name_services() {}
