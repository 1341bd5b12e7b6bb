//! The agents' keys, sealed in the vault, and the tokens they sign.
//!
//! A key is made in the daemon and never leaves it: commands see names and public keys, agents nothing.
//! One that has been read is kept, so that a run needs no vault to renew its token; whatever changes
//! the vault makes it read anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Broker, connections::failed, vault_error};
use crate::{
    audit::{Event, Kind},
    identity::{self, AgentKey, AgentName, Chain, Claims},
    protocol::{
        ErrorKind, ErrorReply, Secret,
        identity::{IdentityView, TokenIssued, TokenView},
    },
    vault::Vault as _,
};

/// Records of identities are named `identity/NAME`.
const PREFIX: &str = "identity/";
/// The default identity's name.
const DEFAULT: &str = "identity-default";
/// The format this program writes.
const VERSION: u32 = 1;

/// An identity as it lies in the vault.
#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// The key's seed, base64url.
    seed: Secret,
    created_at: Timestamp,
}

/// An agent with its key.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: AgentName,
    pub(super) key: AgentKey,
    created_at: Timestamp,
}

/// Those that have been read.
#[derive(Debug, Default)]
pub(super) struct Identities(Mutex<HashMap<AgentName, Arc<Identity>>>);

impl Identities {
    fn lock(&self) -> MutexGuard<'_, HashMap<AgentName, Arc<Identity>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has them read anew.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }
}

impl Broker {
    /// Makes an identity; on disk, and on record, when this returns.
    ///
    /// # Errors
    /// A name that is none, one that exists, the vault's.
    pub fn create_identity(&self, name: &str) -> Result<IdentityView, ErrorReply> {
        let name = parse(name)?;
        let made = self.make_identity(&name)?;
        made.map(|made| self.identity_view(&made)).unwrap_or_else(|| {
            Err(ErrorReply {
                kind: ErrorKind::Exists,
                message: format!("there is an identity {name} already"),
                hint: Some(format!("authsome identity show {name}")),
            })
        })
    }

    /// All identities, sorted by name.
    ///
    /// # Errors
    /// The vault's; an identity that cannot be read.
    pub fn identities(&self) -> Result<Vec<IdentityView>, ErrorReply> {
        let names = self.vault.list(PREFIX).map_err(|error| vault_error(&error))?;
        let names = names.iter().filter_map(|key| key.strip_prefix(PREFIX)?.parse().ok());
        names.map(|name| self.identity_view(&*self.require(&name)?)).collect()
    }

    /// One identity; no name: the default one.
    ///
    /// # Errors
    /// There is no such identity, or no default; the vault's.
    pub fn identity(&self, name: Option<&str>) -> Result<IdentityView, ErrorReply> {
        self.identity_view(&*self.named_or_default(name)?)
    }

    /// The identity that is named, else the default one, if there is one.
    ///
    /// # Errors
    /// There is no such identity; the vault's.
    pub fn identity_in_use(&self, name: Option<&str>) -> Result<Option<IdentityView>, ErrorReply> {
        if name.is_none() && self.default_identity()?.is_none() {
            return Ok(None);
        }
        self.identity(name).map(Some)
    }

    /// Refuses an identity that there is not, before anything is done in its name.
    ///
    /// # Errors
    /// There is no such identity; the vault's.
    pub fn check_identity(&self, name: Option<&str>) -> Result<(), ErrorReply> {
        let Some(name) = name else { return Ok(()) };
        self.require(&parse(name)?).map(drop)
    }

    /// The address of an identity that acts.
    pub(super) fn agent(&self, name: &str) -> Result<Arc<str>, ErrorReply> {
        Ok(self.require(&parse(name)?)?.name.address().into())
    }

    /// Makes an identity the default for runs that name none; on record when this returns.
    ///
    /// # Errors
    /// There is no such identity; the vault's.
    pub fn use_identity(&self, name: &str) -> Result<IdentityView, ErrorReply> {
        let identity = self.require(&parse(name)?)?;
        {
            let _changing = self.lock();
            let name = identity.name.as_str().as_bytes();
            self.vault.put(DEFAULT, name).map_err(|error| vault_error(&error))?;
        }
        self.note_identity("use-identity", &identity.name)?;
        self.identity_view(&identity)
    }

