//! Whom the interceptor believes, and how it gets out: roots, the clock their dates are compared with, the
//! user's own proxy.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::{parse_x509_certificate, time::ASN1Time};

use crate::{doctor::Finding, interceptor::UpstreamProxy, runner::proxy_variables};

/// For a proxy to take a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// What clocks may differ by.
const SLACK: Duration = Duration::from_secs(24 * 3600);
const SET_CLOCK: &str = "sudo timedatectl set-ntp true, or set it with date(1)";

pub(super) fn checks() -> Vec<Finding> {
    let found = rustls_native_certs::load_native_certs().certs;
    let made = fs::metadata("/proc/self/exe").and_then(|file| file.modified()).ok();
    vec![roots(found.len()), clock(&found, SystemTime::now(), made), proxy()]
}

/// The variables are the daemon's as well: it takes them over from whoever starts it.
fn roots(count: usize) -> Finding {
    const NAME: &str = "system roots";
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { continue };
        if env::split_paths(&value).all(|path| !path.exists()) {
            return Finding::fail(
                NAME,
                format!("{name} names {}, which does not exist", Path::new(&value).display()),
                Some(format!("unset {name}; authsome daemon stop")),
            );
        }
    }
    if count == 0 {
        let detail = "no root certificate is found: no server can be verified";
        return Finding::fail(NAME, detail, Some(install_roots()));
    }
    Finding::ok(NAME, format!("{count} certificates"))
}

/// The command of this distribution.
fn install_roots() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let of = |word: &str| {
        release
            .lines()
            .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
            .any(|line| line.contains(word))
    };
    let command = if of("fedora") || of("rhel") {
        "sudo dnf reinstall ca-certificates && sudo update-ca-trust"
    } else if of("suse") {
        "sudo zypper install --force ca-certificates-mozilla"
    } else if of("alpine") {
        "apk add ca-certificates"
    } else if of("arch") {
        "sudo pacman -S ca-certificates && sudo update-ca-trust"
    } else {
        "sudo apt-get install --reinstall ca-certificates && sudo update-ca-certificates"
    };
    format!("{command}; authsome daemon stop")
}

/// Without a network the roots themselves tell: most of them are valid at any time in these decades.
fn clock(roots: &[CertificateDer<'_>], now: SystemTime, made: Option<SystemTime>) -> Finding {
    const NAME: &str = "clock";
    let shown = Timestamp::try_from(now).map(|time| format!("{time:.0}")).unwrap_or_default();
    let fail =
        |why: &str| Finding::fail(NAME, format!("{shown} {why}"), Some(SET_CLOCK.to_owned()));
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let Ok(time) = ASN1Time::from_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)) else {
        return fail("which certificates cannot say");
    };
    let (mut early, mut late) = (0_usize, 0_usize);
    for root in roots {
        let Ok((_, root)) = parse_x509_certificate(root) else { continue };
        early += usize::from(time < root.validity().not_before);
        late += usize::from(time > root.validity().not_after);
    }
    if made.is_some_and(|made| now.checked_add(SLACK).is_some_and(|latest| latest < made)) {
        fail("is before this program was made: it is behind")
    } else if early * 2 > roots.len() {
        fail("is before most root certificates begin: it is behind")
    } else if late * 2 > roots.len() {
        fail("is after most root certificates end: it is ahead")
    } else {
        Finding::ok(NAME, shown)
    }
}

fn proxy() -> Finding {
    const NAME: &str = "proxy";
    let variables = proxy_variables(&env::vars_os().collect::<BTreeMap<_, _>>());
    let proxy = match UpstreamProxy::from_env(&variables) {
        Ok(proxy) => proxy,
        Err(error) => {
            return Finding::fail(NAME, error.to_string(), Some("correct or unset it".to_owned()));
        }
    };
    let Some((host, port)) = proxy.address() else {
        return Finding::ok(NAME, "none: hosts are dialled directly");
    };
    let connected = (host, port).to_socket_addrs().and_then(|mut addresses| {
        addresses
            .find(|address| TcpStream::connect_timeout(address, PATIENCE).is_ok())
            .ok_or_else(|| std::io::Error::other("it takes no connection"))
    });
    match connected {
        Ok(_) => Finding::ok(NAME, format!("{host}:{port} takes connections")),
        Err(error) => Finding::fail(
            NAME,
            format!("HTTPS_PROXY or ALL_PROXY names {host}:{port}, which cannot be used: {error}"),
            Some(
                "start the proxy, or unset HTTPS_PROXY ALL_PROXY https_proxy all_proxy".to_owned(),
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::doctor::State;

    fn root() -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2010, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn at(year: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_557_600)
    }

    #[test]
    fn a_clock_outside_of_the_roots_dates_is_wrong_in_its_direction() {
        let roots = [root()];
        let said = |year| clock(&roots, at(year), None);
        assert_eq!(said(2026).state, State::Ok);
        assert!(said(2001).detail.contains("behind"));
        assert!(said(2045).detail.contains("ahead"));
    }

    #[test]
    fn a_clock_before_the_program_was_made_is_behind() {
        assert!(clock(&[], at(2020), Some(at(2026))).detail.contains("behind"));
        assert_eq!(clock(&[], at(2026), Some(at(2020))).state, State::Ok);
    }
}
