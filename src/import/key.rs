//! The master key, and what is sealed under it: AES-256-GCM without associated data, as Base64 of the
//! nonce, a dot, and Base64 of ciphertext and tag. The same in 0.2 and 0.3.

use std::{fmt, path::Path, sync::Arc};

use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce, aead::Aead as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Error, files};

/// Where the keyring files the key.
const SERVICE: &str = "authsome";
const USER: &str = "master_key";

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;

/// How a configuration file says where the key is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Encryption {
    /// `local_key` or `keyring`.
    mode: String,
}

/// A key file.
#[derive(Deserialize)]
struct KeyFile {
    key: String,
}

/// Opens what is sealed, or says each time why it cannot.
pub(super) struct Opener(Result<Aes256Gcm, Arc<Error>>);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

impl Opener {
    /// With the key in `file`, unless the configuration says that the OS keyring has it.
    pub(super) fn new(encryption: &Encryption, file: &Path) -> Self {
        let text = if encryption.mode == "keyring" { from_keyring() } else { from_file(file) };
        let key = text.and_then(|(text, place)| cipher(&text, place));
        Self(key.map_err(Arc::new))
    }

    /// What `sealed` holds.
    pub(super) fn open(&self, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let cipher = self.0.as_ref().map_err(|error| Error::NoKey(Arc::clone(error)))?;
        let (nonce, content) = sealed.split_once('.').ok_or(Error::Sealed)?;
        let nonce = STANDARD.decode(nonce).map_err(|_| Error::Sealed)?;
        let content = STANDARD.decode(content).map_err(|_| Error::Sealed)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| Error::Sealed)?;
        let opened = cipher.decrypt(&Nonce::from(nonce), content.as_slice());
        opened.map(Zeroizing::new).map_err(|_| Error::Sealed)
    }
}

fn from_keyring() -> Result<(Zeroizing<String>, String), Error> {
    let entry = keyring::Entry::new(SERVICE, USER);
    let text = entry.and_then(|entry| entry.get_password());
    let text = text.map_err(|error| Error::Keyring(Box::new(error)))?;
    Ok((Zeroizing::new(text), "the OS keyring".to_owned()))
}

fn from_file(path: &Path) -> Result<(Zeroizing<String>, String), Error> {
    let place = path.display().to_string();
    let Some(content) = files::read(path)? else {
        let source = std::io::ErrorKind::NotFound.into();
        return Err(Error::Read { path: path.to_owned(), source });
    };
    match serde_json::from_slice::<KeyFile>(&content) {
        Ok(file) => Ok((Zeroizing::new(file.key), place)),
        Err(_) => Err(Error::KeyMalformed { place, problem: "is not a JSON object with a `key`" }),
    }
}

fn cipher(text: &str, place: String) -> Result<Aes256Gcm, Error> {
    let key = STANDARD.decode(text.trim()).map(Zeroizing::new);
    let problem = match key {
        Err(_) => "is not Base64",
        Ok(key) if key.len() != KEY_LEN => "does not have 32 bytes",
        Ok(key) => match Aes256Gcm::new_from_slice(&key) {
            Ok(cipher) => return Ok(cipher),
            Err(_) => "is not one of AES-256",
        },
    };
    Err(Error::KeyMalformed { place, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made by that product's own code.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn opener(file: &str) -> Opener {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        crate::paths::write_private(&path, file.as_bytes()).unwrap();
        Opener::new(&Encryption::default(), &path)
    }

    fn seal(text: &str) -> String {
        let cipher = cipher(KEY, String::new()).unwrap();
        let nonce = [7; NONCE_LEN];
        let sealed = cipher.encrypt(&Nonce::from(nonce), text.as_bytes()).unwrap();
        format!("{}.{}", STANDARD.encode(nonce), STANDARD.encode(sealed))
    }

    #[test]
    fn what_was_sealed_is_opened() {
        let opener = opener(&format!(r#"{{"version": 1, "key": "{KEY}"}}"#));

        assert_eq!(opener.open(&seal("made up")).unwrap().as_slice(), b"made up");
    }

    #[test]
    fn one_changed_byte_is_noticed() {
        let opener = opener(&format!(r#"{{"key": "{KEY}"}}"#));
        let mut sealed = seal("made up");
        let last = if sealed.pop() == Some('A') { 'B' } else { 'A' };
        sealed.push(last);

        assert!(matches!(opener.open(&sealed), Err(Error::Sealed)));
    }

    #[test]
    fn what_is_not_sealed_at_all_is_refused() {
        let opener = opener(&format!(r#"{{"key": "{KEY}"}}"#));
        for text in ["", ".", "AAAA.AAAA", "plain", "\u{e9}.\u{e9}"] {
            assert!(matches!(opener.open(text), Err(Error::Sealed)), "{text}");
        }
    }

    #[test]
    fn a_bad_key_is_named_with_each_thing_it_should_open_and_not_repeated() {
        for file in ["", "{}", r#"{"key": "c2hvcnQ="}"#, r#"{"key": "!!!"}"#] {
            let error = opener(file).open(&seal("x")).unwrap_err();

            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("master.key"), "{cause}");
            assert!(!cause.contains("c2hvcnQ"), "{cause}");
        }
    }
}
