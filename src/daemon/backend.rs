//! What the dashboard shows and does, as the daemon has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::sync::{broadcast::Receiver, watch};

use super::server::Shared;
use crate::{
    audit::{self, read},
    broker::{Broker, asks::Approver},
    dashboard::{Answer, AuditFilter, AuditLine, Backend},
    protocol::{
        ConnectionView, ErrorKind, ErrorReply, Secret, Status,
        asks::{AskAnswer, AskView},
        login::{BeginLogin, LoginInput, LoginView, Removed},
        vault::VaultState,
    },
    provider::Registry,
};

/// Records of the audit log that are looked through for a page.
const LOOKED_THROUGH: usize = 20_000;
/// How far back older pages go, in records: they are read anew for each page.
const FARTHEST: usize = 100_000;
/// Most records on a page.
const MOST: usize = 2_000;

/// The daemon, as the dashboard sees it.
#[derive(Debug)]
pub(super) struct DaemonBackend {
    /// Weak: the daemon holds the dashboard.
    shared: Weak<Shared>,
    /// What is shown; none: the profile in use.
    profile: Option<Arc<str>>,
}

impl DaemonBackend {
    pub(super) fn new(shared: Weak<Shared>) -> Self {
        Self { shared, profile: None }
    }

    fn shared(&self) -> Result<Arc<Shared>, ErrorReply> {
        self.shared.upgrade().ok_or_else(|| ErrorReply {
            kind: ErrorKind::Unavailable,
            message: "the daemon is stopping".to_owned(),
            hint: Some("try again".to_owned()),
        })
    }

    fn broker(&self) -> Result<Arc<Broker>, ErrorReply> {
        self.shared()?.profiles.get(self.profile.as_deref())
    }

    /// Does what waits for the profile's vault, aside.
    fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Broker) -> Result<T, ErrorReply> + Send + 'static,
    ) -> Answer<'_, T> {
        let profile = self.profile.clone();
        self.aside(move |shared| {
            let broker = shared.profiles.get(profile.as_deref())?;
            work(&broker)
        })
    }

    /// Does what waits for the disk on a thread where that harms nobody.
    fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, ErrorReply> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let shared = self.shared()?;
            let done = tokio::task::spawn_blocking(move || work(&shared)).await;
            done.unwrap_or_else(|_| Err(failed("the daemon could not do that")))
        })
    }
}

impl Backend for DaemonBackend {
    fn of_profile(self: Arc<Self>, profile: Option<&str>) -> Arc<dyn Backend> {
        Arc::new(Self { shared: Weak::clone(&self.shared), profile: profile.map(Arc::from) })
    }

    fn profile(&self) -> Arc<str> {
        let in_use = || self.shared().map_or_else(|_| "".into(), |shared| shared.profiles.in_use());
        self.profile.clone().unwrap_or_else(in_use)
    }

    fn status(&self) -> Status {
        self.shared().map_or_else(
            |_| Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                uptime_seconds: 0,
                runs: Vec::new(),
                master_key: String::new(),
                vault: VaultState::Open,
                dashboard: None,
            },
            |shared| {
                let mut status = shared.status();
                status.runs.retain(|run| *run.profile == *self.profile());
                status
            },
        )
    }

    fn registry(&self) -> Arc<Registry> {
        self.shared()
            .map_or_else(|_| Arc::new(Registry::load(None).0), |shared| shared.common.definitions())
    }

    fn connections(&self) -> Result<Vec<ConnectionView>, ErrorReply> {
        self.broker()?.connections(None)
    }

    fn put<'a>(
        &'a self,
        provider: &'a str,
        connection: &'a str,
        fields: Vec<(String, Secret)>,
        replace: bool,
    ) -> Answer<'a, ConnectionView> {
        let (provider, connection) = (provider.to_owned(), connection.to_owned());
        let fields: BTreeMap<_, _> = fields.into_iter().collect();
        self.within(move |broker| broker.put(&provider, &connection, fields, replace))
    }

    fn set_default<'a>(&'a self, provider: &'a str, connection: &'a str) -> Answer<'a, ()> {
        let (provider, connection) = (provider.to_owned(), connection.to_owned());
        self.within(move |broker| broker.set_default(&provider, &connection).map(drop))
    }

    fn disconnect<'a>(&'a self, provider: &'a str, connection: &'a str) -> Answer<'a, Removed> {
        Box::pin(async move {
            let removed = self.broker()?.disconnect(provider, Some(connection)).await?;
            removed.into_iter().next().ok_or_else(|| ErrorReply {
                kind: ErrorKind::NotFound,
                message: format!("{provider}/{connection} is not connected"),
                hint: None,
            })
        })
    }

    fn begin_login(&self, login: BeginLogin) -> Answer<'_, LoginView> {
        Box::pin(async move { self.broker()?.begin_login(login) })
    }

    fn login(&self, id: &str) -> Option<LoginView> {
        self.broker().ok()?.login(id)
    }

    fn login_input<'a>(&'a self, id: &'a str, input: LoginInput) -> Answer<'a, LoginView> {
        Box::pin(async move { self.broker()?.login_input(id, input).await })
    }

    fn callback<'a>(&'a self, query: &'a str) -> Answer<'a, Option<LoginView>> {
        Box::pin(async move {
            // The `state` says whose login it is, whichever profile that belongs to.
            for broker in self.shared()?.profiles.opened() {
                if let Some(view) = broker.callback(query).await {
                    return Ok(Some(view));
                }
            }
            Ok(None)
        })
    }

    fn asks(&self) -> Vec<AskView> {
        self.shared().map_or_else(|_| Vec::new(), |shared| shared.common.asks().pending())
    }

    fn asks_count(&self) -> usize {
        self.shared().map_or(0, |shared| shared.common.asks().count())
    }

    fn asks_changes(&self) -> watch::Receiver<u64> {
        self.shared().map_or_else(
            |_| watch::Sender::new(0).subscribe(),
            |shared| shared.common.asks().changes(),
        )
    }

    fn answer_ask<'a>(&'a self, id: &'a str, answer: AskAnswer) -> Answer<'a, AskView> {
        let id = id.to_owned();
        self.aside(move |shared| shared.common.answer_ask(&id, answer, Approver::Dashboard))
    }

    fn audit(&self, filter: AuditFilter) -> Answer<'_, Vec<AuditLine>> {
        let profile = self.profile();
        self.aside(move |shared| {
            let tail = |count| {
                read::tail(&shared.audit_log, count).map_err(|error| {
                    ErrorReply::caused(ErrorKind::Unavailable, &error, error.hint())
                })
            };
            // Older pages begin where the page before ended, not at the end of the log.
            let newer = match filter.before {
                Some(number) => tail(1)?.last().map_or(0, |last| newer(last.seq, number)),
                None => 0,
            };
            let entries = tail(LOOKED_THROUGH.saturating_add(newer))?;
            let newest_first = entries.iter().rev().filter_map(line);
            let wanted = newest_first.filter(|line| is_of(line, &profile) && passes(line, &filter));
            Ok(wanted.take(filter.limit.min(MOST)).collect())
        })
    }

    fn live(&self) -> Receiver<Arc<AuditLine>> {
        // Without the daemon nothing happens: a channel whose other end is gone.
        self.shared()
            .map_or_else(|_| tokio::sync::broadcast::channel(1).1, |shared| shared.common.live())
    }

    fn problems(&self) -> Answer<'_, Vec<ErrorReply>> {
        self.within(|broker| Ok(broker.problems()))
    }
}

