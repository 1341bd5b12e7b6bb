//! The thread that looks, and the queue in front of it.
//!
//! Whoever accepts a connection puts a question into a bounded queue and goes on. The thread takes all
//! that wait, so that a burst costs one walk through `/proc`, not one for each. Where the queue is full
//! a connection is not looked into; that is counted and said in the log.

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{
    caller::{Caller, Promise},
    diag::Diag,
    listening::listening,
    search::{Place, Searcher, Tables, Wanted},
};

/// Questions that may wait.
const QUEUE_MAX: usize = 512;
/// Questions that are answered at once.
const BATCH_MAX: usize = 128;

/// Looks for the processes of all runs.
pub struct Finder {
    orders: SyncSender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
    missed: Arc<AtomicU64>,
}

/// One run's network namespace, and how to ask about it.
#[derive(Clone)]
pub struct Namespace {
    inner: Arc<Inner>,
    orders: SyncSender<Order>,
    missed: Arc<AtomicU64>,
}

/// The connections of one run. Each is nobody's until it is known where to look.
#[derive(Debug, Default)]
pub struct Callers(OnceLock<Namespace>);

struct Inner {
    diag: Diag,
    /// The thread's own; nobody waits for it.
    place: Mutex<Place>,
}

enum Order {
    Find(Question),
    List { namespace: Arc<Inner>, tell: Tell },
    Stop,
}

/// Takes the addresses that are listened on.
type Tell = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>) + Send>;

struct Question {
    namespace: Arc<Inner>,
    own: SocketAddr,
    peer: SocketAddr,
    promise: Promise,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("missed", &self.missed).finish_non_exhaustive()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("diag", &self.inner.diag).finish_non_exhaustive()
    }
}

impl Finder {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no room for another thread, or no `/proc`.
    pub fn start() -> io::Result<Self> {
        let (orders, inbox) = sync_channel(QUEUE_MAX);
        let missed = Arc::<AtomicU64>::default();
        let seeker = Seeker { searcher: Searcher::new()?, inbox, missed: Arc::clone(&missed) };
        let thread = thread::Builder::new().name("processes".to_owned()).spawn(|| seeker.run())?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)), missed })
    }

    /// A namespace to look into: a `NETLINK_SOCK_DIAG` socket that was made in it, and the inode number
    /// of its network namespace.
    #[must_use]
    pub fn namespace(&self, socket: OwnedFd, network: u64) -> Namespace {
        let inner = Inner { diag: Diag::new(socket), place: Mutex::new(Place::new(network)) };
        Namespace {
            inner: Arc::new(inner),
            orders: self.orders.clone(),
            missed: Arc::clone(&self.missed),
        }
    }

    /// Answers what has been asked, and ends the thread. Blocks. From then on nobody is found.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that is gone needs no order.
            let _ = self.orders.send(Order::Stop);
            if thread.join().is_err() {
                tracing::error!("the thread that looks for processes panicked");
            }
        }
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Callers {
    /// Says where to look; only the first time counts.
    pub fn look_into(&self, namespace: Namespace) {
        // A second socket of the same namespace would say the same.
        let _ = self.0.set(namespace);
    }

    /// Who made the connection from `own` to `peer`, as both are called in the namespace. Does not
    /// block.
    #[must_use]
    pub fn of(&self, own: SocketAddr, peer: SocketAddr) -> Caller {
        self.0.get().map_or_else(Caller::default, |namespace| namespace.caller(own, peer))
    }
}

impl Namespace {
    /// Has `tell` called with the addresses at which TCP is listened in the namespace, by the thread
    /// that looks; dropped uncalled where it has too much to do, or has ended. Does not block.
    pub fn listening(&self, tell: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static) {
        let order = Order::List { namespace: Arc::clone(&self.inner), tell: Box::new(tell) };
        // What was not asked now is asked again soon.
        let _ = self.orders.try_send(order);
    }

    fn caller(&self, own: SocketAddr, peer: SocketAddr) -> Caller {
        let (caller, promise) = Caller::promised();
        let question = Question { namespace: Arc::clone(&self.inner), own, peer, promise };
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Find(question)) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        caller
    }
}

struct Seeker {
    searcher: Searcher,
    inbox: Receiver<Order>,
    missed: Arc<AtomicU64>,
}

