//! The daemon before it has the passphrase: it says how it is, takes the passphrase, or stops.
//!
//! Everything else is refused with what would help. It holds the home, so that no second daemon begins;
//! but no vault, no run and no page. A run that lost its daemon waits without network until the vault is
//! open again.

use std::{
    fmt,
    io::{self, Write as _},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use secrecy::SecretString;
use serde_json::Value;

use super::{hold::Hold, peer, session, system::Signals, wake, wire::Wire};
use crate::{
    broker::Common,
    protocol::{
        Envelope, ErrorKind, ErrorReply, Reply, Request, Status,
        vault::{KeyPlace, VaultRequest, VaultState},
    },
};

/// Clients at once; each has a thread.
const MAX_CLIENTS: usize = 64;

/// Opens what a passphrase opens.
pub(super) type Unlock =
    Box<dyn Fn(&SecretString) -> Result<Arc<Common>, ErrorReply> + Send + Sync>;

/// What the clients' threads share.
struct Lobby {
    state: VaultState,
    unlock: Unlock,
    opened: Mutex<Option<Arc<Common>>>,
    /// Wakes the main thread.
    bell: io::PipeWriter,
    stopping: AtomicBool,
    clients: AtomicUsize,
    started: Instant,
}

impl fmt::Debug for Lobby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lobby").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Waits for the passphrase. None: told to stop before it came.
///
/// # Errors
/// The system's.
pub(super) fn wait(
    listener: &UnixListener,
    signals: &Signals,
    hold: &Hold,
    state: VaultState,
    unlock: Unlock,
) -> io::Result<Option<Arc<Common>>> {
    let (heard, bell) = io::pipe()?;
    let lobby = Arc::new(Lobby {
        state,
        unlock,
        opened: Mutex::default(),
        bell,
        stopping: AtomicBool::new(false),
        clients: AtomicUsize::new(0),
        started: Instant::now(),
    });
    tracing::info!(pid = std::process::id(), "waiting for the passphrase");
    loop {
        let woken = wake::wait(listener, signals, hold, Some(heard.as_fd()));
        let Some(woken) = woken else { return Ok(None) };
        if woken.other {
            return Ok(lobby.opened());
        }
        if woken.signal || (woken.claimed && hold.answer(false)) {
            return Ok(None);
        }
        if woken.moved {
            let _ = hold.check(false);
        }
        if woken.client {
            lobby.accept(listener);
        }
    }
}

impl Lobby {
    fn opened(&self) -> Option<Arc<Common>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely; without a pause the loop would spin.
            std::thread::sleep(Duration::from_millis(50));
            return;
        };
        if let Err(error) = peer::check(&stream) {
            tracing::warn!(cause = ?std::error::Error::source(&error), "refused {error}");
            return;
        }
        if self.clients.load(Ordering::Acquire) >= MAX_CLIENTS {
            return;
        }
        self.clients.fetch_add(1, Ordering::AcqRel);
        let lobby = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("client".to_owned()).spawn(move || {
            lobby.serve(stream);
            lobby.clients.fetch_sub(1, Ordering::AcqRel);
        });
        if spawned.is_err() {
            self.clients.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn serve(&self, stream: UnixStream) {
        let mut wire = Wire::new(stream);
        while let Ok(Some(envelope)) = wire.receive::<Envelope>() {
            let reply = match self.answer(envelope) {
                Ok(value) => Reply::Ok(value),
                Err(error) => Reply::Error(error),
            };
            let sent = wire.send(&reply, &[]);
            // Answered first: the main thread goes on, or ends the process, when the bell rings.
            if self.stopping.load(Ordering::Acquire) || self.opened().is_some() {
                let _ = (&self.bell).write(&[1]);
                return;
            }
            if sent.is_err() {
                return;
            }
        }
    }

    fn answer(&self, envelope: Envelope) -> Result<Value, ErrorReply> {
        session::check_version(&envelope)?;
        let request = envelope.request;
        if matches!(request, Request::Status) {
            return session::json(self.status());
        }
        if matches!(request, Request::Stop) {
            self.stopping.store(true, Ordering::Release);
            return session::json(());
        }
        if let Request::Vault(VaultRequest::Unlock { passphrase }) = request {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            if opened.is_none() {
                *opened = Some((self.unlock)(&passphrase.0)?);
            }
            return session::json(());
        }
        if matches!(request, Request::Vault(VaultRequest::Lock)) {
            return session::json(());
        }
        // Whoever connected before the passphrase came, and asks only now.
        if self.opened().is_some() {
            return Err(ErrorReply {
                kind: ErrorKind::Unavailable,
                message: "the vault has been opened only now".to_owned(),
                hint: Some("try again".to_owned()),
            });
        }
        Err(locked(self.state))
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            runs: Vec::new(),
            master_key: KeyPlace::Passphrase.as_str().to_owned(),
            vault: self.state,
            dashboard: None,
        }
    }
}

fn locked(state: VaultState) -> ErrorReply {
    let message = match state {
        VaultState::New => "the vault has no passphrase yet",
        VaultState::Locked | VaultState::Open => "the vault is locked",
    };
    ErrorReply {
        kind: ErrorKind::Unavailable,
        message: message.to_owned(),
        hint: Some("authsome vault unlock".to_owned()),
    }
}
