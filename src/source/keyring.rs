//! Entries of the OS keyring.
//!
//! On Linux that is the desktop's Secret Service, over the session's D-Bus: the daemon finds it by the
//! variable that it was started with.

use keyring::Entry;
use zeroize::Zeroizing;

use super::{Error, Result};

/// The entry's bytes. Waits for as long as the keyring asks its user to unlock it.
pub(super) fn read(service: &str, user: &str) -> Result<Zeroizing<Vec<u8>>> {
    // Taken as bytes: the error about an entry that is no text would hold it.
    let secret = Entry::new(service, user).and_then(|entry| entry.get_secret());
    secret.map(Zeroizing::new).map_err(|error| Error::Keyring {
        service: service.to_owned(),
        user: user.to_owned(),
        why: error.to_string(),
    })
}