impl Seeker {
    fn run(mut self) {
        while let Ok(first) = self.inbox.recv() {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Find(question) => batch.push(question),
                    Order::List { namespace, tell } => tell(listening(&namespace.diag)),
                    Order::Stop => {
                        self.answer(batch);
                        return;
                    }
                }
                let room = batch.len() < BATCH_MAX;
                next = room.then(|| self.inbox.try_recv().ok()).flatten();
            }
            self.answer(batch);
            let missed = self.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                tracing::warn!(
                    connections = missed,
                    "too many at once: their processes are not named"
                );
            }
        }
    }

    /// Answers run by run.
    fn answer(&mut self, mut batch: Vec<Question>) {
        while let Some(first) = batch.first() {
            let namespace = Arc::clone(&first.namespace);
            let (same, others) = batch
                .into_iter()
                .partition(|question| Arc::ptr_eq(&question.namespace, &namespace));
            self.answer_in(&namespace, same);
            batch = others;
        }
    }

    fn answer_in(&mut self, namespace: &Inner, questions: Vec<Question>) {
        // All sockets before any process: a connection may be closed in a moment.
        let (mut wanted, mut waiting) = (Vec::new(), Vec::new());
        for question in questions {
            if let Some(inode) = namespace.diag.inode(question.own, question.peer) {
                wanted.push(Wanted { inode, process: None });
                waiting.push(question);
            }
        }
        if wanted.is_empty() {
            return;
        }
        let mut place = namespace.place.lock().unwrap_or_else(PoisonError::into_inner);
        self.searcher.find(&mut place, &mut wanted, Tables::Shared);
        // Held by somebody, who was not seen to: worth a closer look.
        let hidden = wanted.iter().zip(&waiting).any(|(wanted, question)| {
            wanted.process.is_none()
                && namespace.diag.inode(question.own, question.peer) == Some(wanted.inode)
        });
        if hidden {
            self.searcher.find(&mut place, &mut wanted, Tables::EachThreads);
        }
        drop(place);
        for (wanted, question) in wanted.into_iter().zip(waiting) {
            if let Some(process) = wanted.process {
                question.promise.keep(process);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::fs::MetadataExt,
        sync::mpsc::channel,
        time::Duration,
    };

    use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

    use super::*;
    use crate::process::Process;

    /// What a finder is told of the namespace that the tests run in.
    fn own_namespace() -> (OwnedFd, u64) {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
        (socket.unwrap(), std::fs::metadata("/proc/self/ns/net").unwrap().ino())
    }

    fn told(caller: &Caller) -> Option<Process> {
        let (sender, receiver) = channel();
        caller.tell(move |process| sender.send(process).unwrap());
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
        (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
    }

    #[test]
    fn a_connection_is_told_whose_it_is() {
        let finder = Finder::start().unwrap();
        let (socket, network) = own_namespace();
        let callers = Callers::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (own, peer) = ends(&stream);
        assert_eq!(told(&callers.of(own, peer)), None);

        callers.look_into(finder.namespace(socket, network));
        let process = told(&callers.of(own, peer)).unwrap();
        assert_eq!(process.pid, std::process::id());
        assert_eq!(&*process.executable, std::env::current_exe().unwrap().to_str().unwrap());

        drop(stream);
        assert_eq!(told(&callers.of(own, peer)), None);
    }

    #[test]
    fn what_is_listened_on_is_told() {
        let finder = Finder::start().unwrap();
        let (socket, network) = own_namespace();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (sender, receiver) = channel();
        finder.namespace(socket, network).listening(move |found| sender.send(found).unwrap());
        let found = receiver.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
        assert!(found.contains(&listener.local_addr().unwrap()));
    }

    #[test]
    fn what_was_asked_before_the_end_is_answered_and_what_is_asked_after_it_is_none() {
        let finder = Finder::start().unwrap();
        let (socket, network) = own_namespace();
        let namespace = finder.namespace(socket, network);
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (own, peer) = ends(&stream);
        let before = namespace.caller(own, peer);
        finder.stop();
        assert!(told(&before).is_some());
        assert_eq!(told(&namespace.caller(own, peer)), None);
    }

    #[test]
    fn more_than_can_wait_are_counted_and_not_named() {
        let (orders, inbox) = sync_channel(1);
        let (socket, network) = own_namespace();
        let inner = Inner { diag: Diag::new(socket), place: Mutex::new(Place::new(network)) };
        let missed = Arc::default();
        let namespace = Namespace { inner: Arc::new(inner), orders, missed };
        let any = "127.0.0.1:1".parse().unwrap();
        let first = namespace.caller(any, any);
        assert_eq!(told(&namespace.caller(any, any)), None);
        assert_eq!(namespace.missed.load(Ordering::Relaxed), 1);
        drop(inbox);
        assert_eq!(told(&first), None);
    }
}
