//! What all pages share.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::http::{HeaderValue, Uri};
use tokio::sync::{Semaphore, watch};

use super::{
    Backend,
    link::{Entrance, Links},
    refusal::Refusal,
    session::Sessions,
    token::Digest,
};

/// Live views at once.
const MAX_STREAMS: usize = 16;

/// The state of the dashboard.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) sessions: Sessions,
    pub(super) links: Links,
    /// Room for live views.
    pub(super) streams: Arc<Semaphore>,
    /// Becomes true when serving ends, so that live views end too.
    pub(super) stopping: watch::Sender<bool>,
    /// The only `Host` there is: `127.0.0.1:PORT`.
    pub(super) host: String,
    /// Name of the session's cookie. Cookies know no port: another daemon's has another name.
    pub(super) cookie: String,
}

/// How handlers have it.
pub(super) type App = Arc<Context>;

impl Context {
    pub(super) fn new(backend: Arc<dyn Backend>, sessions: Sessions, port: u16) -> Self {
        Self {
            backend,
            sessions,
            links: Links::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            stopping: watch::Sender::new(false),
            host: format!("127.0.0.1:{port}"),
            cookie: format!("authsome-{port}"),
        }
    }

    /// What a visitor is shown: the profile that their link was made for.
    pub(super) fn of(&self, visitor: &Visitor) -> Arc<dyn Backend> {
        Arc::clone(&self.backend).of_profile(visitor.profile.as_deref())
    }

    /// Uses a link up and opens a session: its token, and the page to show.
    pub(super) async fn enter(self: &Arc<Self>, link: &str) -> Result<(String, String), Refusal> {
        let Entrance { profile, page } =
            self.links.take(link, Instant::now()).ok_or(Refusal::Nothing)?;
        let session = self.sessions.open(profile, SystemTime::now()).map_err(|error| {
            tracing::error!(%error, "no random bytes for a session");
            Refusal::Nothing
        })?;
        // Unsaved it ends with the daemon, no sooner.
        self.save().await;
        Ok((session, page))
    }

    /// Writes the sessions' file; says whether that went well.
    pub(super) async fn save(self: &Arc<Self>) -> bool {
        let app = Arc::clone(self);
        let saved = tokio::task::spawn_blocking(move || app.sessions.save()).await;
        match saved {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the dashboard's sessions cannot be saved");
                false
            }
            Err(_) => false,
        }
    }

    /// The header that keeps a session's token in the browser for `seconds`; 0 removes it.
    pub(super) fn set_cookie(&self, token: &str, seconds: u64) -> Option<HeaderValue> {
        let cookie = &self.cookie;
        let text =
            format!("{cookie}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Who asks: a browser with a session.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// Its session.
    pub(super) session: Digest,
    /// The token its forms carry.
    pub(super) csrf: Arc<str>,
    /// How many requests wait for a person.
    pub(super) waiting: usize,
    /// The profile that the session is for; none: the one in use.
    pub(super) profile: Option<Arc<str>>,
}

/// What a query says, the last of each name.
pub(super) fn query(uri: &Uri) -> BTreeMap<String, String> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .map(|(name, value)| (name.into_owned(), value.trim().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
