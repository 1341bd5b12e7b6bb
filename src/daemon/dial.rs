//! From what was asked for to how connections are dialled: those of a run, and the daemon's own.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    broker::Network,
    interceptor::{AllowRule, DialConfig, Dialer, ResolveRule, Sockets, UpstreamProxy},
    protocol::{ErrorKind, ErrorReply, RunOptions, login::LoginNetwork},
};

/// Says what the configuration is now.
pub type Settings = Arc<dyn Fn() -> Result<RunOptions, ErrorReply> + Send + Sync>;

/// The way out of the daemon's own requests.
pub(super) struct Outbound {
    settings: Settings,
    /// The proxy variables of the daemon's own environment.
    proxy: BTreeMap<String, String>,
    sockets: Sockets,
    /// The dialler for the configuration as it was last.
    last: Mutex<Option<(RunOptions, Arc<Dialer>)>>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

impl Outbound {
    pub(super) fn new(settings: Settings, sockets: Sockets) -> Self {
        Self { settings, proxy: own_proxy(), sockets, last: Mutex::new(None) }
    }
}

/// The proxy variables of the daemon's own environment.
pub(super) fn own_proxy() -> BTreeMap<String, String> {
    let names = ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let both = names.into_iter().flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
    both.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect()
}

impl Network for Outbound {
    fn dialer(&self, extra: &LoginNetwork) -> Result<Arc<Dialer>, ErrorReply> {
        let mut options = (self.settings)()?;
        let plain =
            extra.resolve.is_empty() && extra.upstream_ca.is_empty() && extra.proxy.is_empty();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if plain
            && let Some((known, dialer)) = last.as_ref()
            && *known == options
        {
            return Ok(Arc::clone(dialer));
        }
        let settings = options.clone();
        // Of the rules for one host the first counts, and what the login asked for comes first.
        options.resolve = extra.resolve.iter().chain(&options.resolve).cloned().collect();
        options.upstream_ca.extend(extra.upstream_ca.iter().cloned());
        let proxy = if extra.proxy.is_empty() { &self.proxy } else { &extra.proxy };
        let dialer =
            Dialer::new(config(&options, proxy, &self.sockets)?).map_err(|error| ErrorReply {
                kind: ErrorKind::Failed,
                message: format!("cannot reach providers: {error}"),
                hint: None,
            })?;
        let dialer = Arc::new(dialer);
        if plain {
            *last = Some((settings, Arc::clone(&dialer)));
        }
        Ok(dialer)
    }
}

/// The dialler's configuration.
///
/// # Errors
/// A root that is no certificate, a proxy variable that is no URL.
pub(super) fn config(
    options: &RunOptions,
    proxy: &BTreeMap<String, String>,
    sockets: &Sockets,
) -> Result<DialConfig, ErrorReply> {
    let mut extra_roots = Vec::new();
    for pem in &options.upstream_ca {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            extra_roots.push(certificate.map_err(|error| {
                usage(format!("an upstream CA is no PEM certificate: {error}"), None)
            })?);
        }
    }
    let proxy = UpstreamProxy::from_env(proxy).map_err(|error| {
        usage(
            format!("cannot go through the proxy of the environment: {error}"),
            Some("set it to http://HOST:PORT, or unset it".to_owned()),
        )
    })?;
    Ok(DialConfig {
        resolve: options
            .resolve
            .iter()
            .map(|rule| ResolveRule {
                host: rule.host.clone(),
                port: rule.port,
                address: rule.address,
                to_port: rule.to_port,
            })
            .collect(),
        allow: options
            .allow
            .iter()
            .map(|rule| AllowRule { host: rule.host.clone(), port: rule.port })
            .collect(),
        extra_roots,
        proxy,
        sockets: sockets.clone(),
    })
}

fn usage(message: String, hint: Option<String>) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message, hint }
}
