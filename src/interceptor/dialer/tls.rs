//! Client TLS: who is believed.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::CertificateDer;
use tokio_rustls::TlsConnector;

use super::{DialError, Offer, TlsFault};

/// Client configurations of one dialer. Sessions are resumed within one.
pub(super) struct Configs {
    any: TlsConnector,
    http1: TlsConnector,
    plain: TlsConnector,
}

impl Configs {
    /// The system's roots, and these.
    pub(super) fn new(extra: &[CertificateDer<'static>]) -> Result<Self, DialError> {
        let mut roots = native_roots().clone();
        for root in extra {
            roots.add(root.clone()).map_err(|_| DialError::Tls(TlsFault::Root))?;
        }
        let roots = Arc::new(roots);
        let make = |alpn: &[&[u8]]| config(&roots, alpn).map(|c| TlsConnector::from(Arc::new(c)));
        Ok(Self {
            any: make(&[b"h2", b"http/1.1"])?,
            http1: make(&[b"http/1.1"])?,
            plain: make(&[])?,
        })
    }

    /// For an upstream server.
    pub(super) fn connector(&self, offer: Offer) -> &TlsConnector {
        match offer {
            Offer::Any => &self.any,
            Offer::Http1 => &self.http1,
        }
    }

    /// For a forward proxy.
    pub(super) fn proxy(&self) -> &TlsConnector {
        &self.plain
    }
}

fn config(roots: &Arc<RootCertStore>, alpn: &[&[u8]]) -> Result<ClientConfig, DialError> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| DialError::Tls(TlsFault::Handshake))?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// The system's roots, read once. Without any, every verification fails.
fn native_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "system root certificates could not all be read");
        }
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, "read the system's root certificates");
        roots
    })
}
