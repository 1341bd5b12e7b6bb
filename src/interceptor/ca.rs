//! A run's certificate authority: one root per run, one leaf per name.
//!
//! The root's key exists in memory only, here and in the `run` that made it. Leaves have keys of their
//! own and random serials, do not outlive the root, and are made when a name is first asked for. A
//! name that cannot be put into a certificate is an error, never another name's certificate.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ProducesTickets, ResolvesServerCert},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};

/// How long a run's root is good for. A run that lasts longer has to be started again.
const CA_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// Every run's root has this name (and a key of its own, which is what tells them apart), so that the
/// file name under which OpenSSL looks for it is known.
const CA_NAME: &str = "authsome run CA";
/// `openssl x509 -hash` of that name: eight hexadecimal digits.
pub const CA_SUBJECT_HASH: &str = "8c0f0439";
/// How long a leaf is good for, at most.
const LEAF_LIFETIME: Duration = Duration::from_secs(2 * 24 * 3600);
/// How far the clocks of two machines (or of a container and its host) may differ.
const SKEW: Duration = Duration::from_secs(24 * 3600);
/// Leaves kept. More names than a run will ever meet; a bound against an agent that invents them.
const CAPACITY: usize = 4096;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate or the key could not be made.
    #[error("the run's certificate could not be made")]
    Generate(#[from] rcgen::Error),
    /// The certificate handed over is not one.
    #[error("the run's certificate cannot be read")]
    Certificate,
    /// The key handed over is not one.
    #[error("the run's key cannot be read")]
    Key(#[source] rcgen::Error),
    /// The run's root is too old.
    #[error("the run's certificate has expired")]
    Expired,
    /// The TLS library refused what was made.
    #[error("the TLS configuration was refused")]
    Tls(#[from] rustls::Error),
    /// There is no randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// Makes certificates for one run.
pub struct RunCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: SystemTime,
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
    leaves: Mutex<HashMap<Arc<str>, Arc<Leaf>>>,
}

/// What one name is served with.
#[derive(Debug)]
struct Leaf {
    key: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
    until: SystemTime,
}

impl fmt::Debug for RunCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCa").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl RunCa {
    /// Makes a root for one run: certificate and PKCS#8 key, both PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Generate`] or [`Error::Random`]; neither happens on a working system.
    pub fn generate() -> Result<(String, SecretString), Error> {
        Self::generate_for(CA_LIFETIME)
    }

    /// The same for a run that may last this long.
    ///
    /// # Errors
    ///
    /// As [`RunCa::generate`].
    pub fn generate_for(lifetime: Duration) -> Result<(String, SecretString), Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(CA_NAME, SystemTime::now() + lifetime)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok((certificate.pem(), SecretString::from(key.serialize_pem())))
    }

    /// Takes up what [`RunCa::generate`] made.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`], [`Error::Key`] or [`Error::Expired`].
    pub fn from_pem(certificate: &str, key: &SecretString) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key.expose_secret()).map_err(Error::Key)?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| Error::Certificate)?;
        let not_after = not_after(&certificate).ok_or(Error::Certificate)?;
        if not_after <= SystemTime::now() {
            return Err(Error::Expired);
        }
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            certificate,
            not_after,
            provider: Arc::new(ring::default_provider()),
            tickets: ring::Ticketer::new()?,
            leaves: Mutex::default(),
        })
    }

    /// Until when it is good.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The root's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What to serve `name` with: its certificate, both HTTP versions, session tickets.
    pub(super) fn config(&self, name: &Arc<str>) -> Result<Arc<ServerConfig>, Error> {
        self.leaf(name).map(|leaf| Arc::clone(&leaf.config))
    }

    /// Made under the lock, so that a burst of connections to one name makes one certificate.
    fn leaf(&self, name: &Arc<str>) -> Result<Arc<Leaf>, Error> {
        let now = SystemTime::now();
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(name).filter(|leaf| leaf.until > now) {
            return Ok(Arc::clone(leaf));
        }
        if self.not_after <= now {
            return Err(Error::Expired);
        }
        if leaves.len() >= CAPACITY {
            leaves.clear();
        }
        let leaf = Arc::new(self.mint(name, now)?);
        leaves.insert(Arc::clone(name), Arc::clone(&leaf));
        Ok(leaf)
    }

    fn mint(&self, name: &str, now: SystemTime) -> Result<Leaf, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let not_after = (now + LEAF_LIFETIME).min(self.not_after);
        // A common name has room for 64 characters; the alternative name is what counts.
        let mut params = params(if name.len() <= 64 { name } else { "authsome" }, not_after)?;
        params.subject_alt_names = vec![match name.parse::<IpAddr>() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => SanType::DnsName(name.try_into()?),
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = Arc::new(CertifiedKey::from_der(
            // The root is in every client's store already; sending it would be waste.
            vec![certificate.der().clone()],
            der,
            &self.provider,
        )?);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&key))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Arc::clone(&self.tickets);
        // Renewed while it is still good for a client whose clock is behind.
        let until = now + not_after.duration_since(now).unwrap_or_default() / 2;
        Ok(Leaf { key, config: Arc::new(config), until })
    }
}

