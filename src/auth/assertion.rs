//! The JWT by which a client shows who it is (RFC 7523): signed with the client's key, for one server
//! and one minute.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Error;

/// Life of an assertion in seconds.
const LIFE: i64 = 60;

/// A key that can sign, and by which algorithm (RFC 7518 §3.1, RFC 8037).
enum Key {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

/// An assertion that the client is `client_id`, for `audience` only. `key` is a PKCS#8 PEM.
pub(super) fn sign(
    key: &SecretString,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<SecretString, Error> {
    let random = SystemRandom::new();
    let key = read(key, &random)?;
    let mut id = [0_u8; 16];
    random.fill(&mut id).map_err(|_| Error::Key { problem: "cannot be used: no randomness" })?;
    let algorithm = match key {
        Key::Es256(_) => "ES256",
        Key::EdDsa(_) => "EdDSA",
        Key::Rs256(_) => "RS256",
    };
    let issued = now.as_second();
    let header = json!({ "alg": algorithm, "typ": "JWT" });
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": hex::encode(id),
        "iat": issued,
        "exp": issued.saturating_add(LIFE),
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let signature = key.sign(message.as_bytes(), &random)?;
    Ok(SecretString::from(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// Which key it is shows only in trying.
fn read(pem: &SecretString, random: &SystemRandom) -> Result<Key, Error> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes())
        .map_err(|_| Error::Key { problem: "is not PKCS#8 PEM" })?;
    let der = der.secret_pkcs8_der();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, random)
        .map(Key::Es256)
        // OpenSSL writes Ed25519 keys without the public half.
        .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Key::EdDsa))
        .or_else(|_| RsaKeyPair::from_pkcs8(der).map(|key| Key::Rs256(Box::new(key))))
        .map_err(|_| Error::Key { problem: "is of no kind that can be used" })
}

impl Key {
    fn sign(&self, message: &[u8], random: &SystemRandom) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Key { problem: "does not sign" };
        match self {
            Self::Es256(key) => key
                .sign(random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            Self::EdDsa(key) => Ok(key.sign(message).as_ref().to_vec()),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}
