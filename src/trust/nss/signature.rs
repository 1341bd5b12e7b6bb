//! What makes NSS believe its own database: trust is signed with the password of the key database.
//!
//! Browsers set an empty one, so that this guards against accidents and not against writers. In a
//! database with a password that we do not know, our entry is believed only until the user gives that
//! password, and no other entry is harmed.

use ring::{hmac, pbkdf2};
use sha1::{Digest, Sha1};

/// DER of a signature up to its salt: PBMAC1 (RFC 8018 §7.1) with PBKDF2.
const BEFORE_SALT: &[u8] = &[
    0x30, 0x81, 0x80, 0x30, 0x5c, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0e,
    0x30, 0x4f, 0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c, 0x30,
    0x34, 0x04, 0x20,
];
/// From there to the digest: one iteration, 32 bytes, HMAC with SHA-256 twice.
const BEFORE_DIGEST: &[u8] = &[
    0x02, 0x01, 0x01, 0x02, 0x01, 0x20, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
    0x02, 0x09, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09, 0x04, 0x20,
];
/// The key is derived from no secret: any salt will do.
const SALT: [u8; 32] = *b"authsome run's own trust in NSS.";

/// Signs attributes of one database.
#[derive(Debug)]
pub(super) struct Signer {
    key: hmac::Key,
}

impl Signer {
    /// For a database whose password is empty, by its global salt.
    pub(super) fn new(global_salt: &[u8]) -> Self {
        let password = Sha1::digest(global_salt);
        let mut key = [0; 32];
        let once = std::num::NonZeroU32::MIN;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, once, &SALT, &password, &mut key);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) }
    }

    /// The signature of an object's attribute, DER.
    pub(super) fn sign(&self, object: u32, attribute: u32, value: &[u8]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&object.to_be_bytes());
        context.update(&attribute.to_be_bytes());
        context.update(value);
        [BEFORE_SALT, &SALT, BEFORE_DIGEST, context.sign().as_ref()].concat()
    }
}