    /// A token of the named identity, or the default one's, that belongs to no run. On record before
    /// anybody has it.
    ///
    /// # Errors
    /// There is no such identity, or no default; a time no token may live; the vault's.
    pub fn identity_token(
        &self,
        name: Option<&str>,
        lifetime: Duration,
    ) -> Result<TokenIssued, ErrorReply> {
        let identity = self.named_or_default(name)?;
        let mut id = [0_u8; 16];
        getrandom::fill(&mut id).map_err(|_| failed("the kernel gives no random numbers"))?;
        let now = SystemTime::now();
        let chain = self.chain(&identity.name, hex::encode(id));
        let token = identity::mint(&identity.key, &chain, now, lifetime)
            .map_err(|error| identity_error(&error))?;
        self.note_identity("identity-token", &identity.name)?;
        let claims = identity::verify(&token, identity.key.public(), now)
            .map_err(|error| identity_error(&error))?;
        Ok(TokenIssued { token: Secret(token.into()), says: token_view(&claims) })
    }

    /// What a token of one of these identities says.
    ///
    /// # Errors
    /// It does not verify; the vault's.
    pub fn verify_token(&self, token: &Secret) -> Result<TokenView, ErrorReply> {
        let token = token.0.expose_secret().trim();
        let named = identity::named_agent(token).map_err(|error| identity_error(&error))?;
        let identity = self.find_identity(&named)?.ok_or_else(|| ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("the token is of an agent that has no identity here: {named}"),
            hint: Some("authsome identity list".to_owned()),
        })?;
        identity::verify(token, identity.key.public(), SystemTime::now())
            .map(|claims| token_view(&claims))
            .map_err(|error| identity_error(&error))
    }

    /// Who acts in a run: the identity that is named, else the default one, else the one called after
    /// the command, made if there is none.
    pub(super) fn actor(
        &self,
        named: Option<&str>,
        command: &str,
    ) -> Result<Arc<Identity>, ErrorReply> {
        if let Some(name) = named {
            return self.require(&parse(name)?);
        }
        if let Some(name) = self.default_identity()? {
            return self.require(&name);
        }
        let name = AgentName::from_command(command);
        if let Some(identity) = self.find_identity(&name)? {
            return Ok(identity);
        }
        self.make_identity(&name)?;
        self.require(&name)
    }

    /// An identity by name, if there is one.
    pub(super) fn find_identity(
        &self,
        name: &AgentName,
    ) -> Result<Option<Arc<Identity>>, ErrorReply> {
        if let Some(identity) = self.identities.lock().get(name) {
            return Ok(Some(Arc::clone(identity)));
        }
        let record = self.vault.get(&key(name)).map_err(|error| vault_error(&error))?;
        let Some(record) = record else { return Ok(None) };
        let identity = Arc::new(Identity::read(name, record.expose_secret())?);
        self.identities.lock().insert(name.clone(), Arc::clone(&identity));
        Ok(Some(identity))
    }

    /// What a token of this agent says, in this run.
    pub(super) fn chain(&self, agent: &AgentName, id: String) -> Chain {
        Chain { user: self.common.user.to_string(), agent: agent.clone(), id }
    }

    /// Makes an identity, unless there is one.
    fn make_identity(&self, name: &AgentName) -> Result<Option<Identity>, ErrorReply> {
        {
            let _changing = self.lock();
            if self.find_identity(name)?.is_some() {
                return Ok(None);
            }
            let key_ = AgentKey::generate().map_err(|error| identity_error(&error))?;
            let made = Identity { name: name.clone(), key: key_, created_at: Timestamp::now() };
            self.vault.put(&key(name), &made.write()?).map_err(|error| vault_error(&error))?;
            made
        }
        .noted(self)
        .map(Some)
    }

    fn require(&self, name: &AgentName) -> Result<Arc<Identity>, ErrorReply> {
        self.find_identity(name)?.ok_or_else(|| ErrorReply {
            kind: ErrorKind::NotFound,
            message: format!("there is no identity {name}"),
            hint: Some(format!("authsome identity create {name}")),
        })
    }

    fn named_or_default(&self, name: Option<&str>) -> Result<Arc<Identity>, ErrorReply> {
        let name = match name {
            Some(name) => parse(name)?,
            None => self.default_identity()?.ok_or_else(|| ErrorReply {
                kind: ErrorKind::NotFound,
                message: "no identity is in use".to_owned(),
                hint: Some("name one, or choose one with authsome identity use NAME".to_owned()),
            })?,
        };
        self.require(&name)
    }

    fn default_identity(&self) -> Result<Option<AgentName>, ErrorReply> {
        let record = self.vault.get(DEFAULT).map_err(|error| vault_error(&error))?;
        let Some(record) = record else { return Ok(None) };
        // Acting as somebody else instead is no way out.
        let name = std::str::from_utf8(record.expose_secret()).ok();
        let name = name.and_then(|name| name.parse().ok());
        name.map(Some).ok_or_else(|| ErrorReply {
            kind: ErrorKind::Failed,
            message: "the vault's record of the identity in use cannot be read".to_owned(),
            hint: Some("authsome identity use NAME".to_owned()),
        })
    }

    fn identity_view(&self, identity: &Identity) -> Result<IdentityView, ErrorReply> {
        Ok(IdentityView {
            name: identity.name.to_string(),
            agent: identity.name.address(),
            did: identity.key.public().did().to_owned(),
            default: self.default_identity()?.as_ref() == Some(&identity.name),
            created_at: identity.created_at.to_string(),
        })
    }

    /// Puts what was done to an identity, or with it, on record, on disk when this returns.
    fn note_identity(&self, operation: &'static str, name: &AgentName) -> Result<(), ErrorReply> {
        let event = Event {
            user: Some(Arc::clone(&self.common.user)),
            agent: Some(name.address().into()),
            operation: Some(operation.into()),
            ..Event::new(Kind::Vault)
        };
        self.note_event(event)
    }
}

