//! 256-bit random tokens, what is kept of them, and what is derived from them.
//!
//! A token is shown once, to whom it belongs; kept is its SHA-256, which nobody can present. The CSRF
//! token of a session is a MAC under the session's own token: it survives a restart without being
//! stored, and a page that holds it does not hold the session.

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};

/// Bytes of randomness in a token (RFC 6749 §10.10 asks for 128 bits).
const SIZE: usize = 32;
/// What a CSRF token is a MAC of.
const CSRF_LABEL: &[u8] = b"authsome dashboard form";

/// SHA-256 of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; SIZE]);

impl Digest {
    /// Of a token as somebody presents it.
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// As it is written to disk.
    pub(super) fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// From disk; none if it is not one.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok()?.try_into().ok().map(Self)
    }
}

/// A fresh token: 64 hexadecimal digits.
pub(super) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// The token that forms of this session carry.
pub(super) fn csrf(session: &str) -> String {
    mac(session).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
}

/// Is it the token of this session's forms? Takes the same time wherever they differ.
pub(super) fn is_csrf(session: &str, given: &str) -> bool {
    let (Some(mac), Ok(given)) = (mac(session), hex::decode(given)) else { return false };
    mac.verify_slice(&given).is_ok()
}

/// HMAC takes keys of any length, so there always is one.
fn mac(session: &str) -> Option<Hmac<Sha256>> {
    Hmac::<Sha256>::new_from_slice(session.as_bytes()).ok().map(|mac| mac.chain_update(CSRF_LABEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_256_bits_and_differ() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn a_form_token_is_of_one_session_only() {
        let token = csrf("a");
        assert!(is_csrf("a", &token));
        assert!(!is_csrf("b", &token));
        assert!(!is_csrf("a", ""));
        assert!(!is_csrf("a", token.get(..62).unwrap()));
        assert!(!is_csrf("a", "not hexadecimal"));
    }

    #[test]
    fn a_digest_is_read_as_it_was_written() {
        let digest = Digest::of("token");
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_hex("abcd"), None);
    }
}
