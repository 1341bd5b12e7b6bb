//! The agent's own servers on the host's loopback: those that `--publish` names, and with `auto` those
//! that come and go.
//!
//! A published port is two listening sockets of the host, which the interceptor's workers serve as they
//! serve a run's, towards the namespace. It knows ports and addresses, and nothing of what is spoken.
//! One task a run looks which servers there are, and only while there is something to look for.
//!
//! How it fails: closed, and said. What cannot be put on record, or is taken on the host, is not
//! published; the user is told once, and it is tried again for as long as it is wanted.

mod host;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use super::{runs::Voice, server::Shared};
use crate::{
    broker::RunGate,
    interceptor::{self, Listener, RunHandle},
    process::Namespace,
    protocol::{
        ErrorKind, ErrorReply, RunEvent,
        publish::{DASHBOARD_PORT, Publish, PublishedPort},
    },
};

/// How often the agent's servers are looked for. A person who starts one does not wait longer than this.
const LOOK: Duration = Duration::from_millis(500);
/// How long a run that has ended may keep its ports, and how often it is looked whether it does.
const ENDING: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);
/// Ports of one run that are published without being named. An agent must not have the whole loopback.
const MOST_FOUND: usize = 32;

/// What a run has published. Dropping it closes all of that.
pub(super) struct Publishing {
    publisher: Arc<Publisher>,
    looking: Option<AbortHandle>,
}

/// The ports that are published for a run, for whoever shows them.
#[derive(Debug, Default)]
pub(super) struct Published(Mutex<BTreeMap<u16, Open>>);

/// A published port; its key is the host's.
#[derive(Debug)]
struct Open {
    port: u16,
    /// Was it found, and not named?
    found: bool,
    /// Dropped with it: that closes listeners and connections.
    _serving: RunHandle,
}

struct Publisher {
    auto: bool,
    shared: Arc<Shared>,
    run: Arc<interceptor::Run>,
    gate: Arc<RunGate>,
    voice: Arc<Voice>,
    published: Arc<Published>,
    /// Ports that were named and are still to be published, with what listens for them already.
    waiting: Mutex<Vec<(PublishedPort, Option<Vec<OwnedFd>>)>>,
    /// Host ports that the user was told not to be published.
    told: Mutex<BTreeSet<u16>>,
}

impl Published {
    /// All of them, the lowest first.
    pub(super) fn ports(&self) -> Vec<PublishedPort> {
        let open = self.open();
        open.iter().map(|(&host_port, open)| PublishedPort { port: open.port, host_port }).collect()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u16, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").finish_non_exhaustive()
    }
}

impl Publishing {
    /// Takes the ports that `wanted` names; nobody is served before [`Self::begin`]. Also says which of
    /// them cannot be had.
    pub(super) fn new(
        wanted: &[Publish],
        shared: &Arc<Shared>,
        run: &Arc<interceptor::Run>,
        gate: &Arc<RunGate>,
        voice: &Arc<Voice>,
        published: &Arc<Published>,
    ) -> (Self, Vec<ErrorReply>) {
        let mut waiting = Vec::new();
        let mut refused = Vec::new();
        for port in wanted.iter().filter_map(Publish::port) {
            match patiently(port.host_port) {
                Ok(listeners) => waiting.push((port, Some(listeners))),
                Err(error) => {
                    refused.push(taken(port, &error));
                    waiting.push((port, None));
                }
            }
        }
        let publisher = Arc::new(Publisher {
            auto: wanted.contains(&Publish::Auto),
            shared: Arc::clone(shared),
            run: Arc::clone(run),
            gate: Arc::clone(gate),
            voice: Arc::clone(voice),
            published: Arc::clone(published),
            waiting: Mutex::new(waiting),
            told: Mutex::default(),
        });
        (Self { publisher, looking: None }, refused)
    }

