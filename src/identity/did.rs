//! A public key as a decentralised identifier: `did:key` (W3C CCG, the did:key method v0.7).
//!
//! The identifier *is* the key: multicodec `ed25519-pub` (0xed as a varint), the 32 bytes, in base58
//! with Bitcoin's alphabet, which multibase calls `z`.

/// The varint of multicodec `ed25519-pub`.
const ED25519: [u8; 2] = [0xed, 0x01];
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The identifier of an Ed25519 public key.
pub(super) fn of(public: &[u8; 32]) -> String {
    format!("did:key:z{}", base58([&ED25519[..], public].concat()))
}

/// The key's own identifier in the document that the identifier stands for: itself, after a `#`.
pub(super) fn key_id(did: &str) -> String {
    format!("{did}#{}", did.strip_prefix("did:key:").unwrap_or(did))
}

/// Long division of the number by 58, a digit a turn.
fn base58(mut number: Vec<u8>) -> String {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut digits = Vec::new();
    while number.iter().any(|byte| *byte != 0) {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest * 256 + u32::from(*byte);
            // Less than 58 * 256 / 58.
            *byte = u8::try_from(value / 58).unwrap_or(u8::MAX);
            rest = value % 58;
        }
        digits.extend(ALPHABET.get(rest as usize));
    }
    let leading = std::iter::repeat_n(b'1', zeros);
    leading.chain(digits.into_iter().rev()).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digits: &str) -> [u8; 32] {
        hex::decode(digits).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_identifier_of_the_specification_is_that_of_its_key() {
        let public = key("2e6fcce36701dc791488e0d0b1745cc1e33a4c1c9fcc41c63bd343dbbe0970e6");
        assert_eq!(of(&public), "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK");
    }

    #[test]
    fn the_key_of_rfc_8037_has_the_identifier_others_give_it() {
        let public = key("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(of(&public), "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
    }

    #[test]
    fn a_key_of_zeros_has_an_identifier_too() {
        assert_eq!(base58(vec![0, 0, 1]), "112");
        assert_eq!(base58(vec![0; 3]), "111");
        assert_eq!(base58(b"Hello World!".to_vec()), "2NEpo7TZRRrLZSi2U");
    }

    #[test]
    fn the_keys_own_identifier_repeats_it() {
        assert_eq!(key_id("did:key:zAb"), "did:key:zAb#zAb");
    }
}
