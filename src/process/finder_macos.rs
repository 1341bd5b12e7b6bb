//! Nobody is looked for later on macOS: [`super::member`] has been asked before.

use std::{io, net::SocketAddr, os::fd::OwnedFd};

use super::Caller;

/// Looks for nobody.
#[derive(Debug)]
pub struct Finder(());

/// Connections that nobody is looked for of.
#[derive(Debug, Default)]
pub struct Callers(());

/// There are none: nothing is known of one.
#[derive(Clone, Debug)]
pub struct Namespace(());

impl Namespace {
    /// Says at once that this cannot be told.
    pub fn listening(&self, tell: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static) {
        tell(Err(io::ErrorKind::Unsupported.into()));
    }
}

impl Finder {
    /// Starts nothing.
    ///
    /// # Errors
    /// None.
    pub fn start() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// A namespace that nothing is known of.
    #[must_use]
    pub fn namespace(&self, _socket: OwnedFd, _network: u64) -> Namespace {
        Namespace(())
    }

    /// There is nothing to end.
    pub fn stop(&self) {}
}

impl Callers {
    /// There is nowhere to look.
    pub fn look_into(&self, _namespace: Namespace) {}

    /// A connection that nobody looks into.
    #[must_use]
    pub fn of(&self, _own: SocketAddr, _peer: SocketAddr) -> Caller {
        Caller::default()
    }
}