    /// Serves what was named, and begins to look for what was not. `ours` are the ports of the namespace
    /// with a listener that is not the agent's.
    pub(super) fn begin(&mut self, namespace: Option<Namespace>, ours: BTreeSet<u16>) {
        let publisher = Arc::clone(&self.publisher);
        if !publisher.publish_named() && !publisher.auto {
            return;
        }
        let looking = self.publisher.shared.runtime.spawn(publisher.look(namespace, ours));
        if let Some(earlier) = self.looking.replace(looking.abort_handle()) {
            earlier.abort();
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        if let Some(looking) = &self.looking {
            looking.abort();
        }
        self.publisher.published.open().clear();
    }
}

impl Publisher {
    async fn look(self: Arc<Self>, namespace: Option<Namespace>, ours: BTreeSet<u16>) {
        let mut time = interval(LOOK);
        time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            time.tick().await;
            let missing = self.publish_named();
            if self.auto
                && let Some(namespace) = &namespace
            {
                let (found, listening) = oneshot::channel();
                // Where nobody waits any longer, nobody misses it.
                namespace.listening(move |listening| drop(found.send(listening)));
                match listening.await {
                    Ok(Ok(listening)) => self.follow(&host::publishable(&listening, &ours)),
                    Ok(Err(error)) => tracing::debug!(%error, "the agent's servers are not known"),
                    // The thread that looks has too much to do.
                    Err(_) => {}
                }
            } else if !missing {
                return;
            }
        }
    }

    /// Publishes what was named and is not yet. True if something is left.
    fn publish_named(&self) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain_mut(|(port, listeners)| {
            let listeners = listeners.take().map_or_else(|| host::listen(port.host_port), Ok);
            !self.publish(*port, listeners, false)
        });
        !waiting.is_empty()
    }

    /// Publishes what has come, and closes what has gone.
    fn follow(&self, listening: &BTreeSet<u16>) {
        let mut room = MOST_FOUND;
        let mut open = self.published.open();
        let mut gone = Vec::new();
        open.retain(|host_port, open| {
            let stays = !open.found || listening.contains(&open.port);
            room -= usize::from(stays && open.found).min(room);
            if !stays {
                gone.push(*host_port);
            }
            stays
        });
        let served: BTreeSet<u16> = open.values().map(|open| open.port).collect();
        drop(open);
        for host_port in gone {
            self.gate.unpublished(host_port);
        }
        self.told().retain(|port| listening.contains(port));
        for &port in listening.difference(&served) {
            if room == 0 {
                let why = format!("{MOST_FOUND} ports of this run are published already");
                self.refuse(port, why);
                continue;
            }
            let listeners = host::listen(port);
            room -=
                usize::from(self.publish(PublishedPort { port, host_port: port }, listeners, true));
        }
    }

    /// Serves a port, if it can be had and put on record. The user is told of either, once.
    fn publish(
        &self,
        port: PublishedPort,
        listeners: io::Result<Vec<OwnedFd>>,
        found: bool,
    ) -> bool {
        let host_port = port.host_port;
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(error) => {
                self.refuse(host_port, error.to_string());
                return false;
            }
        };
        if let Err(denial) = self.gate.published(host_port) {
            self.refuse(host_port, denial.reason);
            return false;
        }
        let kind = Listener::Published(port.port);
        let listeners = listeners.into_iter().map(|listener| (kind, listener)).collect();
        match self.shared.workers.serve(&self.run, listeners) {
            Ok(serving) => {
                let open = Open { port: port.port, found, _serving: serving };
                self.published.open().insert(host_port, open);
                self.told().remove(&host_port);
                self.voice.say(&RunEvent::Published { port });
                true
            }
            Err(error) => {
                self.gate.unpublished(host_port);
                self.refuse(host_port, error.to_string());
                false
            }
        }
    }

    fn refuse(&self, host_port: u16, reason: String) {
        if self.told().insert(host_port) {
            self.voice.say(&RunEvent::NotPublished { host_port, reason });
        }
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<u16>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on a port that a run which has just ended may still have.
fn patiently(host_port: u16) -> io::Result<Vec<OwnedFd>> {
    let until = Instant::now() + ENDING;
    loop {
        match host::listen(host_port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// The port of a listening socket.
pub(super) fn port_of(listener: &OwnedFd) -> Option<u16> {
    let address = SockRef::from(&listener.as_fd()).local_addr().ok()?;
    address.as_socket().map(|address: SocketAddr| address.port())
}

fn taken(port: PublishedPort, error: &io::Error) -> ErrorReply {
    let PublishedPort { port, host_port } = port;
    // One that is likely to be free, and not the one that never is.
    let other = match host_port.checked_add(1) {
        None | Some(DASHBOARD_PORT) => host_port - 1,
        Some(next) => next,
    };
    ErrorReply {
        kind: ErrorKind::Failed,
        message: format!("cannot listen on port {host_port} of this machine's loopback: {error}"),
        hint: Some(format!("choose another: --publish {port}:{other}")),
    }
}