fn line(entry: &audit::Entry) -> Option<AuditLine> {
    let value = serde_json::to_value(entry).ok()?;
    if let serde_json::Value::Object(line) = value { Some(line) } else { None }
}

/// How many records there are from `number` to the `last` one, as far back as anybody is led.
fn newer(last: u64, number: u64) -> usize {
    let count = last.saturating_sub(number).saturating_add(1);
    usize::try_from(count).map_or(FARTHEST, |count| count.min(FARTHEST))
}

/// Is it about this profile, or about none?
fn is_of(line: &AuditLine, profile: &str) -> bool {
    let of = line.get("profile").and_then(serde_json::Value::as_str);
    of.is_none_or(|of| of == profile)
}

fn passes(line: &AuditLine, filter: &AuditFilter) -> bool {
    let text = |name: &str| line.get(name).and_then(serde_json::Value::as_str);
    let is = |name: &str, wanted: &Option<String>| {
        wanted.as_deref().is_none_or(|wanted| text(name) == Some(wanted))
    };
    let decision = match filter.decision.as_deref() {
        None => true,
        Some("deny") => text("decision") == Some("deny"),
        Some(_) => text("decision").is_some_and(|decision| decision != "deny"),
    };
    let host = filter.host.as_deref().is_none_or(|part| {
        text("host").is_some_and(|host| host.contains(&part.to_ascii_lowercase()))
    });
    let connection = filter.connection.as_deref().is_none_or(|wanted| {
        text("connection").is_some_and(|name| {
            name == wanted || name.split_once('/').is_some_and(|(provider, _)| provider == wanted)
        })
    });
    let number = || line.get("seq").and_then(serde_json::Value::as_u64);
    let older = filter.before.is_none_or(|before| number().is_some_and(|number| number < before));
    older && is("kind", &filter.kind) && is("run", &filter.run) && decision && host && connection
}

fn failed(message: &str) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Failed, message: message.to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(value: &serde_json::Value) -> AuditLine {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_another_profile_did_is_not_shown() {
        let is_shown = |event| is_of(&line(&event), "work");
        assert!(is_shown(json!({ "profile": "work" })) && is_shown(json!({ "kind": "log" })));
        assert!(!is_shown(json!({ "profile": "default" })));
    }

    #[test]
    fn a_provider_stands_for_all_of_its_connections() {
        let event = line(&json!({ "connection": "github/work" }));
        let by = |connection: &str| {
            let filter = AuditFilter { connection: Some(connection.into()), ..Default::default() };
            passes(&event, &filter)
        };
        assert!(by("github") && by("github/work"));
        assert!(!by("git") && !by("github/other"));
    }

    #[test]
    fn an_older_page_begins_before_the_number_it_is_given() {
        let filter = AuditFilter { before: Some(7), ..Default::default() };
        let is_shown = |number: u64| passes(&line(&json!({ "seq": number })), &filter);
        assert_eq!((5..9).filter(|number| is_shown(*number)).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn a_number_nobody_was_led_to_reads_no_more_than_the_farthest_page() {
        assert_eq!(newer(100, 98), 3);
        assert_eq!(newer(u64::MAX, 0), FARTHEST);
        assert_eq!(newer(5, u64::MAX), 1);
    }

    #[test]
    fn what_was_not_decided_is_neither_allowed_nor_denied() {
        let event = line(&json!({ "kind": "vault" }));
        let by = |decision: &str| {
            let filter = AuditFilter { decision: Some(decision.into()), ..Default::default() };
            passes(&event, &filter)
        };
        assert!(!by("allow") && !by("deny"));
    }
}
