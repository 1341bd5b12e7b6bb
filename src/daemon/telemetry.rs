//! Telemetry's way out, and its beginning and end with the daemon.

use std::{collections::BTreeMap, sync::Arc};

use http::Request;
use tokio::runtime::Handle;

use super::dial::{self, Settings};
use crate::{
    broker::Common,
    interceptor::{Dialer, Sockets, fetch_plainly},
    protocol::HostPort,
    telemetry::otlp::{Exporter, Options, Sending, Transport},
};

/// Begins to export. None where there is no way out: the log says why, and all else goes on.
pub(super) fn start(
    options: Options,
    settings: &Settings,
    sockets: &Sockets,
    runtime: &Handle,
    common: &Common,
) -> Option<Exporter> {
    let dialer = match dialer(&options, settings, sockets) {
        Ok(dialer) => dialer,
        Err(why) => {
            tracing::error!(why, "no telemetry is exported");
            return None;
        }
    };
    let exporter = Exporter::start(options, Arc::new(Out { dialer }), runtime);
    common.observe(exporter.feed());
    Some(exporter)
}

fn dialer(options: &Options, settings: &Settings, sockets: &Sockets) -> Result<Dialer, String> {
    let mut run = settings().map_err(|error| error.message)?;
    let (host, port) = options.endpoint.target();
    // A person wrote it down: it may well be on this machine.
    run.allow.push(HostPort { host: host.to_owned(), port: Some(port) });
    // A proxy is for what is far and encrypted.
    let proxy = if options.endpoint.is_secure() { dial::own_proxy() } else { BTreeMap::new() };
    let config = dial::config(&run, &proxy, sockets).map_err(|error| error.message)?;
    Dialer::new(config).map_err(|error| error.to_string())
}

#[derive(Debug)]
struct Out {
    dialer: Dialer,
}

impl Transport for Out {
    fn send(&self, request: Request<Vec<u8>>) -> Sending<'_> {
        Box::pin(async move {
            fetch_plainly(&self.dialer, request).await.map_err(|error| error.to_string())
        })
    }
}
