//! Changing one key of `config.toml` and nothing else in it: comments, order and spaces stay.

use std::{fs, io, path::Path};

use toml_edit::{DocumentMut, Item, Value};

use super::Error;
use crate::{paths, protocol::vault::KeyPlace};

/// Sets `master_key` in the file at `path`, which is made if there is none.
///
/// A file that is a symbolic link is replaced where the link leads to.
///
/// # Errors
/// [`Error`] if it can't be read, means nothing, or can't be written; it is as it was then.
pub fn set_master_key(path: &Path, place: KeyPlace) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Read { path: path.to_owned(), source };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    // Whoever has it may be waiting for it to be corrected.
    super::Config::parse(path, &text, std::env::home_dir().as_deref())?;
    let changed = with_master_key(&text, place).map_err(|message| Error::Invalid {
        path: path.to_owned(),
        line: 1,
        message,
        mend: None,
    })?;
    if changed == text {
        return Ok(());
    }
    let target = if path.exists() { path.canonicalize().map_err(failed)? } else { path.to_owned() };
    paths::write_private(&target, changed.as_bytes())
        .map_err(|error| Error::Write { path: target, source: Box::new(error) })
}

fn with_master_key(text: &str, place: KeyPlace) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    match document.get_mut("master_key").and_then(Item::as_value_mut) {
        Some(value) => {
            // The comment behind it is its decoration.
            let decor = value.decor().clone();
            *value = Value::from(place.as_str());
            *value.decor_mut() = decor;
        }
        None => {
            document.insert("master_key", toml_edit::value(place.as_str()));
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_order_and_spaces_stay() {
        let text = "# mine\nmaster_key   =  'file'  # not the keyring\n\n[run] # agents\negress = \"open\"\n";
        let changed = with_master_key(text, KeyPlace::Keyring).unwrap();
        assert_eq!(changed, text.replace("'file'", "\"keyring\""));
    }

    #[test]
    fn a_key_that_is_missing_comes_before_the_tables() {
        let changed = with_master_key("# mine\n[run]\negress = \"open\"\n", KeyPlace::Passphrase);
        let changed = changed.unwrap();
        let config = super::super::Config::parse(Path::new("/c"), &changed, None).unwrap();
        assert_eq!(config.master_key, Some(KeyPlace::Passphrase));
        assert!(changed.contains("# mine\n") && changed.contains("[run]\n"), "{changed}");
    }

    #[test]
    fn a_file_that_is_missing_is_made_and_one_that_means_nothing_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        set_master_key(&path, KeyPlace::Keyring).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "master_key = \"keyring\"\n");
        paths::write_private(&path, b"mastr_key = 1\n").unwrap();
        assert!(set_master_key(&path, KeyPlace::File).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mastr_key = 1\n");
    }

    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("config.toml"), dir.path().join("dotfile"));
        paths::write_private(&target, b"dashboard_port = 0\n").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        set_master_key(&path, KeyPlace::Passphrase).unwrap();
        assert!(path.is_symlink());
        assert!(fs::read_to_string(&target).unwrap().contains("passphrase"));
    }
}
