//! `authsome daemon serve`.

use std::{path::Path, sync::Arc};

use super::{Context, Error, collector};
use crate::{
    broker::{ChooseKey, asks::DEFAULT_ASK_SECONDS},
    cli::ServeArgs,
    config::{self, Config, edit, run::RunConfig},
    daemon::{self, ServeOptions, Settings},
    dashboard::DEFAULT_PORT,
    protocol::{ErrorKind, ErrorReply},
    telemetry,
};

/// Serves until told to stop.
///
/// # Errors
///
/// What kept it from serving.
pub fn serve(args: &ServeArgs, context: &Context) -> Result<(), Error> {
    let options =
        ServeOptions { detach: args.detach, logged: args.logged, ..options(context, None)? };
    telemetry::start(context.verbose);
    daemon::serve(&options)?;
    Ok(())
}

/// How the daemon is to serve, by the configuration; in the foreground. `flags` are of the run that it
/// serves besides, if it is a sidecar's.
pub(super) fn options(context: &Context, flags: Option<RunConfig>) -> Result<ServeOptions, Error> {
    let config = context.config()?;
    let path = context.home.config();
    let choose_key: ChooseKey = {
        let path = path.clone();
        Arc::new(move |place| edit::set_master_key(&path, place).map_err(|error| reply(&error)))
    };
    // Read each time: the daemon lives long, and a changed line is to count at once.
    let settings: Settings = Arc::new(move || {
        let config = Config::load(&path).map_err(|error| reply(&error))?;
        let read = |path: &Path| std::fs::read_to_string(path);
        let run = config.run.merge(flags.clone().unwrap_or_default());
        let settings = run.settings(read);
        settings
            .map(|settings| settings.options)
            .map_err(|error| ErrorReply::caused(ErrorKind::Failed, &error, None))
    });
    Ok(ServeOptions {
        home: context.home.clone(),
        key: config.master_key.unwrap_or_default(),
        choose_key,
        detach: false,
        logged: false,
        dashboard_port: config.dashboard_port.unwrap_or(DEFAULT_PORT),
        ask_seconds: config.ask_seconds.unwrap_or(DEFAULT_ASK_SECONDS),
        audit: config.audit,
        settings,
        telemetry: Arc::new(move || collector::of(&config.telemetry)),
        contained: None,
    })
}

fn reply(error: &config::Error) -> ErrorReply {
    ErrorReply::caused(ErrorKind::Failed, error, error.hint().map(str::to_owned))
}
