//! The gate of one run: which connection, if any, a request gets.

mod ask;
mod denial;
mod judge;
mod limits;
mod way;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use http::{Method, request::Parts};
use jiff::Timestamp;

use self::ask::Asked;
pub(super) use self::denial::not_connected;
use self::{
    denial::{ambiguous, login_needed, refused},
    way::Way,
};
use super::{
    Broker, Notice,
    choice::Choice,
    egress::EgressRules,
    entry::Entry,
    environment,
    oauth::{Exchange, Freshness},
    standing::{Principal, Standing},
};
use crate::{
    audit::{self, Event},
    gate::{
        Admission, BoxFuture, Decision, Denial, Gate, Injection, Record, RecordKind, Renewal,
        RequestFacts, Ruling, Target, Verdict,
    },
    interceptor::{AllowRule, placed},
    protocol::{ErrorReply, HostPort, OpenRun, RunOpened, chain},
    provider::{Route, Routes},
    scrub::Finder,
};

/// The port whose TLS is opened for providers.
const HTTPS: u16 = 443;

/// Decides for one run.
#[derive(Debug)]
pub struct RunGate {
    broker: Arc<Broker>,
    run: Arc<str>,
    /// What it runs.
    command: Arc<str>,
    standing: Standing,
    connections: BTreeMap<String, String>,
    egress: EgressRules,
    /// What was claimed when the run began: its agent holds placeholders for it, and after a logout is
    /// to be told of that, not let through with them.
    began_with: Arc<Routes>,
    requests: Arc<AtomicU64>,
    notice: Arc<dyn Notice>,
}

impl RunGate {
    /// Begins a run of the agent `identity`, or of the default one, or of the one called after the
    /// command: checks that the connections it names exist, and says what the agent's environment must
    /// hold.
    ///
    /// # Errors
    /// An identity or a connection that does not exist; an audit log that cannot be written.
    pub fn open(
        broker: &Arc<Broker>,
        open: &OpenRun,
        identity: Option<&str>,
        requests: Arc<AtomicU64>,
        notice: Arc<dyn Notice>,
    ) -> Result<(Self, RunOpened), ErrorReply> {
        broker.common.policy().look();
        let snapshot = broker.snapshot();
        let options = &open.options;
        for (provider, connection) in &options.connections {
            broker.definition(provider)?;
            if snapshot.find(provider, Some(connection)).is_none() {
                return Err(super::connections::not_connected(provider, Some(connection)));
            }
        }
        let opened = environment::of_run(&broker.registry(), &snapshot, options)?;
        broker.common.audit.healthy().map_err(|error| super::audit_error(&error))?;
        let run = open.id.as_str().into();
        let actor = broker.actor(identity, &open.agent)?;
        let gate = Self {
            broker: Arc::clone(broker),
            standing: Standing::begin(broker, &actor, &run, SystemTime::now())?,
            run,
            command: open.command.as_str().into(),
            connections: options.connections.clone(),
            began_with: Arc::clone(snapshot.routes()),
            egress: EgressRules::new(options.egress, allow_rules(&options.allow)),
            requests,
            notice,
        };
        gate.note(Event { operation: Some("open".into()), ..Event::new(audit::Kind::Run) });
        let principal = gate.principal();
        let opened = RunOpened {
            profile: principal.profile.to_string(),
            identity: principal.name.as_str().to_owned(),
            ..opened
        };
        Ok((gate, opened))
    }

