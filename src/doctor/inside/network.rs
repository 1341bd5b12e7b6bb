//! Ways out by the network: all TCP arrives at the interceptor, all UDP but names is refused, and nothing
//! reaches the host.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use super::BROKEN;
use crate::doctor::{Finding, Questions};

/// For an answer of the interceptor's.
const ANSWER: Duration = Duration::from_secs(5);
/// The kernel refuses a datagram before `send` returns.
const REFUSAL: Duration = Duration::from_secs(1);
/// How: for want of a listener, or as prohibited, which ICMP and ICMPv6 report differently.
const REFUSED: [io::ErrorKind; 3] = [
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::PermissionDenied,
];
/// No answer to a probe is longer.
const LONGEST: u64 = 1024;

/// Documentation addresses (RFC 5737, RFC 3849): nobody has them, so who answers is the interceptor.
const OUTSIDE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OUTSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const HTTPS: u16 = 443;
/// Ports that no rule mentions: SSH, an alternative of HTTPS, one of the dynamic range.
const OTHER_PORTS: [u16; 3] = [22, 8443, 50_000];
/// UDP that programs use: NTP, STUN, WireGuard.
const OTHER_UDP: [u16; 3] = [123, 3478, 51_820];

/// Metadata services of clouds, over HTTP: most of them, and EC2's over IPv6.
const METADATA_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const METADATA_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

pub(super) fn checks(questions: &Questions, run: &str) -> Vec<Finding> {
    let ipv6 = has_ipv6();
    let mut checks = vec![redirected("IPv4 to 443", OUTSIDE_V4, run)];
    checks.push(if ipv6 {
        redirected("IPv6 to 443", OUTSIDE_V6, run)
    } else {
        Finding::ok("IPv6 to 443", "there is no IPv6 here: no way out by it")
    });
    checks.push(other_ports(run));
    checks.push(datagrams("QUIC", &[HTTPS], ipv6));
    checks.push(datagrams("other UDP", &OTHER_UDP, false));
    checks.push(interfaces());
    checks.push(host_datagrams(&questions.own));
    checks.push(metadata(ipv6));
    checks.push(loopback(&questions.loopback));
    checks
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn redirected(name: &'static str, ip: IpAddr, run: &str) -> Finding {
    let address = SocketAddr::new(ip, HTTPS);
    match greeting(address, run) {
        Ok(()) => Finding::ok(name, format!("{address} arrives at the interceptor")),
        Err(error) => Finding::fail(
            name,
            format!("{address} does not arrive at the interceptor: {error}"),
            Some("authsome daemon stop, then try again".to_owned()),
        ),
    }
}

/// Ports without a listener: to the interceptor as well, or refused where the kernel cannot redirect.
fn other_ports(run: &str) -> Finding {
    let (mut wrong, mut refused) = (Vec::new(), false);
    for port in OTHER_PORTS {
        let address = SocketAddr::new(OUTSIDE_V4, port);
        match greeting(address, run) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused = true,
            Err(error) => wrong.push(format!("{address}: {error}")),
        }
    }
    let good = if refused { "refused" } else { "arrive at the interceptor" };
    Finding::unless("other TCP ports", &wrong, good, BROKEN)
}

fn greeting(address: SocketAddr, run: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut answer = Vec::new();
    (&mut stream).take(LONGEST).read_to_end(&mut answer)?;
    if answer == format!("authsome-probe {run} {}\n", address.ip()).as_bytes() {
        Ok(())
    } else {
        Err(io::Error::other("something else answered"))
    }
}

fn datagrams(name: &'static str, ports: &[u16], ipv6: bool) -> Finding {
    let mut wrong = Vec::new();
    for port in ports {
        for ip in [OUTSIDE_V4].into_iter().chain(ipv6.then_some(OUTSIDE_V6)) {
            let address = SocketAddr::new(ip, *port);
            if let Err(what) = refused(address) {
                wrong.push(format!("{address}: {what}"));
            }
        }
    }
    Finding::unless(name, &wrong, "refused at once", BROKEN)
}

/// Is a datagram refused, as it must be? The sender meets it in `send` or in what follows.
fn refused(address: SocketAddr) -> Result<(), String> {
    let any: IpAddr = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let attempt = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(REFUSAL))?;
        socket.connect(address)?;
        socket.send(b"authsome")?;
        socket.recv(&mut [0])
    };
    match attempt() {
        Ok(_) => Err("was answered".to_owned()),
        Err(error) if REFUSED.contains(&error.kind()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err("was sent".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn interfaces() -> Finding {
    const NAME: &str = "network interfaces";
    let found = match getifaddrs() {
        Ok(found) => found,
        Err(error) => return Finding::fail(NAME, error.to_string(), Some(BROKEN.to_owned())),
    };
    let mut wrong: Vec<String> = found
        .filter(|interface| {
            interface.flags.contains(InterfaceFlags::IFF_UP)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        })
        .map(|interface| interface.interface_name)
        .collect();
    wrong.dedup();
    Finding::unless(NAME, &wrong, "lo and no other", BROKEN)
}

/// Whether they arrived, the other half says; here they must be refused.
fn host_datagrams(own: &[SocketAddr]) -> Finding {
    let wrong: Vec<String> = own
        .iter()
        .filter_map(|address| refused(*address).err().map(|what| format!("{address}: {what}")))
        .collect();
    Finding::unless("host's addresses", &wrong, "no datagram gets there", BROKEN)
}

fn metadata(ipv6: bool) -> Finding {
    let services = [METADATA_V4].into_iter().chain(ipv6.then_some(METADATA_V6));
    let wrong: Vec<String> = services
        .map(|ip| SocketAddr::new(ip, 80))
        .filter(|address| answers_http(*address))
        .map(|address| format!("{address} answers"))
        .collect();
    Finding::unless("cloud metadata", &wrong, "refused", BROKEN)
}

fn answers_http(address: SocketAddr) -> bool {
    let attempt = || {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0])
    };
    matches!(attempt(), Ok(count) if count > 0)
}

fn loopback(listening: &[SocketAddr]) -> Finding {
    let wrong: Vec<String> = listening
        .iter()
        .filter(|address| TcpStream::connect_timeout(address, ANSWER).is_ok())
        .map(|address| format!("{address} is reached"))
        .collect();
    Finding::unless("host's loopback", &wrong, "out of reach", BROKEN)
}
