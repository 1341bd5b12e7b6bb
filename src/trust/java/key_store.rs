//! The JKS format, which every JDK reads whatever its default is (the `DualFormat` provider, JEP 229), as
//! `sun.security.provider.JavaKeyStore` documents it: big-endian, a magic number, entries, and an
//! integrity digest over them keyed by a password that everybody knows.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

use crate::trust::bundle;

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;
/// The default of every JDK; the store holds nothing secret.
pub(in crate::trust) const PASSWORD: &str = "changeit";
/// Part of the format.
const WHITENER: &[u8] = b"Mighty Aphrodite";

/// A key store that trusts every certificate of a PEM bundle.
pub(in crate::trust) fn key_store(pem: &str) -> Vec<u8> {
    let mut store = Vec::with_capacity(pem.len());
    put_u32(&mut store, MAGIC);
    put_u32(&mut store, VERSION);
    let count_at = store.len();
    put_u32(&mut store, 0);
    let mut count = 0_u32;
    let mut base64 = Vec::new();
    let mut certificate = Vec::new();
    for body in bundle::certificates(pem) {
        base64.clear();
        base64.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        certificate.clear();
        if STANDARD.decode_vec(&base64, &mut certificate).is_err() {
            continue;
        }
        put_u32(&mut store, TRUSTED_CERTIFICATE);
        put_text(&mut store, &format!("authsome-{count}"));
        // Creation time, which nothing reads.
        store.extend_from_slice(&0_u64.to_be_bytes());
        put_text(&mut store, "X.509");
        put_u32(&mut store, u32::try_from(certificate.len()).unwrap_or(u32::MAX));
        store.extend_from_slice(&certificate);
        count = count.saturating_add(1);
    }
    if let Some(place) = store.get_mut(count_at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = count.to_be_bytes();
    }
    let mut digest = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        digest.update(unit.to_be_bytes());
    }
    digest.update(WHITENER);
    digest.update(&store);
    store.extend_from_slice(&digest.finalize());
    store
}

fn put_u32(store: &mut Vec<u8>, value: u32) {
    store.extend_from_slice(&value.to_be_bytes());
}

/// Java's modified UTF-8 of a short ASCII text: a two-byte length, and the text.
fn put_text(store: &mut Vec<u8>, text: &str) {
    store.extend_from_slice(&u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_one_entry_a_certificate_and_a_digest() {
        let pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
        let store = key_store(pem);
        assert_eq!(store.get(..12), Some(&[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 1][..]));
        assert!(store.windows(3).any(|window| window == b"ABC"));
        // magic, version, count; tag, alias, date, type, length, contents; digest
        assert_eq!(store.len(), 12 + 4 + (2 + 10) + 8 + (2 + 5) + 4 + 3 + 20);
    }
}
