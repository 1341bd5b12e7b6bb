//! From what a run was asked for to how its connections are dialled.

use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    interceptor::{AllowRule, DialConfig, ResolveRule, UpstreamProxy},
    protocol::{ErrorKind, ErrorReply, OpenRun},
};

/// The dialler's configuration.
///
/// # Errors
/// A root that is no certificate, a proxy variable that is no URL.
pub(super) fn config(open: &OpenRun) -> Result<DialConfig, ErrorReply> {
    let options = &open.options;
    let mut extra_roots = Vec::new();
    for pem in &options.upstream_ca {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            extra_roots.push(certificate.map_err(|error| {
                usage(format!("an upstream CA is no PEM certificate: {error}"), None)
            })?);
        }
    }
    let proxy = UpstreamProxy::from_env(&open.proxy).map_err(|error| {
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
    })
}

fn usage(message: String, hint: Option<String>) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message, hint }
}
