//! What clients ask of the vaults as a whole.

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use serde_json::Value;

use super::{
    server::Shared,
    session::{json, usage},
    wire::Wire,
};
use crate::protocol::{
    ErrorKind, ErrorReply,
    vault::{KeyPlace, VaultRequest},
};

/// What comes of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// This is the answer.
    Value(Value),
    /// This is the answer, and then the daemon stops.
    Last(Value),
}

/// Answers one request; what comes with it is taken from `wire`.
///
/// # Errors
/// What the vaults, the key's place or the disk say.
pub(super) fn answer(
    shared: &Shared,
    wire: &mut Wire,
    request: VaultRequest,
) -> Result<Answer, ErrorReply> {
    let profiles = &shared.profiles;
    let value = match request {
        VaultRequest::Verify => json(profiles.verify()?),
        VaultRequest::Rotate { data, master } => json(profiles.rotate(data, master)?),
        VaultRequest::Backup { passphrase } => {
            let descriptors =
                wire.take_descriptors(1).map_err(|error| usage(&error.to_string()))?;
            let file = descriptors.into_iter().next().map(File::from);
            let file = file.ok_or_else(|| usage("a backup goes into a file"))?;
            let (out, report) = profiles.backup(BufWriter::new(file), &passphrase.0)?;
            durable(out)?;
            json(report)
        }
        VaultRequest::MoveKey { to, passphrase, replace } => {
            let passphrase = passphrase.as_ref().map(|passphrase| &passphrase.0);
            json(profiles.move_master_key(to, passphrase, replace)?)
        }
        // It is open: there is nothing that a passphrase could open.
        VaultRequest::Unlock { .. } => json(()),
        VaultRequest::Lock => {
            if shared.common.key_place() != KeyPlace::Passphrase {
                return Err(ErrorReply {
                    hint: Some("authsome vault move-key passphrase".to_owned()),
                    ..usage("no passphrase protects the vault: it would be open again at once")
                });
            }
            shared.common.note_lock()?;
            return json(()).map(Answer::Last);
        }
    };
    value.map(Answer::Value)
}

fn durable(mut out: BufWriter<File>) -> Result<(), ErrorReply> {
    out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|error| {
        ErrorReply::caused(ErrorKind::Failed, &crate::broker::BackupError::Write(error), None)
    })
}
