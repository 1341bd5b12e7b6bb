//! Homes that releases of the earlier product have made (`tests/data/import`), and damaged ones.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use authsome::import::{self, Error, Found, FoundConnection, FoundCredential, Profile};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A copy of a recorded home, to be damaged.
fn home(version: &str) -> (TempDir, PathBuf) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(version);
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("home");
    for file in files(&from) {
        let to = to.join(file.strip_prefix(&from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
    (directory, to)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Every file's name and hash.
fn hashes(directory: &Path) -> BTreeMap<PathBuf, String> {
    let hash = |path: PathBuf| {
        let hash = hex::encode(Sha256::digest(fs::read(&path).unwrap()));
        (path, hash)
    };
    files(directory).into_iter().map(hash).collect()
}

fn secret(connection: &FoundConnection) -> &str {
    match &connection.credential {
        FoundCredential::ApiKey(key) => key.expose_secret(),
        FoundCredential::Tokens(tokens) => tokens.access_token.expose_secret(),
    }
}

/// `profile provider/name`, with `*` behind a default, and the secret.
fn connections(found: &Found) -> Vec<(String, &str)> {
    let line = |one: &FoundConnection| {
        let default = if one.default { "*" } else { "" };
        format!("{} {}/{}{default}", one.profile.name, one.provider, one.name)
    };
    found.connections.iter().map(|one| (line(one), secret(one))).collect()
}

fn unreadable(found: &Found) -> Vec<String> {
    found.unreadable.iter().map(|one| format!("{}: {}", one.what, one.why)).collect()
}

fn profile(name: &str, active: bool) -> Profile {
    Profile { name: name.to_owned(), active }
}

#[test]
fn a_home_of_0_2_is_read_whole() {
    let (_directory, home) = home("0.2");

    let found = import::read(&home).unwrap();

    assert_eq!(unreadable(&found), [""; 0]);
    assert_eq!(
        connections(&found),
        [
            ("default acme/default*".to_owned(), "made-up-acme-key-0-2"),
            ("default github/default*".to_owned(), "made-up-github-access-token"),
            ("default openai/default*".to_owned(), "sk-made-up-0-2-openai-default-key"),
            ("default openai/second".to_owned(), "sk-made-up-0-2-openai-second-key"),
            ("default typeform/default*".to_owned(), "made-up-revoked-typeform"),
            // Only the write-ahead log has this one.
            ("work openai/default*".to_owned(), "sk-made-up-0-2-openai-work-key"),
        ]
    );
    assert_eq!(found.profiles, [profile("default", true), profile("work", false)]);
    assert_eq!(found.connections[4].status, "revoked");
    let definitions: Vec<_> = found.definitions.iter().map(|one| one.origin.as_str()).collect();
    assert_eq!(definitions, ["providers/acme.json", "providers/resend.json"]);
}

#[test]
fn an_oauth_login_of_0_2_keeps_what_a_refresh_needs() {
    let (_directory, home) = home("0.2");

    let found = import::read(&home).unwrap();

    let github = &found.connections[1];
    let FoundCredential::Tokens(tokens) = &github.credential else { panic!("no tokens") };
    let refresh = tokens.refresh_token.as_ref().unwrap();
    assert_eq!(refresh.expose_secret(), "made-up-github-refresh-token");
    assert_eq!(tokens.scopes, ["repo", "read:user"]);
    assert_eq!(tokens.token_type.as_deref(), Some("bearer"));
    assert_eq!(tokens.expires_at.unwrap().to_string(), "2026-04-30T17:00:00Z");
    assert_eq!(github.created.unwrap().to_string(), "2026-04-30T09:00:00Z");
    assert_eq!(github.base_url.as_deref(), Some("https://github.example.com"));
    let client = &found.clients[0];
    assert_eq!((client.provider.as_str(), client.id.as_str()), ("github", "made-up-client-id"));
    assert_eq!(client.secret.as_ref().unwrap().expose_secret(), "made-up-client-secret");
    assert_eq!(client.profile, Some(profile("default", true)));
}

#[test]
fn a_home_of_0_3_is_read_whole() {
    let (_directory, home) = home("0.3");

    let found = import::read(&home).unwrap();

    assert_eq!(unreadable(&found), [""; 0]);
    assert_eq!(
        connections(&found),
        [
            ("calm-boldly-0001 acme/default*".to_owned(), "made-up-acme-key-0-3"),
            ("calm-boldly-0001 notion_dcr/default*".to_owned(), "made-up-notion-access-token"),
            ("calm-boldly-0001 openai/default".to_owned(), "sk-made-up-0-3-openai-default-key"),
            ("calm-boldly-0001 openai/work*".to_owned(), "sk-made-up-0-3-openai-work-key"),
            ("other-handle-0002 openai/default*".to_owned(), "sk-made-up-0-3-openai-other-key"),
        ]
    );
    assert_eq!(
        found.profiles,
        [profile("calm-boldly-0001", true), profile("other-handle-0002", false)]
    );
    let client = &found.clients[0];
    assert_eq!((client.profile.as_ref(), client.id.as_str()), (None, "made-up-dcr-client"));
    // The second is too long for the table and lies in a file of its own.
    let names: Vec<_> = found.definitions.iter().map(|one| one.definition.name.as_str()).collect();
    assert_eq!(names, ["acme", "long"]);
}

#[test]
fn nothing_in_the_home_is_changed() {
    for version in ["0.2", "0.3"] {
        let (_directory, home) = home(version);
        let before = hashes(&home);

        import::read(&home).unwrap();

        assert_eq!(hashes(&home), before, "{version}");
    }
}

#[test]
fn a_home_that_was_upgraded_has_both() {
    let (_directory, old) = home("0.2");
    let (_other, new) = home("0.3");
    fs::rename(new.join("server"), old.join("server")).unwrap();
    fs::rename(new.join("client"), old.join("client")).unwrap();

    let found = import::read(&old).unwrap();

    assert_eq!(found.connections.len(), 11);
    let last = found.connections.iter().rposition(|one| one.profile.active).unwrap();
    assert!(found.connections[..last].iter().all(|one| one.profile.active));
    assert_eq!(found.connections[0].profile.name, "calm-boldly-0001");
    let acme = found.definitions.iter().filter(|one| one.definition.name == "acme");
    assert_eq!(acme.count(), 1);
}

#[test]
fn without_the_master_key_each_record_is_named() {
    let (_directory, home) = home("0.2");
    fs::remove_file(home.join("master.key")).unwrap();

    let found = import::read(&home).unwrap();

    assert!(found.connections.is_empty());
    let lines = unreadable(&found);
    let wanted = "openai/second of default: the master key is not available";
    assert!(lines.iter().any(|line| line == wanted), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("openai/default of work")), "{lines:#?}");
    assert_eq!(found.definitions.len(), 2, "definitions are not sealed");
}

#[test]
fn one_damaged_record_does_not_keep_the_others() {
    let (_directory, home) = home("0.2");
    let database = rusqlite::Connection::open(home.join("profiles/default/store.db")).unwrap();
    let changed = database.execute(
        "UPDATE kv SET value = 'AAAAAAAAAAAAAAAA.AAAA' WHERE key LIKE '%openai:connection:second'",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(database);

    let found = import::read(&home).unwrap();

    assert_eq!(found.connections.len(), 5);
    let wanted = "openai/second of default: it is damaged, or sealed under another key";
    assert_eq!(unreadable(&found), [wanted]);
}

#[test]
fn a_damaged_database_is_named() {
    let (_directory, home) = home("0.3");
    fs::remove_file(home.join("server/kv_store/cache.db-wal")).unwrap();
    let database = home.join("server/kv_store/cache.db");
    fs::File::options().write(true).open(&database).unwrap().set_len(5000).unwrap();

    let found = import::read(&home).unwrap();

    assert!(matches!(found.unreadable[0].why, Error::Database { .. }), "{found:?}");
    assert_eq!(found.unreadable.len(), 1);
}

#[test]
fn a_definition_that_means_nothing_is_named_and_remembered() {
    let (_directory, home) = home("0.2");
    fs::rename(home.join("config.json"), home.join("providers/openai.json")).unwrap();

    let found = import::read(&home).unwrap();

    assert_eq!(found.lost_definitions, ["openai"]);
    assert_eq!(found.unreadable.len(), 1);
    assert_eq!(found.unreadable[0].what, "providers/openai.json");
}

#[test]
fn a_vault_of_a_later_version_is_named_once() {
    let (_directory, home) = home("0.3");
    let database = rusqlite::Connection::open(home.join("server/kv_store/cache.db")).unwrap();
    let sql = "UPDATE Cache SET filename = NULL, mode = 1, \
        value = '{\"value\": {\"__encrypted_data__\": \"AAAA\", \"__encryption_version__\": 1}}'";
    assert!(database.execute(sql, []).unwrap() > 5);
    drop(database);

    let found = import::read(&home).unwrap();

    assert!(found.connections.is_empty());
    assert_eq!(found.unreadable.len(), 1);
    assert!(matches!(found.unreadable[0].why, Error::Version));
}

#[test]
fn no_secret_is_in_what_is_shown_of_it() {
    for version in ["0.2", "0.3"] {
        let (_directory, home) = home(version);

        let shown = format!("{:?}", import::read(&home).unwrap());

        for secret in ["sk-made-up", "access-token", "refresh-token", "made-up-client-secret"] {
            assert!(!shown.contains(secret), "{version}: {secret}");
        }
    }
}

#[test]
fn a_directory_of_something_else_is_no_home() {
    let directory = tempfile::tempdir().unwrap();
    // Ours has profiles, too.
    fs::create_dir_all(directory.path().join("profiles/default/vault")).unwrap();

    assert!(matches!(import::read(directory.path()), Err(Error::NotAHome { .. })));
    let missing = directory.path().join("missing");
    assert!(matches!(import::read(&missing), Err(Error::Missing { .. })));
}
