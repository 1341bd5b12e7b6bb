//! Whether a run's agent still is who it was: the token it began with, verified at the gate.
//!
//! A token lives for minutes and a run for days, so the gate mints the next one before its time, with
//! the key that the vault holds; the one in hand must have verified until then. Between two looks at a
//! token only the clock is read: no signature, no lock, no vault.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Broker, identity::Identity};
use crate::{
    gate::Denial,
    identity::{self, AgentName, Claims, Error},
    protocol::ErrorReply,
};

/// A token is replaced when it has less than this left.
const MARGIN: Duration = Duration::from_secs(3 * 60);

/// Who acts in a run, and for whom.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The agent's address, `agent://local/NAME`.
    pub agent: Arc<str>,
    /// The user it acts for.
    pub user: Arc<str>,
    /// The profile whose connections it may use.
    pub profile: Arc<str>,
    /// The agent's public key, as a `did:key`.
    pub did: Arc<str>,
    /// The agent's name.
    pub name: AgentName,
}

impl Principal {
    /// The principal of an identity's runs.
    pub(super) fn new(broker: &Broker, identity: &Identity) -> Self {
        Self {
            agent: identity.name.address().into(),
            user: Arc::clone(&broker.common.user),
            profile: Arc::clone(&broker.profile),
            did: identity.key.public().did().into(),
            name: identity.name.clone(),
        }
    }
}

/// A run's token, and when it was found to be good.
#[derive(Debug)]
pub(super) struct Standing {
    run: Arc<str>,
    principal: Principal,
    token: Mutex<Token>,
    /// Milliseconds since 1970 between which the token needs no second look; none at first.
    from: AtomicU64,
    until: AtomicU64,
}

