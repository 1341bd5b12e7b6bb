//! Clients registered at providers: the user's own, and those that a server registered for us.
//!
//! Kept per provider and base URL, so that two instances of one provider have one each, and offered to
//! the next login there. A connection keeps its own copy: what it was given is bound to it.

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    super::{Broker, connections::failed, vault_error},
    grant::StoredClient,
};
use crate::{protocol::ErrorReply, vault::Vault as _};

/// Records are named `client/PROVIDER/` and a hash of the base URL.
const PREFIX: &str = "client/";

/// A client as the vault keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KnownClient {
    pub(super) base_url: Option<String>,
    pub(super) client: StoredClient,
    /// Registered by us (RFC 7591), with this redirect URI; none: brought by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registered_for: Option<String>,
}

impl Broker {
    pub(super) fn known_client(
        &self,
        provider: &str,
        base_url: Option<&str>,
    ) -> Result<Option<KnownClient>, ErrorReply> {
        let bytes =
            self.vault.get(&key(provider, base_url)).map_err(|error| vault_error(&error))?;
        // One that cannot be read is none: the login asks for it again.
        Ok(bytes.and_then(|bytes| serde_json::from_slice(bytes.expose_secret()).ok()))
    }

    pub(super) fn keep_client(
        &self,
        provider: &str,
        known: &KnownClient,
    ) -> Result<(), ErrorReply> {
        let bytes = serde_json::to_vec(known).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| failed("the client cannot be written"))?;
        self.vault
            .put(&key(provider, known.base_url.as_deref()), &bytes)
            .map_err(|error| vault_error(&error))
    }

    /// Forgets a client that its server does not know any more.
    pub(super) fn forget_client(
        &self,
        provider: &str,
        base_url: Option<&str>,
    ) -> Result<(), ErrorReply> {
        self.vault.delete(&key(provider, base_url)).map(drop).map_err(|error| vault_error(&error))
    }

    /// Forgets all clients of a provider.
    ///
    /// # Errors
    /// The vault's.
    pub fn forget_clients(&self, provider: &str) -> Result<(), ErrorReply> {
        let keys = self
            .vault
            .list(&format!("{PREFIX}{provider}/"))
            .map_err(|error| vault_error(&error))?;
        for key in keys {
            self.vault.delete(&key).map_err(|error| vault_error(&error))?;
        }
        Ok(())
    }
}

fn key(provider: &str, base_url: Option<&str>) -> String {
    let digest = Sha256::digest(base_url.unwrap_or_default().as_bytes());
    format!("{PREFIX}{provider}/{}", hex::encode(digest.get(..8).unwrap_or_default()))
}
