//! One client: its requests, and, if it opens one, its run.

use std::{os::unix::net::UnixStream, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::{identities, runs::OpenedRun, server::Shared, vault, wire::Wire};
use crate::broker::Broker;
use crate::protocol::{Envelope, ErrorKind, ErrorReply, Reply, Request};

/// Longest wait for a login's next step in one request, in seconds.
pub(super) const LONGEST_LOOK: u32 = 60;

/// Answers until the client closes. When it had a run, the run ends with it.
pub(super) fn serve(shared: &Arc<Shared>, stream: UnixStream) {
    let mut session =
        Session { shared, wire: Wire::new(stream), run: None, stop: false, logins: Vec::new() };
    loop {
        let envelope = match session.wire.receive::<Envelope>() {
            Ok(Some(envelope)) => envelope,
            Ok(None) => break,
            Err(error) => {
                // An envelope that cannot be read most likely comes from another version.
                let reply = ErrorReply {
                    kind: ErrorKind::Unavailable,
                    message: format!("the daemon cannot read the request: {error}"),
                    hint: Some("authsome daemon stop".to_owned()),
                };
                let _ = session.wire.send(&Reply::<Value>::Error(reply), &[]);
                break;
            }
        };
        let reply = session.answer(envelope);
        let sent = session.wire.send(&reply, &[]);
        if session.stop {
            // Answered first: the process may be gone before this thread runs again.
            shared.stop();
        }
        if sent.is_err() {
            break;
        }
    }
    for (broker, id) in &session.logins {
        broker.cancel_login(id);
    }
}

struct Session<'a> {
    shared: &'a Arc<Shared>,
    wire: Wire,
    run: Option<OpenedRun>,
    /// Logins it has begun: they end with it.
    logins: Vec<(Arc<Broker>, String)>,
    /// The daemon is to stop once the answer is out.
    stop: bool,
}

impl Session<'_> {
    fn answer(&mut self, envelope: Envelope) -> Reply<Value> {
        match self.dispatch(envelope) {
            Ok(value) => Reply::Ok(value),
            Err(error) => Reply::Error(error),
        }
    }

    fn dispatch(&mut self, envelope: Envelope) -> Result<Value, ErrorReply> {
        check_version(&envelope)?;
        let (profile, identity) = (envelope.profile.as_deref(), envelope.identity.as_deref());
        let broker = || {
            let broker = self.shared.profiles.get(profile)?;
            broker.check_identity(identity)?;
            Ok::<_, ErrorReply>(broker)
        };
        match envelope.request {
            Request::Status => json(self.shared.status()),
            Request::Stop => {
                self.stop = true;
                json(())
            }
            Request::Connections { provider } => json(broker()?.connections(provider.as_deref())?),
            Request::PutConnection { provider, connection, fields, replace } => {
                json(broker()?.put(&provider, &connection, fields, replace)?)
            }
            Request::PutSourced(put) => {
                json(self.shared.runtime.block_on(broker()?.put_sourced(*put))?)
            }
            Request::GetConnection { provider, connection, reveal, purpose } => {
                let (broker, connection) = (broker()?, connection.as_deref());
                let found = broker.credential(&provider, connection, reveal, &purpose, identity);
                json(self.shared.runtime.block_on(found)?)
            }
            Request::SetDefault { provider, connection } => {
                json(broker()?.set_default(&provider, &connection)?)
            }
            Request::DeleteConnections { provider, connection, forget_clients } => {
                let broker = broker()?;
                if forget_clients {
                    broker.forget_clients(&provider)?;
                }
                let gone = broker.disconnect(&provider, connection.as_deref());
                json(self.shared.runtime.block_on(gone)?)
            }
            Request::BeginLogin(begin) => {
                let broker = broker()?;
                let view = broker.begin_login(*begin)?;
                self.logins.push((broker, view.id.clone()));
                json(view)
            }
            Request::ImportTokens(tokens) => json(broker()?.import_tokens(*tokens)?),
            Request::AwaitLogin { id, seen, seconds } => {
                let wait = Duration::from_secs(seconds.min(LONGEST_LOOK).into());
                let broker = broker()?;
                json(self.shared.runtime.block_on(broker.await_login(&id, seen, wait))?)
            }
            Request::LoginInput { id, input } => {
                let broker = broker()?;
                json(self.shared.runtime.block_on(broker.login_input(&id, input))?)
            }
            Request::Asks(request) => super::asks::answer(self.shared, request),
            Request::DashboardLink { page } => {
                let broker = broker()?;
                json(self.shared.dashboard_link(broker.profile(), page.as_deref())?)
            }
            Request::ReloadProviders => json(self.shared.common.reload_providers()?),
            Request::Audit => json(self.shared.common.audit()),
            Request::Problems => json(broker()?.problems()),
            Request::VerifyVault => json(broker()?.verify()?),
            Request::Identity(request) => {
                let broker = broker()?;
                identities::answer(&broker, identity, request)
            }
            Request::Profile(request) => {
                identities::profiles(&self.shared.profiles, &broker, identity, request)
            }
            Request::Vault(request) => match vault::answer(self.shared, &mut self.wire, request)? {
                vault::Answer::Value(value) => Ok(value),
                vault::Answer::Last(value) => {
                    self.stop = true;
                    Ok(value)
                }
            },
            Request::OpenRun(open) => {
                if self.run.is_some() {
                    return Err(usage("this connection already has a run"));
                }
                if self.shared.is_stopping() {
                    return Err(stopping());
                }
                let (run, opened) = {
                    let broker = broker()?;
                    OpenedRun::open(self.shared, &broker, identity, *open, self.wire.sender())
                }?;
                self.run = Some(run);
                json(opened)
            }
            Request::Attach { listeners } => {
                let descriptors = self
                    .wire
                    .take_descriptors(listeners.len())
                    .map_err(|error| usage(&error.to_string()))?;
                let run = self.run.as_mut().ok_or_else(|| usage("no run is open"))?;
                json(run.attach(self.shared, &listeners, descriptors)?)
            }
        }
    }
}

/// Another version may ask how the daemon is, and tell it to stop; everything else could mean
/// something else to it.
pub(super) fn check_version(envelope: &Envelope) -> Result<(), ErrorReply> {
    let own = env!("CARGO_PKG_VERSION");
    if envelope.version == own || matches!(envelope.request, Request::Status | Request::Stop) {
        return Ok(());
    }
    Err(ErrorReply {
        kind: ErrorKind::Unavailable,
        message: format!(
            "the running daemon is version {own}, this command is version {}",
            envelope.version
        ),
        hint: Some("authsome daemon stop".to_owned()),
    })
}

pub(super) fn json<T: Serialize>(value: T) -> Result<Value, ErrorReply> {
    serde_json::to_value(value).map_err(|error| ErrorReply {
        kind: ErrorKind::Failed,
        message: format!("the answer cannot be written as JSON: {error}"),
        hint: None,
    })
}

pub(super) fn usage(message: &str) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message: message.to_owned(), hint: None }
}

fn stopping() -> ErrorReply {
    ErrorReply {
        kind: ErrorKind::Unavailable,
        message: "the daemon is stopping".to_owned(),
        hint: Some("try again".to_owned()),
    }
}
