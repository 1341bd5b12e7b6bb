//! Worker threads: each has a runtime, upstream connections and the agents' connections it accepted.
//!
//! Every worker accepts on a duplicate of every listening socket; the kernel gives a connection to
//! whichever asks first. Nothing but orders crosses from one thread to another.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{TcpListener as StdListener, UdpSocket},
    os::fd::OwnedFd,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout_at},
};

use super::{Listener, Run, accept, dns, drain::Drain, handed, upstream::Pool};

/// Wait after an accept that failed: most likely descriptors are short.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections of one run that a worker serves at once; more wait in the listener's queue. A run must
/// not take all descriptors, and each connection takes two or three.
const MAX_CONNECTIONS: usize = 1024;
/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(15);

/// Connections of one run in one worker.
pub(super) type Tasks = Rc<RefCell<JoinSet<()>>>;

/// What a connection finds in its worker.
#[derive(Debug)]
pub(super) struct Context {
    /// Upstream connections.
    pub(super) pool: Rc<Pool>,
    /// Says when to go.
    pub(super) drain: Rc<Drain>,
    /// Where tasks live that end with the run.
    pub(super) tasks: Tasks,
}

enum Order {
    Serve { key: u64, run: Arc<Run>, listeners: Vec<(Listener, OwnedFd)> },
    Stop { key: u64 },
    Drain { until: Instant },
}

/// The interceptor's threads.
#[derive(Debug)]
pub struct Workers {
    orders: Vec<UnboundedSender<Order>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicU64,
}

/// A run being served. Dropping it stops that: its listeners and its connections are closed.
#[derive(Debug)]
pub struct RunHandle {
    key: u64,
    orders: Vec<UnboundedSender<Order>>,
}

impl Workers {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    ///
    /// If the system has no room for another thread or event queue.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut all = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count.max(1) {
            let (orders, inbox) = unbounded_channel();
            let (report, started) = std::sync::mpsc::channel();
            let work = move || match Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => {
                    drop(report.send(Ok(())));
                    runtime.block_on(Worker::default().run(inbox));
                }
                Err(error) => drop(report.send(Err(error))),
            };
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(work)?;
            started.recv().map_err(io::Error::other)??;
            all.push(orders);
            threads.push(thread);
        }
        Ok(Self { orders: all, threads: Mutex::new(threads), next: AtomicU64::new(0) })
    }

    /// Serves a run on its listening sockets, until the handle is dropped. May be called more than
    /// once for a run.
    ///
    /// # Errors
    ///
    /// If a descriptor cannot be duplicated or made non-blocking.
    pub fn serve(
        &self,
        run: &Arc<Run>,
        listeners: Vec<(Listener, OwnedFd)>,
    ) -> io::Result<RunHandle> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        for (_, descriptor) in &listeners {
            socket2::SockRef::from(descriptor).set_nonblocking(true)?;
        }
        let mut shares = Vec::with_capacity(self.orders.len());
        for (index, _) in self.orders.iter().enumerate() {
            shares.push(share(index, &listeners)?);
        }
        for (orders, listeners) in self.orders.iter().zip(shares) {
            // A worker that is gone (it cannot be, short of a panic) leaves the others.
            drop(orders.send(Order::Serve { key, run: Arc::clone(run), listeners }));
        }
        Ok(RunHandle { key, orders: self.orders.clone() })
    }

    /// Stops accepting, lets open requests finish for as long as `limit`, and ends the threads.
    /// Blocks. Nothing is served afterwards.
    pub fn drain(&self, limit: Duration) {
        let until = Instant::now() + limit;
        for orders in &self.orders {
            // One that has ended before needs no order.
            drop(orders.send(Order::Drain { until }));
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.drain(Duration::ZERO);
    }
}

impl RunHandle {
    /// Stops serving the run; the same as dropping the handle.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        for orders in &self.orders {
            drop(orders.send(Order::Stop { key: self.key }));
        }
    }
}

/// Duplicates for one worker. DNS is answered by the first worker alone: it is little work.
fn share(index: usize, listeners: &[(Listener, OwnedFd)]) -> io::Result<Vec<(Listener, OwnedFd)>> {
    listeners
        .iter()
        .filter(|(kind, _)| index == 0 || !matches!(kind, Listener::DnsUdp | Listener::DnsTcp))
        .map(|(kind, descriptor)| descriptor.try_clone().map(|copy| (*kind, copy)))
        .collect()
}