/// A token, kept out of logs, and when it was minted.
struct Token {
    text: String,
    minted: SystemTime,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Standing {
    /// Mints a run's first token. It is verified when it is first needed.
    pub(super) fn begin(
        broker: &Broker,
        identity: &Identity,
        run: &Arc<str>,
        now: SystemTime,
    ) -> Result<Self, ErrorReply> {
        let chain = broker.chain(&identity.name, run.to_string());
        let token = identity::mint(&identity.key, &chain, now, identity::LIFETIME)
            .map_err(|error| super::identity::identity_error(&error))?;
        let token = Token { text: token, minted: now };
        Ok(Self::holding(token, Principal::new(broker, identity), run))
    }

    fn holding(token: Token, principal: Principal, run: &Arc<str>) -> Self {
        let (from, until) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Self { run: Arc::clone(run), principal, token: Mutex::new(token), from, until }
    }

    /// Who it is about.
    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Is the run's agent, at `now`, who it says it is?
    pub(super) fn check(&self, broker: &Broker, now: SystemTime) -> Result<(), Denial> {
        if self.is_known(now) {
            return Ok(());
        }
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else has looked while this waited.
        if self.is_known(now) {
            return Ok(());
        }
        let identity = match broker.find_identity(&self.principal.name) {
            Ok(Some(identity)) => identity,
            Ok(None) => return Err(self.refused("its key is gone from the vault", 403)),
            Err(error) => return Err(self.refused(&error.message, 503)),
        };
        let claims = self
            .current(&mut token, broker, &identity, now)
            .map_err(|error| self.refused(&error.to_string(), 403))?;
        let good_until = claims.expires_at.checked_sub(MARGIN).unwrap_or(UNIX_EPOCH);
        self.from.store(milliseconds(claims.issued_at), Ordering::Relaxed);
        self.until.store(milliseconds(good_until), Ordering::Relaxed);
        Ok(())
    }

    /// The content of the token in hand, or of the next one if that nears its end.
    fn current(
        &self,
        token: &mut Token,
        broker: &Broker,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Claims, Error> {
        let public = identity.key.public();
        let chain = broker.chain(&identity.name, self.run.to_string());
        // At the time it was minted: whatever is wrong with it but its age is never mended.
        let claims = identity::verify(&token.text, public, token.minted)?;
        if claims.chain != chain {
            return Err(Error::Claim("jti"));
        }
        if is_fresh(&claims, now) {
            return Ok(claims);
        }
        let next = identity::mint(&identity.key, &chain, now, identity::LIFETIME)?;
        let claims = identity::verify(&next, public, now)?;
        *token = Token { text: next, minted: now };
        Ok(claims)
    }

    fn is_known(&self, now: SystemTime) -> bool {
        let now = milliseconds(now);
        self.from.load(Ordering::Relaxed) <= now && now < self.until.load(Ordering::Relaxed)
    }

    fn refused(&self, why: &str, status: u16) -> Denial {
        Denial {
            code: "identity-invalid",
            reason: format!("the run's agent {} cannot be verified: {why}", self.principal.agent),
            hint: Some("begin the run again".to_owned()),
            status,
        }
    }
}

fn is_fresh(claims: &Claims, now: SystemTime) -> bool {
    now >= claims.issued_at && claims.expires_at.duration_since(now).is_ok_and(|left| left > MARGIN)
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{broker::testing::Stage, vault::Vault as _};

    struct Scene {
        broker: Arc<Broker>,
        identity: Arc<Identity>,
        run: Arc<str>,
        now: SystemTime,
        _stage: Stage,
    }

    impl Scene {
        fn new() -> Self {
            let stage = Stage::new();
            let broker = Broker::open(&stage.common, "default").unwrap();
            let identity = broker.actor(None, "claude").unwrap();
            Self { broker, identity, run: "00ff".into(), now: SystemTime::now(), _stage: stage }
        }

        fn standing(&self) -> Standing {
            Standing::begin(&self.broker, &self.identity, &self.run, self.now).unwrap()
        }

        fn later(&self, minutes: u64) -> SystemTime {
            self.now + Duration::from_secs(minutes * 60)
        }

        /// A standing that holds this token instead of its own.
        fn holding(&self, token: String) -> Standing {
            let principal = Principal::new(&self.broker, &self.identity);
            let token = Token { text: token, minted: self.now };
            Standing::holding(token, principal, &self.run)
        }

        fn lose_the_key(&self) {
            self.broker.vault.delete("identity/claude").unwrap();
            self.broker.identities.forget();
        }
    }

    fn token(standing: &Standing) -> String {
        standing.token.lock().unwrap().text.clone()
    }

    #[test]
    fn a_run_goes_on_for_as_long_as_it_is_open() {
        let scene = Scene::new();
        let standing = scene.standing();
        for minutes in [0, 1, 11, 13, 14, 30, 29, 60 * 24 * 30] {
            standing.check(&scene.broker, scene.later(minutes)).unwrap();
        }
    }

    #[test]
    fn a_token_is_replaced_ahead_of_its_end_and_not_before() {
        let scene = Scene::new();
        let standing = scene.standing();
        let first = token(&standing);
        standing.check(&scene.broker, scene.later(11)).unwrap();
        assert_eq!(token(&standing), first);
        standing.check(&scene.broker, scene.later(13)).unwrap();
        assert_ne!(token(&standing), first);
    }

    #[test]
    fn what_was_verified_needs_no_second_look() {
        let scene = Scene::new();
        let standing = scene.standing();
        standing.check(&scene.broker, scene.now).unwrap();
        scene.lose_the_key();
        standing.check(&scene.broker, scene.later(11)).unwrap();
    }

    #[test]
    fn an_expired_token_whose_key_is_gone_is_refused() {
        let scene = Scene::new();
        let standing = scene.standing();
        standing.check(&scene.broker, scene.now).unwrap();
        scene.lose_the_key();
        let denial = standing.check(&scene.broker, scene.later(16)).unwrap_err();
        assert_eq!((denial.code, denial.status), ("identity-invalid", 403));
    }

    #[test]
    fn a_token_of_another_key_is_refused() {
        let scene = Scene::new();
        let standing = scene.standing();
        scene.lose_the_key();
        scene.broker.create_identity("claude").unwrap();
        let denial = standing.check(&scene.broker, scene.now).unwrap_err();
        assert_eq!(denial.code, "identity-invalid");
        assert!(denial.reason.contains("another key"), "{}", denial.reason);
    }

    #[test]
    fn a_token_of_another_run_or_agent_is_refused() {
        let scene = Scene::new();
        let mint = |chain| {
            identity::mint(&scene.identity.key, &chain, scene.now, identity::LIFETIME).unwrap()
        };
        let own = scene.broker.chain(&scene.identity.name, "00ff".to_owned());
        let other = scene.broker.chain(&"other".parse().unwrap(), "00ff".to_owned());
        for chain in [identity::Chain { id: "00fe".to_owned(), ..own.clone() }, other] {
            let standing = scene.holding(mint(chain));
            assert!(standing.check(&scene.broker, scene.now).is_err());
            assert!(standing.check(&scene.broker, scene.later(60)).is_err());
        }
        scene.holding(mint(own)).check(&scene.broker, scene.now).unwrap();
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let scene = Scene::new();
        for token in ["", "a.b.c"] {
            let standing = scene.holding(token.to_owned());
            assert!(standing.check(&scene.broker, scene.now).is_err());
        }
    }
}
