//! Versions 0.2: one database a profile, definitions as files.

use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Error, Found, FoundDefinition, Profile, files,
    key::{Encryption, Opener},
    record, store,
};
use crate::provider::Definition;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    default_profile: Option<String>,
    encryption: Option<Encryption>,
}

/// Adds what is in this layout.
pub(super) fn read(home: &Path, found: &mut Found) {
    definitions(home, found);
    let directory = home.join("profiles");
    let names = match files::names(&directory) {
        Ok(names) => names,
        Err(error) => return found.unreadable("profiles", error),
    };
    let names: Vec<_> =
        names.into_iter().filter(|name| directory.join(name).join("store.db").exists()).collect();
    if names.is_empty() {
        return;
    }
    let config: Config = files::config(&home.join("config.json"));
    let opener = Opener::new(&config.encryption.unwrap_or_default(), &home.join("master.key"));
    let active = config.default_profile.unwrap_or_else(|| "default".to_owned());
    for name in names {
        let path = directory.join(&name).join("store.db");
        let profile = Profile { active: name == active, name };
        match store::table(&path) {
            Ok(entries) => record::collect(&profile, entries, &opener, found),
            Err(error) => {
                found.unreadable(format!("profiles/{}/store.db", profile.name), error);
            }
        }
        found.profiles.push(profile);
    }
}

/// The user's own definitions. Later versions ignore these files, but people kept them there.
fn definitions(home: &Path, found: &mut Found) {
    let directory = home.join("providers");
    let names = match files::names(&directory) {
        Ok(names) => names,
        Err(error) => return found.unreadable("providers", error),
    };
    for name in names.into_iter().filter(|name| name.ends_with(".json")) {
        let origin = format!("providers/{name}");
        let provider = name.strip_suffix(".json").unwrap_or(&name);
        let text = match files::read(&directory.join(&name)) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        definition(provider, origin, text, found);
    }
}

/// Adds the definition of `provider`. One of a name that was found before is an older state of it.
pub(super) fn definition(
    provider: &str,
    origin: String,
    text: Result<Zeroizing<Vec<u8>>, Error>,
    found: &mut Found,
) {
    match text.and_then(|text| parse(&origin, &text)) {
        Ok((definition, text)) => {
            if !found.definitions.iter().any(|known| known.definition.name == definition.name) {
                found.definitions.push(FoundDefinition { origin, definition, text });
            }
        }
        Err(error) => {
            found.lost_definitions.push(provider.to_owned());
            found.unreadable(origin, error);
        }
    }
}

fn parse(origin: &str, text: &[u8]) -> Result<(Definition, String), Error> {
    let text = str::from_utf8(text).map_err(|_| Error::Record { problem: "is not text" })?;
    let definition = Definition::parse_json(text, origin).map_err(Error::Definition)?;
    Ok((definition, text.to_owned()))
}
