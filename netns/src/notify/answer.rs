//! What the supervisor says to a call.

use rustix::io::Errno;

use super::sys::Reply;

/// An answer, or what will be one.
pub(super) enum Answer {
    /// Now.
    Now(Reply),
    /// Once something that may take long is done: in a thread of its own.
    Later(Box<dyn FnOnce() -> Reply + Send>),
    /// A descriptor was installed, and the call answered with that.
    Given,
}

impl Answer {
    /// The call succeeds with a count.
    pub(super) fn count(count: usize) -> Self {
        Self::Now(counted(count))
    }

    /// The call is carried out by the kernel after all. Only for what can reach no network, whatever is
    /// put in the place of what was looked at.
    pub(super) fn go_on() -> Self {
        Self::Now(Reply::Continue)
    }
}

impl From<Result<(), Errno>> for Answer {
    fn from(result: Result<(), Errno>) -> Self {
        Self::Now(done(result))
    }
}

/// A count as a reply.
pub(super) fn counted(count: usize) -> Reply {
    Reply::Value(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Success without a value, or an error.
pub(super) fn done(result: Result<(), Errno>) -> Reply {
    match result {
        Ok(()) => Reply::Value(0),
        Err(error) => Reply::Error(error.raw_os_error()),
    }
}