/// One thread's state.
#[derive(Debug, Default)]
struct Worker {
    pool: Rc<Pool>,
    drain: Rc<Drain>,
    runs: HashMap<u64, Served>,
}

/// One run in one worker.
#[derive(Debug)]
struct Served {
    /// Accept loops and DNS.
    accepting: JoinSet<()>,
    /// Connections and tunnels.
    tasks: Tasks,
}

impl Drop for Served {
    /// Connections hold the set they are in, so it would not go by itself.
    fn drop(&mut self) {
        self.accepting.abort_all();
        self.tasks.borrow_mut().abort_all();
    }
}

impl Worker {
    async fn run(mut self, mut inbox: UnboundedReceiver<Order>) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let until = loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Serve { key, run, listeners }) => self.serve(key, &run, listeners),
                    Some(Order::Stop { key }) => drop(self.runs.remove(&key)),
                    Some(Order::Drain { until }) => break until,
                    None => break Instant::now(),
                },
                _ = sweep.tick() => self.pool.sweep(),
            }
        };
        self.finish(until).await;
    }

    fn serve(&mut self, key: u64, run: &Arc<Run>, listeners: Vec<(Listener, OwnedFd)>) {
        let tasks = Tasks::default();
        let mut accepting = JoinSet::new();
        for (kind, descriptor) in listeners {
            let context = Rc::new(Context {
                pool: Rc::clone(&self.pool),
                drain: Rc::clone(&self.drain),
                tasks: Rc::clone(&tasks),
            });
            accepting.spawn_local(listen(context, Arc::clone(run), kind, descriptor));
        }
        self.runs.insert(key, Served { accepting, tasks });
    }

    /// Lets what is open come to its end.
    async fn finish(mut self, until: Instant) {
        for served in self.runs.values_mut() {
            served.accepting.abort_all();
        }
        self.drain.raise();
        for served in self.runs.values() {
            loop {
                // Taken out, because a connection may still become a tunnel meanwhile.
                let mut batch = std::mem::take(&mut *served.tasks.borrow_mut());
                if batch.is_empty() {
                    break;
                }
                let ended = async { while batch.join_next().await.is_some() {} };
                if timeout_at(until, ended).await.is_err() {
                    break;
                }
            }
        }
    }
}

async fn listen(context: Rc<Context>, run: Arc<Run>, kind: Listener, descriptor: OwnedFd) {
    let (names, gate) = (Arc::clone(&run.names), Arc::clone(&run.gate));
    let ended = match kind {
        Listener::DnsUdp => dns::serve_udp(UdpSocket::from(descriptor), names, gate).await,
        Listener::DnsTcp => match TcpListener::from_std(StdListener::from(descriptor)) {
            Ok(listener) => dns::serve_tcp(listener, names, gate).await,
            Err(error) => Err(error),
        },
        Listener::Handed => handed::take_all(&context, &run, descriptor).await,
        Listener::Tcp(_)
        | Listener::Redirected
        | Listener::HostPort(_)
        | Listener::Published(_)
        | Listener::Pf { .. }
        | Listener::Connect => match TcpListener::from_std(StdListener::from(descriptor)) {
            Ok(listener) => accept_all(&context, &run, kind, &listener).await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = ended {
        tracing::error!(%error, ?kind, run = run.id, "a listening socket cannot be served");
    }
}

async fn accept_all(
    context: &Rc<Context>,
    run: &Arc<Run>,
    kind: Listener,
    listener: &TcpListener,
) -> io::Result<()> {
    loop {
        if !has_room(&context.tasks) {
            sleep(ACCEPT_PAUSE).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let work = accept::connection(Rc::clone(context), Arc::clone(run), kind, stream);
                context.tasks.borrow_mut().spawn_local(work);
            }
            // The agent gave up before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        // So that a burst is shared with the other workers.
        tokio::task::yield_now().await;
    }
}

/// Clears away what has ended; whether one more may begin.
pub(super) fn has_room(tasks: &Tasks) -> bool {
    let mut tasks = tasks.borrow_mut();
    while let Some(ended) = tasks.try_join_next() {
        if ended.is_err_and(|error| error.is_panic()) {
            tracing::error!("a connection panicked");
        }
    }
    tasks.len() < MAX_CONNECTIONS
}
