//! A backend that remembers what it was told to do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use authsome::{
    dashboard::{Answer, AuditFilter, AuditLine, Backend},
    protocol::{
        ConnectionView, ErrorKind, ErrorReply, RunView, Secret, Status,
        asks::{AskAnswer, AskView},
        login::{BeginLogin, LoginInput, LoginStep, LoginView, Removed},
    },
    provider::Registry,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::sync::{broadcast, watch};

/// A name that would be a script if anybody forgot to escape it.
pub(super) const HOSTILE: &str = "<script>alert('x')</script>\"&";
/// The `state` of the login that waits for a callback.
pub(super) const STATE: &str = "unguessable";

#[derive(Debug)]
pub(super) struct Fake {
    pub(super) connections: Mutex<Vec<ConnectionView>>,
    pub(super) logins: Mutex<BTreeMap<String, LoginView>>,
    pub(super) audit: Mutex<Vec<AuditLine>>,
    pub(super) problems: Mutex<Vec<ErrorReply>>,
    pub(super) runs: Mutex<Vec<RunView>>,
    /// Fails the next thing that is asked for.
    pub(super) fails: Mutex<Option<ErrorReply>>,
    /// What was done, secrets included.
    pub(super) done: Mutex<Vec<String>>,
    pub(super) asks: Mutex<Vec<AskView>>,
    pub(super) asks_changes: watch::Sender<u64>,
    pub(super) live: broadcast::Sender<Arc<AuditLine>>,
    registry: Arc<Registry>,
}

impl Default for Fake {
    fn default() -> Self {
        // An OAuth provider with everything, beside the bundled ones.
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("forge.toml");
        authsome::paths::write_private(&path, FORGE.as_bytes()).unwrap();
        let (registry, problems) = Registry::load(Some(directory.path()));
        assert!(problems.is_empty(), "{problems:?}");
        Self {
            connections: Mutex::default(),
            logins: Mutex::default(),
            audit: Mutex::default(),
            problems: Mutex::default(),
            runs: Mutex::default(),
            fails: Mutex::default(),
            done: Mutex::default(),
            asks: Mutex::default(),
            asks_changes: watch::Sender::new(0),
            live: broadcast::Sender::new(16),
            registry: Arc::new(registry),
        }
    }
}

const FORGE: &str = r#"
name = "forge"
display_name = "Forge"
auth_type = "oauth2"
docs_url = "https://docs.forge.test/oauth"
hosts = ["api.forge.test"]

[oauth]
flow = "pkce"
authorization_url = "{base_url}/authorize"
token_url = "{base_url}/token"
device_authorization_url = "{base_url}/device"
supports_device_code = true
base_url = "https://forge.test"
scopes = ["repo", "user"]
client_hint = "Register an application at https://forge.test/apps"

[[inject]]
kind = "bearer"
"#;

/// A test that panicked has failed already; the others need not.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    fn note(&self, what: String) -> Result<(), ErrorReply> {
        hold(&self.done).push(what);
        hold(&self.fails).take().map_or(Ok(()), Err)
    }

    /// What was done since the last look.
    pub(super) fn take_done(&self) -> Vec<String> {
        std::mem::take(&mut *hold(&self.done))
    }

    pub(super) fn put_login(&self, id: &str, step: LoginStep) {
        hold(&self.logins).insert(id.to_owned(), login(id, step));
    }
}

pub(super) fn connection(provider: &str, name: &str) -> ConnectionView {
    ConnectionView {
        provider: provider.into(),
        connection: name.into(),
        default: false,
        reason: None,
        scopes: Vec::new(),
        status: "connected".into(),
        fields: BTreeMap::new(),
        secret_fields: vec!["api_key".into()],
        sources: BTreeMap::new(),
        created_at: "2026-01-02T03:04:05Z".into(),
        last_used_at: None,
        expires_at: None,
    }
}

pub(super) fn login(id: &str, step: LoginStep) -> LoginView {
    LoginView {
        id: id.into(),
        revision: 7,
        provider: "forge".into(),
        display_name: "Forge".into(),
        connection: "work".into(),
        expires_at: "2026-01-02T04:00:00Z".into(),
        step,
    }
}

pub(super) fn ask(id: &str) -> AskView {
    AskView {
        id: id.into(),
        agent: "codex".into(),
        user: "ada".into(),
        profile: "default".into(),
        run: "00ff".into(),
        command: "codex".into(),
        connection: Some("github/work".into()),
        method: "DELETE".into(),
        host: "api.github.com".into(),
        port: 443,
        path: "/repos/ada/x".into(),
        policy: Some("policy.toml:3".into()),
        reason: Some("deleting is for people".into()),
        count: 1,
        asked_at: "2026-01-02T03:04:05Z".into(),
        expires_at: "2026-01-02T03:06:05Z".into(),
        seconds_left: 75,
    }
}

pub(super) fn failure(kind: ErrorKind, message: &str, hint: Option<&str>) -> ErrorReply {
    ErrorReply { kind, message: message.into(), hint: hint.map(str::to_owned) }
}

