//! An agent's Ed25519 key (RFC 8032).

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::{Error, Result, did};

/// Length of what a key is made from, in bytes.
pub const SEED_LEN: usize = 32;

/// A key that signs. Zeroed on drop; shown only as the identifier of its public half.
pub struct AgentKey {
    signing: SigningKey,
    public: VerifyingKey,
}

impl AgentKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        getrandom::fill(seed.as_mut_slice()).map_err(Error::Random)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed; each is one.
    #[must_use]
    pub fn from_seed(seed: &[u8; SEED_LEN]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = VerifyingKey::new(signing.verifying_key());
        Self { signing, public }
    }

    /// What it was made from: to be sealed, and to be seen by nobody.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; SEED_LEN]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// The half that everybody may have.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The signature of a message; the same each time.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentKey").field(&self.public.did).finish()
    }
}

/// A key that verifies, by its identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    key: ed25519_dalek::VerifyingKey,
    did: String,
}

impl VerifyingKey {
    fn new(key: ed25519_dalek::VerifyingKey) -> Self {
        Self { did: did::of(key.as_bytes()), key }
    }

    /// Its `did:key`.
    #[must_use]
    pub fn did(&self) -> &str {
        &self.did
    }

    /// What tokens call it in `kid` (RFC 7515 §4.1.4).
    #[must_use]
    pub fn id(&self) -> String {
        did::key_id(&self.did)
    }

    /// Is it the signature of this message? By the strict rules: one signature, one encoding, and no
    /// key of small order.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 1: an empty message.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const SIGNATURE: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215\
                             90a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

    fn key() -> AgentKey {
        AgentKey::from_seed(&hex::decode(SEED).unwrap().try_into().unwrap())
    }

    #[test]
    fn keys_and_signatures_are_those_of_rfc_8032() {
        let signature: [u8; 64] = hex::decode(SIGNATURE).unwrap().try_into().unwrap();
        assert_eq!(hex::encode(key().public.key.as_bytes()), PUBLIC);
        assert_eq!(key().sign(b""), signature);
        assert!(key().public().verifies(b"", &signature));
        assert!(!key().public().verifies(b"x", &signature));
    }

    #[test]
    fn a_key_is_the_same_from_its_seed() {
        let made = AgentKey::generate().unwrap();
        assert_eq!(AgentKey::from_seed(&made.seed()).public(), made.public());
    }

    #[test]
    fn a_key_is_not_shown() {
        let expected = format!("AgentKey({:?})", key().public().did());
        assert_eq!(format!("{:?}", key()), expected);
    }
}