    /// Who acts in this run, and for whom.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.standing.principal()
    }

    /// Notes that a port of the host's loopback leads to the agent from now on.
    ///
    /// # Errors
    /// It cannot be put on record, and so may not.
    pub fn published(&self, host_port: u16) -> Result<(), Denial> {
        self.recordable()?;
        self.note_port("publish", host_port);
        Ok(())
    }

    /// Notes that it does no more. For what is published when the run ends, its end is the note.
    pub fn unpublished(&self, host_port: u16) {
        self.note_port("unpublish", host_port);
    }

    fn note_port(&self, operation: &'static str, host_port: u16) {
        self.note(Event {
            operation: Some(operation.into()),
            host: Some("localhost".into()),
            port: Some(host_port),
            ..Event::new(audit::Kind::Run)
        });
    }

    /// Notes that the run has ended.
    pub fn close(&self) {
        self.broker.common.asks.run_ended(&self.run);
        self.note(Event { operation: Some("close".into()), ..Event::new(audit::Kind::Run) });
    }

    fn note(&self, event: Event) {
        let event = Event {
            run: Some(Arc::clone(&self.run)),
            agent: Some(Arc::clone(&self.principal().agent)),
            user: Some(Arc::clone(&self.principal().user)),
            ..event
        };
        if let Err(error) = self.broker.append(event) {
            // The log is full and refuses; from now on every request is denied, see `decide`.
            tracing::error!(error = chain(&error), "an event is not on record");
        }
    }

    /// Nothing may happen that cannot be put on record.
    fn recordable(&self) -> Result<(), Denial> {
        self.broker.common.audit.healthy().map_err(|error| Denial {
            code: "audit-unavailable",
            reason: format!("the request cannot be put on record: {error}"),
            hint: error.hint(),
            status: 503,
        })
    }

    /// Where a request goes, or the verdict where there is no such place.
    fn way(&self, facts: &RequestFacts, head: &Parts) -> Result<Way, Verdict> {
        let path = facts.path.as_str();
        let snapshot = self.broker.snapshot();
        let placed = placed::owners(head, snapshot.placeholders());
        if facts.method == Method::POST && snapshot.has_token_endpoint(&facts.target.host) {
            let owners = snapshot.token_endpoint(&facts.target.host, path);
            let strange = |name: &&Arc<str>| owners.iter().all(|entry| entry.full_name != **name);
            if let Some(connection) = placed.iter().find(strange).filter(|_| !owners.is_empty()) {
                return Err(Verdict::Misplaced(Arc::clone(connection)));
            }
            if let Some(exchange) = Exchange::new(owners) {
                return Ok(Way::Exchange(Arc::new(exchange)));
            }
        }
        let (provider, connections) = match snapshot.routes().route(&facts.target.host, path) {
            Route::Provider(claim) => {
                (claim.definition.name.as_str(), claim.connections.as_slice())
            }
            Route::Ambiguous(names) => match self.chosen_among(&names) {
                Some(name) => {
                    let host = &facts.target.host;
                    // Its connections to another instance have no business here.
                    let claim = snapshot.routes().claim_of(name, host, path);
                    (name, claim.map_or(&[][..], |claim| claim.connections.as_slice()))
                }
                None => return Err(Verdict::Deny(ambiguous(&facts.target, &names))),
            },
            Route::None => {
                let began_with = self.began_with.route(&facts.target.host, path);
                return if let Route::Provider(claim) = began_with {
                    Err(Verdict::Deny(not_connected(&claim.definition.name, None)))
                } else if let Some(connection) = placed.into_iter().next() {
                    Err(Verdict::Misplaced(connection))
                } else if self.egress.permits(&facts.target) {
                    Ok(Way::Forward)
                } else {
                    Err(Verdict::Deny(refused(&facts.target)))
                };
            }
        };
        Choice {
            snapshot: &snapshot,
            provider,
            claiming: connections,
            target: &facts.target,
            run: self.connections.get(provider).map(String::as_str),
        }
        .make(head, &placed)
        .map(|entry| Way::Inject(Arc::clone(entry)))
    }

    /// Can a connection be used as it is, or has its credential to be got or renewed first?
    fn is_ready(&self, entry: &Entry) -> bool {
        !entry.is_sourced() && entry.grant().is_none()
    }

    /// The verdict that a connection means, at once unless its token has to be renewed first.
    fn verdict(&self, entry: Arc<Entry>) -> BoxFuture<'_, Verdict> {
        if entry.is_sourced() {
            return self.broker.sourced_verdict(entry);
        }
        let Some(grant) = entry.grant() else { return now(inject(&entry)) };
        let time = Timestamp::now();
        if let Some(reason) = grant.login_reason(time) {
            return now(Verdict::Deny(login_needed(&entry, &reason)));
        }
        let freshness = grant.freshness(time);
        if freshness == Freshness::Fresh || !grant.can_renew() {
            return now(inject(&entry));
        }
        if freshness == Freshness::Ageing {
            self.broker.renew_ahead(&entry);
            return now(inject(&entry));
        }
        let expired = grant.expires_at.is_some_and(|expires_at| expires_at <= time);
        let issue = grant.issue;
        Box::pin(async move {
            match self.broker.renewed(&entry.full_name, issue, false).await {
                Ok(entry) => inject(&entry),
                Err(why) if why.login => Verdict::Deny(login_needed(&entry, &why.reason)),
                // The token in hand may still arrive in time.
                Err(_) if !expired => inject(&entry),
                Err(why) => Verdict::Deny(Denial {
                    code: "token-not-renewed",
                    reason: format!("{}: {}", entry.full_name, why.reason),
                    hint: None,
                    status: 503,
                }),
            }
        })
    }

    /// A connection by its full name.
    fn find(&self, name: &str) -> Option<Arc<Entry>> {
        self.broker.snapshot().named(name).cloned()
    }

    /// The one provider of a tie that this run has chosen a connection of.
    fn chosen_among<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let mut chosen = names.iter().filter(|name| self.connections.contains_key(**name));
        let first = chosen.next()?;
        chosen.next().is_none().then_some(*first)
    }
}

