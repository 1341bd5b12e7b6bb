//! The open runs: what each was given, and telling them what they need to know.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    publish::{Published, Publishing, port_of},
    server::Shared,
    wire,
};
use crate::protocol::{
    ErrorKind, ErrorReply, ListenerKind, OpenRun, RunEvent, RunOpened, RunView, asks::AskView,
};
use crate::{
    broker::{Broker, Notice, RunGate},
    interceptor::{self, Dialer, Inside, Listener, NameTable, RunCa, RunHandle},
    process::Callers,
};

/// A run that does not read what it is told is not waited for longer.
const EVENT_LIMIT: Duration = Duration::from_millis(200);

/// Bytes of a request that a run is told: what is said must fit into one buffer.
const MAX_REQUEST: usize = 256;

/// All open runs.
#[derive(Debug, Default)]
pub(super) struct Runs {
    open: Mutex<BTreeMap<String, Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    command: String,
    agent: Arc<str>,
    profile: Arc<str>,
    opened: Instant,
    requests: Arc<AtomicU64>,
    published: Arc<Published>,
    voice: Arc<Voice>,
}

/// Speaks to one `run`, whose connection the session's thread reads.
#[derive(Debug)]
pub(super) struct Voice(Mutex<UnixStream>);

impl Voice {
    pub(super) fn say(&self, event: &RunEvent) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A run that is gone is noticed by the thread that reads from it. One that is stopped, as by
        // Ctrl-Z, reads nothing: the workers, who call this, must not wait for it. What it then does
        // not hear matters only to the next daemon.
        let _ = wire::try_send(&stream, event);
    }
}

impl Notice for Voice {
    fn named(&self, name: &str, address: SocketAddr) {
        if let SocketAddr::V4(address) = address {
            self.say(&RunEvent::Named { name: name.to_owned(), address: *address.ip() });
        }
    }

    fn asked(&self, ask: &AskView) {
        let mut request = ask.summary();
        request.truncate(request.floor_char_boundary(MAX_REQUEST));
        self.say(&RunEvent::Asked { id: ask.id.clone(), request });
    }
}