impl Identity {
    fn read(name: &AgentName, record: &[u8]) -> Result<Self, ErrorReply> {
        let damaged = || ErrorReply {
            kind: ErrorKind::Failed,
            message: format!("the vault's record of identity {name} cannot be read"),
            hint: Some("authsome vault verify".to_owned()),
        };
        let stored: Stored = serde_json::from_slice(record).map_err(|_| damaged())?;
        let mut seed = Zeroizing::new([0; identity::SEED_LEN]);
        let written = stored.seed.0.expose_secret();
        match URL_SAFE_NO_PAD.decode_slice(written, seed.as_mut_slice()) {
            Ok(identity::SEED_LEN) if stored.v == VERSION => Ok(Self {
                name: name.clone(),
                key: AgentKey::from_seed(&seed),
                created_at: stored.created_at,
            }),
            _ => Err(damaged()),
        }
    }

    fn write(&self) -> Result<Zeroizing<Vec<u8>>, ErrorReply> {
        let seed = Secret(URL_SAFE_NO_PAD.encode(self.key.seed()).into());
        let stored = Stored { v: VERSION, seed, created_at: self.created_at };
        let bytes = serde_json::to_vec(&stored).map(Zeroizing::new);
        bytes.map_err(|_| failed("the identity cannot be written"))
    }

    fn noted(self, broker: &Broker) -> Result<Self, ErrorReply> {
        broker.note_identity("create-identity", &self.name).map(|()| self)
    }
}

fn key(name: &AgentName) -> String {
    format!("{PREFIX}{name}")
}

fn parse(name: &str) -> Result<AgentName, ErrorReply> {
    name.parse().map_err(|error: identity::Error| {
        ErrorReply::caused(ErrorKind::Usage, &error, error.hint().map(str::to_owned))
    })
}

pub(super) fn identity_error(error: &identity::Error) -> ErrorReply {
    let kind = match error {
        identity::Error::Name { .. } | identity::Error::Lifetime { .. } => ErrorKind::Usage,
        identity::Error::Random(_)
        | identity::Error::Malformed(_)
        | identity::Error::Algorithm
        | identity::Error::Key
        | identity::Error::Signature
        | identity::Error::Claim(_)
        | identity::Error::Expired
        | identity::Error::NotYet => ErrorKind::Failed,
    };
    ErrorReply::caused(kind, error, error.hint().map(str::to_owned))
}

