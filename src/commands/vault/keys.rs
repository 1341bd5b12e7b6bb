//! `authsome vault rotate` and `move-key`.

use serde_json::json;

use super::passphrase;
use crate::{
    cli::{MoveKeyArgs, Place, RotateArgs},
    commands::{Context, Error, count},
    protocol::{
        Request, Secret,
        vault::{KeyMoved, KeyPlace, Rotation, VaultRequest},
    },
};

pub(super) fn rotate(args: RotateArgs, context: &Context) -> Result<(), Error> {
    // Neither flag means both.
    let both = args.data == args.master;
    let (data, master) = (args.data || both, args.master || both);
    let mut client = context.client()?;
    let request = VaultRequest::Rotate { data, master };
    let done: Rotation = client.call(Request::Vault(request))?;
    let members = json!({ "data": done.data, "master": done.master, "profiles": done.profiles });
    context.output.result(members, |text| {
        if done.master {
            text.line("There is a new master key.");
        }
        for profile in &done.profiles {
            let records = count(profile.records, "record");
            text.line(format!("{}: a new data key, {records} encrypted again.", profile.profile));
        }
    })?;
    for profile in &done.profiles {
        for what in &profile.damaged {
            context.output.warning(format!("{}: {what}; it keeps its key", profile.profile));
        }
    }
    Ok(())
}

pub(super) fn move_key(args: &MoveKeyArgs, context: &Context) -> Result<(), Error> {
    let to = match args.place {
        Place::File => KeyPlace::File,
        Place::Keyring => KeyPlace::Keyring,
        Place::Passphrase => KeyPlace::Passphrase,
    };
    let mut client = context.client()?;
    let passphrase = match to {
        KeyPlace::Passphrase => {
            Some(Secret(passphrase::new(&args.passphrase, "New passphrase of the vault")?))
        }
        KeyPlace::File | KeyPlace::Keyring => None,
    };
    let request = VaultRequest::MoveKey { to, passphrase, replace: args.force };
    let moved: KeyMoved = client.call(Request::Vault(request))?;
    let members = json!({ "from": moved.from, "to": moved.to });
    Ok(context.output.result(members, |text| {
        text.line(match moved.to {
            KeyPlace::File => "The master key is in its file.",
            KeyPlace::Keyring => "The master key is in the keyring.",
            KeyPlace::Passphrase => "A passphrase protects the master key.",
        });
        if moved.from == KeyPlace::File && moved.to != KeyPlace::File {
            text.dim("A disk keeps what was deleted for a while: authsome vault rotate");
        }
    })?)
}