impl ResolvesServerCert for RunCa {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name: Arc<str> = hello.server_name()?.to_ascii_lowercase().into();
        self.leaf(&name).ok().map(|leaf| Arc::clone(&leaf.key))
    }
}

/// What root and leaves have in common.
fn params(common_name: &str, not_after: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(serial()?);
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(SystemTime::now() - SKEW);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(not_after);
    Ok(params)
}

/// 127 random bits: positive, and never zero (RFC 5280 §4.1.2.2).
fn serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    let [first, ..] = &mut bytes;
    *first = (*first & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Whole seconds: certificates know no others.
fn since_epoch(time: SystemTime) -> Duration {
    Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::*;

    use super::*;

    fn ca() -> RunCa {
        let (certificate, key) = RunCa::generate().unwrap();
        RunCa::from_pem(&certificate, &key).unwrap()
    }

    fn leaf(ca: &RunCa, name: &str) -> CertificateDer<'static> {
        ca.leaf(&name.into()).unwrap().key.cert[0].clone()
    }

    fn parse<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
        parse_x509_certificate(der).unwrap().1
    }

    #[test]
    fn the_root_may_sign_leaves_only_and_says_whose_it_is() {
        let ca = ca();
        let root = parse(&ca.certificate);

        let basic = root.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca);
        assert_eq!(basic.value.path_len_constraint, Some(0));
        assert!(root.key_usage().unwrap().unwrap().value.key_cert_sign());
        assert!(root.subject().to_string().contains(CA_NAME));
        let days = (root.validity().not_after.timestamp() - root.validity().not_before.timestamp())
            / 86_400;
        assert!(days < 30, "{days}");
    }

    #[test]
    fn a_leaf_is_good_for_its_name_as_a_server_and_for_no_longer_than_the_root() {
        let ca = ca();
        let der = leaf(&ca, "api.test");
        let (leaf, root) = (parse(&der), parse(&ca.certificate));

        let san = leaf.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(san.general_names, [GeneralName::DNSName("api.test")]);
        assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
        assert!(leaf.validity().not_after <= root.validity().not_after);
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let begins = leaf.validity().not_before.timestamp();
        assert!(u64::try_from(begins).unwrap() <= since_epoch(hour_ago).as_secs());
        assert!(leaf.extensions().iter().any(|extension| matches!(
            extension.parsed_extension(),
            ParsedExtension::AuthorityKeyIdentifier(_)
        )));
        leaf.verify_signature(Some(root.public_key())).unwrap();
    }

    #[test]
    fn an_address_gets_an_address_in_its_leaf() {
        let der = leaf(&ca(), "192.0.2.7");

        let found = parse(&der).subject_alternative_name().unwrap().unwrap().value.clone();

        assert_eq!(found.general_names, [GeneralName::IPAddress(&[192, 0, 2, 7])]);
    }

    #[test]
    fn leaves_are_made_once_per_name_and_differ_in_serial_and_key() {
        let ca = ca();
        let (one, again, other) = (leaf(&ca, "a.test"), leaf(&ca, "a.test"), leaf(&ca, "b.test"));

        assert_eq!(one, again);
        let (one, other) = (parse(&one), parse(&other));
        assert_ne!(one.raw_serial(), other.raw_serial());
        assert_ne!(one.public_key().raw, other.public_key().raw);
    }

    #[test]
    fn a_name_that_is_none_gets_no_certificate() {
        assert!(ca().leaf(&"bücher.test".into()).is_err());
    }

    #[test]
    fn a_daemon_that_comes_back_signs_for_the_same_root() {
        let (certificate, key) = RunCa::generate().unwrap();
        let (first, second) = (
            RunCa::from_pem(&certificate, &key).unwrap(),
            RunCa::from_pem(&certificate, &key).unwrap(),
        );

        let der = leaf(&second, "a.test");

        parse(&der).verify_signature(Some(parse(&first.certificate).public_key())).unwrap();
    }

    #[test]
    fn debug_output_shows_no_key() {
        let (certificate, key) = RunCa::generate().unwrap();
        let shown = format!("{:?}", RunCa::from_pem(&certificate, &key).unwrap());

        assert!(!shown.contains("PRIVATE") && shown.len() < 200, "{shown}");
    }
}
