//! Settings of one run: what `config.toml` says, and what the flags add.
//!
//! [`RunConfig::merge`] and [`RunConfig::settings`] are pure but for reading the files that
//! `upstream_ca` names; they fail where such a file holds no certificate, because a root that is
//! silently missing shows as a failed request much later.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    protocol::{Egress, EnvFrom, HostPort, ResolveRule, RunOptions, publish::Publish},
    runner::Redirect,
};

/// Settings as they were written, by either side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// Connection to use, by provider.
    pub connection: BTreeMap<String, String>,
    /// Variables that hold a connection's placeholder; of one name the first counts.
    pub env: Vec<EnvFrom>,
    /// What hosts without a provider are; none: not said.
    pub egress: Option<Egress>,
    /// How connections are redirected; none: not said.
    pub redirect: Option<Redirect>,
    /// Hosts that may be reached whatever `egress` says.
    pub allow: Vec<HostPort>,
    /// Addresses to dial in place of resolving.
    pub resolve: Vec<ResolveRule>,
    /// PEM files with added roots for upstream verification.
    pub upstream_ca: Vec<PathBuf>,
    /// Ports of the host's loopback to offer in the namespace.
    pub host_port: Vec<u16>,
    /// The agent's own ports to show on the host's loopback.
    pub publish: Vec<Publish>,
    /// Paths that are hidden by default and should not be.
    pub expose: Vec<PathBuf>,
    /// Further paths to hide.
    pub hide: Vec<PathBuf>,
}

/// Settings as they are carried out: one part by the daemon, one by `run`.
#[derive(Clone, Debug, Default)]
pub struct RunSettings {
    /// How connections are redirected.
    pub redirect: Redirect,
    /// For the daemon.
    pub options: RunOptions,
    /// Ports of the host's loopback to offer in the namespace.
    pub host_ports: Vec<u16>,
    /// Paths that are hidden by default and should not be; absolute.
    pub expose: Vec<PathBuf>,
    /// Further paths to hide; absolute.
    pub hide: Vec<PathBuf>,
}

/// Why settings cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of `upstream_ca` cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of `upstream_ca` holds none.
    #[error("{} holds no PEM certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
}

impl RunConfig {
    /// These settings with `flags` on top: a flag's list is put before the configured one (for rules
    /// of which the first counts, the flag does), a flag's value replaces the configured one.
    #[must_use]
    pub fn merge(self, flags: Self) -> Self {
        let mut connection = self.connection;
        connection.extend(flags.connection);
        let mut env = join(flags.env, self.env);
        let mut seen = BTreeSet::new();
        env.retain(|from| seen.insert(from.name.clone()));
        Self {
            connection,
            env,
            egress: flags.egress.or(self.egress),
            redirect: flags.redirect.or(self.redirect),
            allow: join(flags.allow, self.allow),
            resolve: join(flags.resolve, self.resolve),
            upstream_ca: join(flags.upstream_ca, self.upstream_ca),
            host_port: join(flags.host_port, self.host_port),
            publish: join(flags.publish, self.publish),
            expose: join(flags.expose, self.expose),
            hide: join(flags.hide, self.hide),
        }
    }

    /// What to carry out, certificates read by `read`.
    ///
    /// # Errors
    ///
    /// [`Error`] if a file of `upstream_ca` cannot be read or holds no certificate.
    pub fn settings(
        self,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<RunSettings, Error> {
        let upstream_ca = self
            .upstream_ca
            .iter()
            .map(|path| certificates(path, &read))
            .collect::<Result<_, _>>()?;
        Ok(RunSettings {
            redirect: self.redirect.unwrap_or_default(),
            options: RunOptions {
                connections: self.connection,
                env: self.env,
                egress: self.egress.unwrap_or_default(),
                allow: self.allow,
                resolve: self.resolve,
                upstream_ca,
                publish: self.publish,
            },
            host_ports: self.host_port,
            expose: self.expose,
            hide: self.hide,
        })
    }
}

fn join<T: PartialEq>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let mut joined: Vec<T> = Vec::with_capacity(first.len() + second.len());
    for item in first.into_iter().chain(second) {
        if !joined.contains(&item) {
            joined.push(item);
        }
    }
    joined
}

fn certificates(path: &Path, read: impl Fn(&Path) -> io::Result<String>) -> Result<String, Error> {
    let pem = read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut found = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    if found.peek().is_none() || found.any(|certificate| certificate.is_err()) {
        return Err(Error::NoCertificate { path: path.to_owned() });
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn with_ca() -> RunConfig {
        RunConfig { upstream_ca: vec!["/ca.pem".into()], ..RunConfig::default() }
    }

    #[test]
    fn a_flag_replaces_a_configured_value() {
        let config = RunConfig { egress: Some(Egress::Providers), ..RunConfig::default() };
        let flags = RunConfig { egress: Some(Egress::Open), ..RunConfig::default() };

        assert_eq!(config.merge(flags).egress, Some(Egress::Open));
    }

    #[test]
    fn a_value_no_flag_names_stays() {
        let config = RunConfig { egress: Some(Egress::Providers), ..RunConfig::default() };

        assert_eq!(config.merge(RunConfig::default()).egress, Some(Egress::Providers));
    }

    #[test]
    fn flags_extend_lists_and_come_first() {
        let config = RunConfig { host_port: vec![1, 2], ..RunConfig::default() };
        let flags = RunConfig { host_port: vec![3, 2], ..RunConfig::default() };

        assert_eq!(config.merge(flags).host_port, [3, 2, 1]);
    }

    #[test]
    fn a_flag_replaces_the_connection_of_its_provider_only() {
        let map = |pairs: &[&str]| pairs.iter().map(|p| values::connection(p).unwrap()).collect();
        let config =
            RunConfig { connection: map(&["github=home", "openai=a"]), ..RunConfig::default() };
        let flags = RunConfig { connection: map(&["github=work"]), ..RunConfig::default() };

        assert_eq!(config.merge(flags).connection, map(&["github=work", "openai=a"]));
    }

    #[test]
    fn settings_hold_the_certificates_themselves() {
        let settings = with_ca().settings(|_| Ok(PEM.to_owned())).unwrap();

        assert_eq!(settings.options.upstream_ca, [PEM]);
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let error = with_ca().settings(|_| Ok("not pem".to_owned())).unwrap_err();

        assert_eq!(error.to_string(), "/ca.pem holds no PEM certificate");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused() {
        let error = with_ca().settings(|_| Err(io::ErrorKind::NotFound.into())).unwrap_err();

        assert!(matches!(error, Error::Read { .. }));
    }

    #[test]
    fn egress_is_open_unless_someone_says_otherwise() {
        let settings = RunConfig::default().settings(|_| Ok(String::new())).unwrap();

        assert_eq!(settings.options.egress, Egress::Open);
    }
}
