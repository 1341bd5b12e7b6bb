//! The thread that answers.
//!
//! Most answers are there at once. What may take long (a local socket whose queue is full, a stream without
//! room) waits in a thread of its own, so that nobody else does.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::io::Errno;

use super::{
    answer::Answer,
    filter::Sockets,
    listening::Listening,
    made::Made,
    places::Places,
    sys::{self, Reply, Request},
    target::Target,
    unix::Hidden,
};

/// Answers that may take long, at once; more fail with `EAGAIN`.
const MOST_LATER: usize = 256;
/// After this long without a question, in milliseconds, sockets that are gone are looked for.
const QUIET: u16 = 30_000;

/// What decides.
pub(super) struct Mediator {
    pub(super) listener: Arc<OwnedFd>,
    pub(super) listening: Listening,
    pub(super) host_ports: BTreeSet<u16>,
    pub(super) hidden: Hidden,
    pub(super) places: Places,
    /// Which name server a socket has asked, by its inode number.
    pub(super) asked: HashMap<u64, SocketAddr>,
    /// The command's sockets, where they are made here.
    pub(super) made: Option<Made>,
    later: Arc<AtomicUsize>,
}

impl fmt::Debug for Mediator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mediator").field("host_ports", &self.host_ports).finish_non_exhaustive()
    }
}

impl Mediator {
    /// For the filter whose descriptor this is.
    pub(super) fn new(
        listener: OwnedFd,
        listening: Listening,
        host_ports: BTreeSet<u16>,
        hidden: Hidden,
        sockets: Sockets,
    ) -> Self {
        Self {
            listener: Arc::new(listener),
            listening,
            host_ports,
            hidden,
            places: Places::default(),
            asked: HashMap::new(),
            made: (sockets == Sockets::Made).then(Made::default),
            later: Arc::default(),
        }
    }

    /// Answers until nobody is left to ask.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            self.tidy();
            let Some(request) = sys::receive(&self.listener)? else { continue };
            match self.answer(&request) {
                Ok(Answer::Now(reply)) => sys::reply(&self.listener, request.id, reply),
                Ok(Answer::Later(action)) => self.later(request.id, action),
                Ok(Answer::Given) => {}
                Err(error) => {
                    let reply = Reply::Error(error.raw_os_error());
                    sys::reply(&self.listener, request.id, reply);
                }
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Result<Answer, Errno> {
        let receives = matches!(request.call, libc::SYS_recvfrom | libc::SYS_recvmsg);
        let target = match Target::open(request) {
            // Receiving leads nowhere, and a process that cannot be looked into has asked for no name.
            Err(_) if receives => return Ok(Answer::go_on()),
            target => target?,
        };
        if !sys::waits(&self.listener, request.id) {
            return Err(Errno::SRCH);
        }
        match request.call {
            libc::SYS_socket => self.socket(request),
            libc::SYS_getsockname => self.own_name(&target, request),
            libc::SYS_getpeername => self.peer_name(&target, request),
            libc::SYS_setsockopt => self.set_option(&target, request),
            libc::SYS_connect => self.connect(&target, request),
            libc::SYS_bind => self.bind(&target, request),
            libc::SYS_listen => self.listen(&target, request),
            libc::SYS_sendto => self.send_to(&target, request),
            libc::SYS_recvfrom => self.receive_from(&target, request),
            libc::SYS_recvmsg => self.receive_message(&target, request),
            libc::SYS_sendmsg => self.send_message(&target, request),
            libc::SYS_sendmmsg => self.send_messages(&target, request),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Gives back what nobody has any more, whenever nobody has asked for a while.
    fn tidy(&self) {
        let Some(made) = &self.made else { return };
        let mut asking = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        if poll(&mut asking, PollTimeout::from(QUIET)) == Ok(0) {
            made.collect();
        }
    }

    fn later(&self, id: u64, action: Box<dyn FnOnce() -> Reply + Send>) {
        let (listener, later) = (Arc::clone(&self.listener), Arc::clone(&self.later));
        let full = later.fetch_add(1, Ordering::Relaxed) >= MOST_LATER;
        let started = !full
            && thread::Builder::new()
                .spawn(move || {
                    sys::reply(&listener, id, action());
                    later.fetch_sub(1, Ordering::Relaxed);
                })
                .is_ok();
        if !started {
            self.later.fetch_sub(1, Ordering::Relaxed);
            let reply = Reply::Error(Errno::AGAIN.raw_os_error());
            sys::reply(&self.listener, id, reply);
        }
    }
}