fn token_view(claims: &Claims) -> TokenView {
    let time = |time| Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default();
    TokenView {
        agent: claims.chain.agent.address(),
        did: claims.issuer.clone(),
        user: claims.chain.user.clone(),
        id: claims.chain.id.clone(),
        issued_at: time(claims.issued_at),
        expires_at: time(claims.expires_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::testing::Stage;

    fn broker(stage: &Stage) -> Arc<Broker> {
        Broker::open(&stage.common, "default").unwrap()
    }

    #[test]
    fn an_identity_keeps_its_key_across_restarts() {
        let stage = Stage::new();
        let did = broker(&stage).create_identity("claude").unwrap().did;
        assert_eq!(broker(&stage).identity(Some("claude")).unwrap().did, did);
    }

    #[test]
    fn an_identity_is_made_once() {
        let stage = Stage::new();
        let broker = broker(&stage);
        broker.create_identity("claude").unwrap();
        assert_eq!(broker.create_identity("claude").unwrap_err().kind, ErrorKind::Exists);
        assert_eq!(broker.create_identity("Claude").unwrap_err().kind, ErrorKind::Usage);
    }

    #[test]
    fn a_run_acts_as_the_named_the_default_or_its_commands_identity() {
        let stage = Stage::new();
        let broker = broker(&stage);
        let actor = |named| broker.actor(named, "Claude").map(|actor| actor.name.to_string());
        assert_eq!(actor(None).unwrap(), "claude");
        broker.create_identity("work").unwrap();
        assert_eq!(actor(Some("work")).unwrap(), "work");
        broker.use_identity("work").unwrap();
        assert_eq!(actor(None).unwrap(), "work");
        assert_eq!(actor(Some("claude")).unwrap(), "claude");
    }

    #[test]
    fn an_identity_that_is_named_and_not_there_is_not_made() {
        let stage = Stage::new();
        let broker = broker(&stage);
        let refused = broker.actor(Some("wrok"), "claude").unwrap_err();
        assert_eq!(refused.kind, ErrorKind::NotFound);
        assert_eq!(refused.hint.unwrap(), "authsome identity create wrok");
        assert!(broker.identities().unwrap().is_empty());
    }

    #[test]
    fn profiles_have_identities_of_their_own() {
        let stage = Stage::new();
        let one = broker(&stage).create_identity("claude").unwrap();
        let other = Broker::open(&stage.common, "work").unwrap();
        assert_eq!(other.identity(Some("claude")).unwrap_err().kind, ErrorKind::NotFound);
        assert_ne!(other.create_identity("claude").unwrap().did, one.did);
    }

    #[test]
    fn a_token_of_an_identity_verifies_where_its_key_is() {
        let stage = Stage::new();
        let broker = broker(&stage);
        broker.create_identity("claude").unwrap();
        let issued = broker.identity_token(Some("claude"), identity::LIFETIME).unwrap();
        let says = broker.verify_token(&issued.token).unwrap();
        assert_eq!(says.agent, "agent://local/claude");
        assert_eq!(says.user, *stage.common.user);
        let other = Broker::open(&stage.common, "work").unwrap();
        other.create_identity("claude").unwrap();
        assert_eq!(other.verify_token(&issued.token).unwrap_err().kind, ErrorKind::Failed);
    }

    #[test]
    fn without_a_default_a_token_needs_a_name() {
        let stage = Stage::new();
        let broker = broker(&stage);
        let refused = broker.identity_token(None, identity::LIFETIME).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::NotFound);
        assert!(broker.identity_in_use(None).unwrap().is_none());
    }

    #[test]
    fn a_damaged_record_is_an_error_and_no_new_key() {
        let stage = Stage::new();
        let broker = broker(&stage);
        broker.vault.put("identity/claude", b"{}").unwrap();
        assert_eq!(broker.actor(None, "claude").unwrap_err().kind, ErrorKind::Failed);
        broker.vault.put(DEFAULT, b"../x").unwrap();
        assert_eq!(broker.actor(None, "other").unwrap_err().kind, ErrorKind::Failed);
    }
}
