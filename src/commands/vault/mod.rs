//! `authsome vault`: what concerns all records at once.

mod backup;
mod keys;
mod passphrase;
mod restore;
mod unlock;

use serde_json::json;

pub(super) use self::unlock::{open, open_for};
use super::{Context, Error, count};
use crate::{
    cli::{VaultArgs, VaultCommand},
    daemon::client::Client,
    protocol::{
        ErrorKind, Request, Status,
        vault::{ProfileReport, VaultRequest, VaultState},
    },
};

pub(super) fn vault(args: VaultArgs, context: &Context) -> Result<(), Error> {
    match args.command {
        VaultCommand::Status => status(context),
        VaultCommand::Verify => verify(context),
        VaultCommand::Rotate(args) => keys::rotate(args, context),
        VaultCommand::Backup(args) => backup::backup(&args, context),
        VaultCommand::Restore(args) => restore::restore(&args, context),
        VaultCommand::MoveKey(args) => keys::move_key(&args, context),
        VaultCommand::Unlock(args) => unlock::unlock(&args, context),
        VaultCommand::Lock => unlock::lock(context),
    }
}

fn status(context: &Context) -> Result<(), Error> {
    context.config()?;
    let mut client = Client::connect_or_start(&context.home)?;
    let status: Status = client.call(Request::Status)?;
    let members = json!({ "vault": status.vault, "master_key": status.master_key });
    Ok(context.output.result(members, |text| {
        let state = match status.vault {
            VaultState::Open => "open",
            VaultState::Locked => "locked",
            VaultState::New => "without a passphrase yet",
        };
        text.pairs([("vault", state.to_owned()), ("master key", status.master_key.clone())]);
        if status.vault != VaultState::Open {
            text.blank();
            text.dim("Next: authsome vault unlock");
        }
    })?)
}

fn verify(context: &Context) -> Result<(), Error> {
    let mut client = context.client()?;
    let profiles: Vec<ProfileReport> = client.call(Request::Vault(VaultRequest::Verify))?;
    let damaged: usize = profiles.iter().map(|profile| profile.damaged.len()).sum();
    let members = json!({ "intact": damaged == 0, "profiles": profiles });
    context.output.result(members, |text| {
        for profile in &profiles {
            let records = count(profile.records, "record");
            text.line(format!("{}: {records} readable.", profile.profile));
            for what in &profile.damaged {
                text.line(format!("  {what}"));
            }
        }
    })?;
    match damaged {
        0 => Ok(()),
        number => {
            let message = format!("{} cannot be read", count(number, "record"));
            Err(Error::new(ErrorKind::Failed, message)
                .hint("authsome list shows which connections; log in to them again"))
        }
    }
}