pub(super) fn record(value: serde_json::Value) -> AuditLine {
    let mut line = json!({ "time": "2026-01-02T03:04:05.678Z", "kind": "request" });
    line.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    line.as_object().unwrap().clone()
}

impl Backend for Fake {
    fn of_profile(self: Arc<Self>, _: Option<&str>) -> Arc<dyn Backend> {
        self
    }

    fn profile(&self) -> Arc<str> {
        "default".into()
    }

    fn status(&self) -> Status {
        Status {
            version: "0.1.0".into(),
            pid: 4242,
            uptime_seconds: 93_784,
            runs: hold(&self.runs).clone(),
            master_key: "file".into(),
            vault: Default::default(),
            dashboard: Some("http://127.0.0.1:7998".into()),
        }
    }

    fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    fn connections(&self) -> Result<Vec<ConnectionView>, ErrorReply> {
        Ok(hold(&self.connections).clone())
    }

    fn put<'a>(
        &'a self,
        provider: &'a str,
        name: &'a str,
        fields: Vec<(String, Secret)>,
        replace: bool,
    ) -> Answer<'a, ConnectionView> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.0.expose_secret()))
            .collect();
        let noted = self.note(format!("put {provider}/{name} {} {replace}", fields.join(",")));
        Box::pin(async move { noted.map(|()| connection(provider, name)) })
    }

    fn set_default<'a>(&'a self, provider: &'a str, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.note(format!("default {provider}/{name}")) })
    }

    fn disconnect<'a>(&'a self, provider: &'a str, name: &'a str) -> Answer<'a, Removed> {
        Box::pin(async move {
            self.note(format!("disconnect {provider}/{name}"))?;
            let connection = connection(provider, name);
            Ok(Removed { connection, remote: "revoked".into(), problem: None })
        })
    }

    fn begin_login(&self, begin: BeginLogin) -> Answer<'_, LoginView> {
        Box::pin(async move {
            self.note(format!(
                "begin {}/{} flow={:?} scopes={:?} base_url={:?} fields={:?} replace={}",
                begin.provider,
                begin.connection,
                begin.flow,
                begin.scopes,
                begin.base_url,
                begin.fields,
                begin.replace
            ))?;
            self.put_login("0a", LoginStep::Working);
            Ok(login("0a", LoginStep::Working))
        })
    }

    fn login(&self, id: &str) -> Option<LoginView> {
        hold(&self.logins).get(id).cloned()
    }

    fn login_input<'a>(&'a self, id: &'a str, input: LoginInput) -> Answer<'a, LoginView> {
        Box::pin(async move {
            let what = match input {
                LoginInput::Client { client } => {
                    let secret = client.secret.map(|secret| secret.0.expose_secret().to_owned());
                    format!("client {id} {} {secret:?}", client.id)
                }
                LoginInput::Redirect { url } => format!("redirect {id} {}", url.0.expose_secret()),
                LoginInput::Cancel => format!("cancel {id}"),
            };
            self.note(what)?;
            Ok(login(id, LoginStep::Working))
        })
    }

    fn callback<'a>(&'a self, query: &'a str) -> Answer<'a, Option<LoginView>> {
        Box::pin(async move {
            if !query.split('&').any(|pair| pair == format!("state={STATE}")) {
                return Ok(None);
            }
            self.note(format!("callback {query}"))?;
            let connection = Box::new(connection("forge", "work"));
            let done = LoginStep::Done { status: "stored".into(), connection };
            Ok(Some(self.login("callback").unwrap_or_else(|| login("0a", done))))
        })
    }

    fn audit<'a>(&'a self, filter: AuditFilter) -> Answer<'a, Vec<AuditLine>> {
        Box::pin(async move {
            self.note(format!("audit {filter:?}"))?;
            let wanted = |line: &&AuditLine| {
                let denied = line.get("decision").is_some_and(|decision| decision == "deny");
                match filter.decision.as_deref() {
                    Some("deny") => denied,
                    Some("allow") => !denied,
                    _ => true,
                }
            };
            let lines = hold(&self.audit);
            Ok(lines.iter().filter(wanted).take(filter.limit).cloned().collect())
        })
    }

    fn asks(&self) -> Vec<AskView> {
        hold(&self.asks).clone()
    }

    fn asks_count(&self) -> usize {
        hold(&self.asks).len()
    }

    fn asks_changes(&self) -> watch::Receiver<u64> {
        self.asks_changes.subscribe()
    }

    fn answer_ask<'a>(&'a self, id: &'a str, answer: AskAnswer) -> Answer<'a, AskView> {
        Box::pin(async move {
            self.note(format!("answer {id} {answer:?}"))?;
            let mut asks = hold(&self.asks);
            match asks.iter().position(|ask| ask.id == id) {
                Some(at) => Ok(asks.remove(at)),
                None => Err(failure(ErrorKind::NotFound, "nothing of that id is waiting", None)),
            }
        })
    }

    fn live(&self) -> broadcast::Receiver<Arc<AuditLine>> {
        self.live.subscribe()
    }

    fn problems(&self) -> Answer<'_, Vec<ErrorReply>> {
        Box::pin(async move { Ok(hold(&self.problems).clone()) })
    }
}
