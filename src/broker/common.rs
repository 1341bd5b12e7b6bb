//! What all profiles of a user share: the audit log, the definitions, the way out, and whoever looks on.
//!
//! Knows no vault and no connection. Whatever changes here is told to every [`Broker`] that is open.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use tokio::sync::broadcast;

use super::{
    Broker, DEFAULT_PROFILE, KeyKeeper, LiveEvent, LivePolicy, OAuthOptions, asks::Asks,
    audit_error, load_registry, observed, open_vault, record::Record, user_name,
};
use crate::{
    audit::{self, Event},
    limits::Limits,
    paths::Home,
    protocol::{ErrorKind, ErrorReply, audit::AuditView, vault::KeyPlace},
    provider::Registry,
    telemetry::otlp::Feed,
};

/// Events that whoever looks on may be behind.
const LIVE_BACKLOG: usize = 256;

/// What the profiles of one user have in common.
#[derive(Debug)]
pub struct Common {
    pub(super) home: Home,
    pub(super) audit: Record,
    pub(super) keeper: Arc<KeyKeeper>,
    pub(super) user: Arc<str>,
    pub(super) oauth: OAuthOptions,
    policy: LivePolicy,
    /// Requests that wait for a person.
    pub(super) asks: Asks,
    /// How much agents may ask for.
    pub(super) limits: Arc<Limits>,
    registry: Mutex<Arc<Registry>>,
    /// Those that have been opened, so that they learn of definitions that change.
    brokers: Mutex<Vec<Weak<Broker>>>,
    /// Events as they happen, for whoever looks on.
    live: broadcast::Sender<Arc<LiveEvent>>,
    /// Where telemetry is told of them; none: there is no telemetry.
    telemetry: OnceLock<Feed>,
}

impl Common {
    /// Opens the audit log of a home, and the default profile's vault, which has the key that signs it;
    /// reads the definitions. If that vault cannot be opened, then this is a problem, not an error.
    ///
    /// # Errors
    /// The audit log's, as the commands show them.
    pub fn open(
        home: &Home,
        keeper: &Arc<KeyKeeper>,
        audit: audit::Settings,
        oauth: OAuthOptions,
    ) -> Result<Arc<Self>, ErrorReply> {
        let vault = open_vault(home, keeper, DEFAULT_PROFILE);
        let audit = Record::open(home, audit, vault)?;
        let limits = Arc::new(Limits::open(&home.limits()));
        Ok(Arc::new(Self {
            home: home.clone(),
            audit,
            keeper: Arc::clone(keeper),
            user: user_name().into(),
            oauth,
            policy: LivePolicy::open(home.policy(), &limits)?,
            limits,
            asks: Asks::default(),
            registry: Mutex::new(Arc::new(load_registry(&home.providers()))),
            brokers: Mutex::default(),
            live: broadcast::Sender::new(LIVE_BACKLOG),
            telemetry: OnceLock::new(),
        }))
    }

    /// Writes what is still to be written. Called once, when the daemon has drained.
    pub fn close(&self) {
        self.limits.close();
        self.audit.close();
    }

    /// Where the master key is.
    pub fn key_place(&self) -> KeyPlace {
        self.keeper.place()
    }

    /// The user's name, as the audit log has it.
    #[must_use]
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// Where the user's own definitions lie.
    pub(super) fn providers(&self) -> PathBuf {
        self.home.providers()
    }

    /// The user's policy, as it is at any moment.
    #[must_use]
    pub fn policy(&self) -> &LivePolicy {
        &self.policy
    }

    /// All definitions.
    #[must_use]
    pub fn definitions(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the provider definitions again, and what they mean for the connections of every profile
    /// that is open.
    ///
    /// # Errors
    /// The vaults'.
    pub fn reload_providers(&self) -> Result<(), ErrorReply> {
        let registry = Arc::new(load_registry(&self.providers()));
        *self.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        let open = {
            let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
            brokers.retain(|broker| broker.strong_count() > 0);
            brokers.clone()
        };
        open.iter().filter_map(Weak::upgrade).try_for_each(|broker| broker.reread())
    }

    /// From now on `broker` is told of definitions that change.
    pub(super) fn enlist(&self, broker: &Arc<Broker>) {
        let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        brokers.push(Arc::downgrade(broker));
    }

    /// How the audit log is, and the key that verifies it.
    #[must_use]
    pub fn audit(&self) -> AuditView {
        self.audit.view()
    }

    /// The requests that wait for a person.
    #[must_use]
    pub fn asks(&self) -> &Asks {
        &self.asks
    }

    /// How much agents may ask for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Events from now on, of every profile.
    #[must_use]
    pub fn live(&self) -> broadcast::Receiver<Arc<LiveEvent>> {
        self.live.subscribe()
    }

    /// Tells telemetry of every event from now on. Of several feeds the first is told.
    pub fn observe(&self, feed: Feed) {
        self.telemetry.get_or_init(|| feed);
    }

    /// What keeps everything from working as it should, whichever profile is meant.
    #[must_use]
    pub fn problems(&self) -> Vec<ErrorReply> {
        let mut problems = self.audit.problems();
        if let Err(problem) = self.policy.current() {
            problems.push(problem.reply());
        }
        if let Some(error) = self.limits.problem() {
            problems.push(ErrorReply::caused(ErrorKind::Unavailable, &*error, error.hint()));
        }
        if let Some(why) = &self.oauth.unreachable {
            problems.push(ErrorReply {
                kind: ErrorKind::Failed,
                message: why.clone(),
                hint: Some("set `dashboard_port` in config.toml".to_owned()),
            });
        }
        problems
    }

    /// Puts an event on record, and shows it to whoever looks on.
    pub(super) fn append(&self, event: Event) -> audit::Result<()> {
        if self.live.receiver_count() > 0
            && let Ok(serde_json::Value::Object(shown)) = serde_json::to_value(&event)
        {
            drop(self.live.send(Arc::new(shown)));
        }
        if let Some(feed) = self.telemetry.get()
            && let Some(happened) = observed::happened(&event)
        {
            feed.tell(happened);
        }
        self.audit.append(event)
    }

    /// Puts on record that the passphrase was given.
    ///
    /// # Errors
    /// The audit log's.
    pub fn note_unlock(&self) -> Result<(), ErrorReply> {
        self.note("unlock", None)
    }

    /// Puts on record that it is to be forgotten.
    ///
    /// # Errors
    /// The audit log's.
    pub fn note_lock(&self) -> Result<(), ErrorReply> {
        self.note("lock", None)
    }

    /// Puts an operation on a profile, or on all, on record, on disk when this returns.
    pub(super) fn note(
        &self,
        operation: &'static str,
        profile: Option<&str>,
    ) -> Result<(), ErrorReply> {
        let event = Event {
            user: Some(Arc::clone(&self.user)),
            profile: profile.map(Arc::from),
            operation: Some(operation.into()),
            ..Event::new(audit::Kind::Vault)
        };
        self.append(event).and_then(|()| self.audit.flush()).map_err(|error| audit_error(&error))
    }
}
