//! `authsome vault unlock` and `lock`; and asking for the passphrase where another command needs it.

use serde_json::json;

use super::passphrase;
use crate::{
    cli::{PassphraseArgs, UnlockArgs},
    commands::{Context, Error, daemon::gone},
    daemon::client::Client,
    output,
    protocol::{
        ErrorKind, ErrorReply, Request, Secret, Status,
        vault::{VaultRequest, VaultState},
    },
};

/// Nothing but the terminal.
const ASK: PassphraseArgs = PassphraseArgs { passphrase_stdin: false, passphrase_file: None };

pub(super) fn unlock(args: &UnlockArgs, context: &Context) -> Result<(), Error> {
    context.config()?;
    context.home.ensure_if_present()?;
    let mut client = Client::connect_or_start(&context.home)?;
    let state = client.vault_state();
    give(&mut client, &args.passphrase, state)?;
    let status = if state == VaultState::Open { "open" } else { "unlocked" };
    Ok(context.output.result(json!({ "status": status }), |text| {
        text.line(match state {
            VaultState::Open => "The vault is open already.",
            VaultState::Locked => "The vault is open.",
            VaultState::New => "The vault is open. This is its passphrase from now on.",
        });
    })?)
}

pub(super) fn lock(context: &Context) -> Result<(), Error> {
    let locked = match Client::connect(&context.home)? {
        None => true,
        Some(mut client) => {
            let status: Status = client.call(Request::Status)?;
            client.call::<()>(Request::Vault(VaultRequest::Lock))?;
            // One that waits for the passphrase has nothing to forget, and stays.
            status.vault != VaultState::Open || gone(context)?
        }
    };
    let status = if locked { "locked" } else { "locking" };
    Ok(context.output.result(json!({ "status": status }), |text| {
        text.line(if locked {
            "The vault is locked."
        } else {
            "The vault is locked when the open requests are done."
        });
    })?)
}

/// A client of a daemon whose vault is open: where it is not, and somebody is there, asks them.
pub(in crate::commands) fn open(mut client: Client, context: &Context) -> Result<Client, Error> {
    let state = client.vault_state();
    if state == VaultState::Open || context.output.is_json() || !output::can_prompt() {
        return Ok(client);
    }
    give(&mut client, &ASK, state)?;
    // What waited for the passphrase serves nothing else.
    drop(client);
    Ok(Client::connect_or_start(&context.home)?)
}

/// After `error` of a run: opens the vault if it is locked and somebody is there to ask. True if it is
/// worth another try.
pub(in crate::commands) fn open_for(error: &ErrorReply, context: &Context) -> Result<bool, Error> {
    if error.kind != ErrorKind::Unavailable || !output::can_prompt() {
        return Ok(false);
    }
    let Some(mut client) = Client::connect(&context.home)? else { return Ok(false) };
    let status: Status = client.call(Request::Status)?;
    if status.vault == VaultState::Open {
        return Ok(false);
    }
    give(&mut client, &ASK, status.vault)?;
    Ok(true)
}

fn give(client: &mut Client, source: &PassphraseArgs, state: VaultState) -> Result<(), Error> {
    let passphrase = match state {
        // There is nothing to give it to.
        VaultState::Open => return Ok(()),
        VaultState::Locked => passphrase::given(source, "Passphrase of the vault")?,
        VaultState::New => passphrase::new(source, "New passphrase of the vault")?,
    };
    let request = VaultRequest::Unlock { passphrase: Secret(passphrase) };
    Ok(client.call(Request::Vault(request))?)
}
