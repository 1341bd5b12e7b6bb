//! `authsome daemon serve`.

use super::{Context, Error};
use crate::{
    broker::KeyPlace,
    cli::ServeArgs,
    config::MasterKey,
    daemon::{self, ServeOptions},
    telemetry,
};

/// Serves until told to stop.
///
/// # Errors
///
/// What kept it from serving.
pub fn serve(args: &ServeArgs, context: &Context) -> Result<(), Error> {
    let config = context.config()?;
    let key = match config.master_key.unwrap_or_default() {
        MasterKey::File => KeyPlace::File,
        MasterKey::Keyring => KeyPlace::Keyring,
    };
    telemetry::start(context.verbose);
    daemon::serve(&ServeOptions {
        home: context.home.clone(),
        key,
        detach: args.detach,
        logged: args.logged,
    })?;
    Ok(())
}