fn now<'a>(verdict: Verdict) -> BoxFuture<'a, Verdict> {
    Box::pin(std::future::ready(verdict))
}

fn inject(entry: &Entry) -> Verdict {
    match entry.injection() {
        Ok(injection) => Verdict::Inject(injection),
        Err(reason) => Verdict::Deny(Denial {
            code: "credential-unusable",
            reason: format!("{} cannot be used: {reason}", entry.full_name),
            hint: Some(entry.login_command()),
            status: 403,
        }),
    }
}

fn allow_rules(rules: &[HostPort]) -> Vec<AllowRule> {
    rules.iter().map(|rule| AllowRule { host: rule.host.clone(), port: rule.port }).collect()
}

/// The usual ones without a copy.
fn method_name(method: Method) -> Cow<'static, str> {
    match method {
        Method::GET => "GET".into(),
        Method::POST => "POST".into(),
        Method::PUT => "PUT".into(),
        Method::DELETE => "DELETE".into(),
        other => other.as_str().to_owned().into(),
    }
}

impl Gate for RunGate {
    fn admit(&self, target: &Target, tls: bool) -> Ruling<Admission> {
        if let Err(denial) = self.verified() {
            return Admission::Refuse(denial).into();
        }
        let snapshot = self.broker.snapshot();
        let claimed = || {
            snapshot.routes().claims(&target.host)
                || snapshot.has_token_endpoint(&target.host)
                || self.began_with.claims(&target.host)
        };
        if tls && target.port == HTTPS && claimed() {
            Admission::Intercept.into()
        } else {
            self.passage(target)
        }
    }

    fn hold<'a>(&'a self, target: &'a Target, _: bool) -> BoxFuture<'a, Ruling<Admission>> {
        Box::pin(self.held(target))
    }

    fn authorize<'a>(
        &'a self,
        facts: &'a RequestFacts,
        head: &'a Parts,
    ) -> BoxFuture<'a, Ruling<Verdict>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.ruling(facts, head)
    }

    fn renew<'a>(&'a self, _: &'a RequestFacts, used: &'a Injection) -> BoxFuture<'a, Renewal> {
        Box::pin(async move {
            let Some(issue) = used.issue else { return Renewal::Keep };
            if let Some(entry) = self.find(&used.connection).filter(|entry| entry.is_sourced()) {
                return self.broker.refetched(&entry, used).await;
            }
            match self.broker.renewed(&used.connection, issue, true).await {
                Ok(entry) => match entry.injection() {
                    Ok(next) if next.issue != used.issue => Renewal::Again(next),
                    Ok(_) | Err(_) => Renewal::Keep,
                },
                Err(why) if why.login => match self.find(&used.connection) {
                    Some(entry) => Renewal::Deny(login_needed(&entry, &why.reason)),
                    None => Renewal::Keep,
                },
                Err(_) => Renewal::Keep,
            }
        })
    }

    fn placeholders(&self) -> Option<Arc<Finder>> {
        let snapshot = self.broker.snapshot();
        let finder = snapshot.placeholders();
        (!finder.is_empty()).then(|| Arc::clone(finder))
    }

    fn record(&self, record: Record) {
        let kind = match record.kind {
            RecordKind::Request => audit::Kind::Request,
            RecordKind::Splice => audit::Kind::Splice,
            RecordKind::Connection => audit::Kind::Connection,
        };
        let decision = match record.decision {
            Decision::Forward => "forward",
            Decision::Inject => "inject",
            Decision::Splice => "splice",
            Decision::Answer => "answer",
            Decision::Deny => "deny",
        };
        if record.decision != Decision::Deny {
            let bytes = record.bytes_sent.saturating_add(record.bytes_received);
            self.spent(&record.target, record.connection.as_ref(), bytes);
        }
        let (process, executable) =
            record.process.map(|process| (process.pid, process.executable)).unzip();
        self.note(Event {
            process,
            executable,
            connection: record.connection,
            method: record.method.map(method_name),
            host: Some(record.target.host),
            port: Some(record.target.port),
            path: record.path.map(Into::into),
            decision: Some(decision.into()),
            policy: record.policy,
            status: record.status,
            error: record.error.map(Into::into),
            bytes_sent: Some(record.bytes_sent),
            bytes_received: Some(record.bytes_received),
            duration_ms: Some(u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX)),
            time: record.started,
            ..Event::new(kind)
        });
    }

    fn named(&self, name: &str, address: SocketAddr) {
        self.notice.named(name, address);
    }
}
