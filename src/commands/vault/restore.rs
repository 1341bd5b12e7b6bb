//! `authsome vault restore`.

use std::fs::File;

use serde_json::json;

use super::passphrase;
use crate::{
    cli::RestoreArgs,
    commands::{Context, Error, count},
    config::{self, Config, edit},
    daemon::restore,
    paths::Home,
    protocol::{ErrorKind, ErrorReply, vault::KeyPlace},
};

pub(super) fn restore(args: &RestoreArgs, context: &Context) -> Result<(), Error> {
    let file = File::open(&args.file).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let kind = if missing { ErrorKind::NotFound } else { ErrorKind::Failed };
        Error::new(kind, format!("cannot read {}: {error}", args.file.display()))
    })?;
    restore::refuse(&context.home, args.force)?;
    let passphrase = passphrase::given(&args.passphrase, "Passphrase of the backup")?;
    let mut place = KeyPlace::File;
    let restored = restore::restore(&context.home, file, &passphrase, args.force, |home| {
        place = key_place(home)?;
        Ok(place)
    })?;
    let report = restored.report;
    let replaced = restored.replaced.as_ref().map(|path| path.display().to_string());
    let members = json!({
        "home": context.home.root().display().to_string(),
        "replaced": replaced,
        "master_key": place,
        "profiles": report.profiles,
        "records": report.records,
        "files": report.files,
    });
    Ok(context.output.result(members, |text| {
        text.line(format!(
            "Restored {}: {}, {}, {}.",
            context.home.root().display(),
            count(report.profiles, "profile"),
            count(report.records, "record"),
            count(report.files, "file")
        ));
        if let Some(path) = &replaced {
            text.line(format!("The home that was there is now {path}."));
        }
        match place {
            KeyPlace::Passphrase => text.dim("Next: authsome vault unlock, with this passphrase"),
            KeyPlace::File | KeyPlace::Keyring => text.dim("Next: authsome list"),
        };
    })?)
}

/// Where the new home's master key is to be. Not in the keyring: the home that is being replaced may
/// have its own there, under the same name.
fn key_place(home: &Home) -> Result<KeyPlace, ErrorReply> {
    let reply = |error: &config::Error| {
        ErrorReply::caused(ErrorKind::Failed, error, error.hint().map(str::to_owned))
    };
    let path = home.config();
    let config = Config::load(&path).map_err(|error| reply(&error))?;
    let configured = config.master_key.unwrap_or_default();
    if configured != KeyPlace::Keyring {
        return Ok(configured);
    }
    edit::set_master_key(&path, KeyPlace::File).map_err(|error| reply(&error))?;
    Ok(KeyPlace::File)
}