impl Runs {
    pub(super) fn views(&self) -> Vec<RunView> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter()
            .map(|(id, entry)| RunView {
                id: id.clone(),
                command: entry.command.clone(),
                agent: entry.agent.to_string(),
                profile: entry.profile.to_string(),
                seconds: entry.opened.elapsed().as_secs(),
                requests: entry.requests.load(Ordering::Relaxed),
                published: entry.published.ports(),
            })
            .collect()
    }

    /// Is there a run?
    pub(super) fn any(&self) -> bool {
        !self.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Tells every run that this daemon goes, so that none starts another.
    pub(super) fn tell_stopping(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in open.values() {
            entry.voice.say(&RunEvent::Stopping);
        }
    }

    fn insert(&self, id: &str, entry: Arc<Entry>) -> Result<(), ErrorReply> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains_key(id) {
            return Err(failed(format!("run {id} is already open")));
        }
        open.insert(id.to_owned(), entry);
        Ok(())
    }

    fn remove(&self, id: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// A run that belongs to one client connection; dropping it ends the run.
pub(super) struct OpenedRun {
    run: Arc<interceptor::Run>,
    handles: Vec<RunHandle>,
    publishing: Publishing,
    shared: Arc<Shared>,
    gate: Arc<RunGate>,
}

impl OpenedRun {
    pub(super) fn open(
        shared: &Arc<Shared>,
        broker: &Arc<Broker>,
        identity: Option<&str>,
        open: OpenRun,
        sender: io::Result<UnixStream>,
    ) -> Result<(Self, RunOpened), ErrorReply> {
        // Nothing is begun beside a home that is not where the run would cover it.
        let home = shared.hold.check(shared.runs.any())?;
        let sender = sender.map_err(|error| failed(format!("cannot serve the run: {error}")))?;
        let _ = sender.set_write_timeout(Some(EVENT_LIMIT));
        let voice = Arc::new(Voice(Mutex::new(sender)));
        let ca = RunCa::from_pem(&open.ca.certificate, &open.ca.key.0)
            .map_err(|error| failed(format!("the run's certificate authority: {error}")))?;
        let config = super::dial::config(&open.options, &open.proxy, &shared.sockets)?;
        let dialer = Dialer::new(config)
            .map_err(|error| failed(format!("cannot dial for this run: {error}")))?;
        let requests = Arc::new(AtomicU64::new(0));
        let (gate, opened) =
            RunGate::open(broker, &open, identity, Arc::clone(&requests), voice.clone())?;
        let published = Arc::<Published>::default();
        let entry = Entry {
            command: open.command,
            agent: Arc::clone(&gate.principal().agent),
            profile: Arc::clone(&gate.principal().profile),
            opened: Instant::now(),
            requests,
            published: Arc::clone(&published),
            voice: Arc::clone(&voice),
        };
        shared.runs.insert(&open.id, Arc::new(entry))?;
        let gate = Arc::new(gate);
        let run = Arc::new(interceptor::Run {
            id: open.id,
            gate: gate.clone(),
            ca: Arc::new(ca),
            names: Arc::new(NameTable::new(open.names)),
            dialer: Arc::new(dialer),
            callers: Callers::default(),
            inside: Inside::default(),
        });
        let publish = &open.options.publish;
        let (publishing, not_published) =
            Publishing::new(publish, shared, &run, &gate, &voice, &published);
        let opened = RunOpened { home, not_published, ..opened };
        let shared = Arc::clone(shared);
        Ok((Self { run, handles: Vec::new(), publishing, shared, gate }, opened))
    }

    pub(super) fn attach(
        &mut self,
        shared: &Shared,
        kinds: &[ListenerKind],
        descriptors: Vec<OwnedFd>,
    ) -> Result<(), ErrorReply> {
        // Covered by now, and if it was moved meanwhile, then perhaps too late.
        shared.hold.check(true)?;
        let mut listeners = Vec::with_capacity(kinds.len());
        let (mut namespace, mut ours) = (None, BTreeSet::new());
        for (kind, descriptor) in kinds.iter().zip(descriptors) {
            match listener(kind) {
                Attached::Listener(listener) => {
                    ours.extend(port_of(&descriptor));
                    listeners.push((listener, descriptor));
                }
                Attached::Diag { network } => {
                    let found = shared.finder.namespace(descriptor, network);
                    self.run.callers.look_into(found.clone());
                    namespace = Some(found);
                }
                Attached::Giver => self.run.inside.ask_at(descriptor),
            }
        }
        let handle = shared
            .workers
            .serve(&self.run, listeners)
            .map_err(|error| failed(format!("cannot accept on the run's sockets: {error}")))?;
        self.handles.push(handle);
        self.publishing.begin(namespace, ours);
        Ok(())
    }
}

impl Drop for OpenedRun {
    fn drop(&mut self) {
        self.handles.clear();
        self.shared.runs.remove(&self.run.id);
        self.shared.hold.run_ended();
        self.gate.close();
    }
}

/// What a run's socket is to us.
enum Attached {
    Listener(Listener),
    Diag { network: u64 },
    Giver,
}

fn listener(kind: &ListenerKind) -> Attached {
    Attached::Listener(match kind {
        ListenerKind::Tcp { port } => Listener::Tcp(*port),
        ListenerKind::Redirected => Listener::Redirected,
        ListenerKind::HostPort { port } => Listener::HostPort(*port),
        ListenerKind::Handed => Listener::Handed,
        ListenerKind::Pf { gid } => Listener::Pf { gid: *gid },
        ListenerKind::Connect => Listener::Connect,
        ListenerKind::DnsUdp => Listener::DnsUdp,
        ListenerKind::DnsTcp => Listener::DnsTcp,
        ListenerKind::SocketDiag { network } => return Attached::Diag { network: *network },
        ListenerKind::SocketGiver => return Attached::Giver,
    })
}

fn failed(message: String) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message, hint: None }
}
