//! Where the daemon's telemetry goes: by `config.toml`, else by OpenTelemetry's own variables.

use std::{env, io::Read as _, path::Path};

use http::{HeaderName, HeaderValue};

use super::chain;
use crate::{
    config::telemetry::TelemetryConfig,
    paths,
    telemetry::otlp::{self, Endpoint, Options},
};

/// What OpenTelemetry's programs read their collector's address from.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// And what switches them off.
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// Longest file with headers, in bytes.
const MAX_HEADERS: u64 = 64 * 1024;

/// The collector, if there is to be one. What keeps it from being used is logged, no more: telemetry is
/// no reason not to serve, and the variable may be meant for other programs.
pub(super) fn of(config: &TelemetryConfig) -> Option<Options> {
    let endpoint = config.endpoint.clone().or_else(from_environment)?;
    let headers = match config.headers_file.as_deref().map(headers) {
        None => Vec::new(),
        Some(Ok(headers)) => headers,
        Some(Err(why)) => {
            tracing::error!(why, "no telemetry is exported: mend `headers_file` in config.toml");
            return None;
        }
    };
    Some(Options { endpoint, headers })
}

fn from_environment() -> Option<Endpoint> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if set(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    match Endpoint::parse(&set(VARIABLE)?) {
        Ok(endpoint) => Some(endpoint),
        Err(why) => {
            tracing::warn!(why, "{VARIABLE} is of no use: no telemetry is exported");
            None
        }
    }
}

fn headers(path: &Path) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let place = path.display();
    let file = paths::open_private(path).map_err(|error| match error.hint() {
        Some(hint) => format!("{} ({hint})", chain(&error)),
        None => chain(&error),
    })?;
    let mut text = String::new();
    file.ok_or_else(|| format!("{place}: no such file"))?
        .take(MAX_HEADERS)
        .read_to_string(&mut text)
        .map_err(|error| format!("{place}: {error}"))?;
    otlp::headers(&text).map_err(|line| format!("{place}:{line}: expected `Name: value`"))
}
