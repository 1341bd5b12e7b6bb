//! The process that tries to get out, in a group of its own, before any agent does.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::Duration,
};

use super::{
    Error,
    message::User,
    verdict::{Outcome, Seen, judge, judge_confined},
};

/// First argument of a process that probes.
pub const PROBE_ARGUMENT: &str = "__pf-probe";
/// What a probe says when it is connected; an interceptor answers `authsome-probe`, the run's id and the
/// address.
pub const PROBE_QUESTION: &[u8] = b"authsome-probe?\n";

/// How long a connection to this machine may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what must be refused is waited for.
const REFUSAL: Duration = Duration::from_millis(500);
/// Longest answer.
const ANSWER: u64 = 256;

/// Proves that a group is redirected and another is not.
///
/// # Errors
/// [`Error::Probe`]
pub(super) fn prove(user: &User, usual: u32, gid: u32, run_id: &str) -> Result<(), Error> {
    let inside = look(user.uid, gid).map_err(|error| Error::Probe(error.to_string()))?;
    let outside = look(user.uid, usual).map_err(|error| Error::Probe(error.to_string()))?;
    judge(&inside, &outside, run_id).map_err(Error::Probe)
}

/// What a process of this user and group sees. It has no other groups: none is needed.
fn look(uid: u32, gid: u32) -> io::Result<Seen> {
    let output = Command::new(crate::ourselves()?)
        .arg(PROBE_ARGUMENT)
        .env_clear()
        .current_dir("/")
        .uid(uid)
        .gid(gid)
        .output()?;
    serde_json::from_slice(&output.stdout).map_err(Into::into)
}

/// Proves that a profile leaves nothing but the proxy, whose password is the run's id.
pub(crate) fn prove_confined(profile: &str, port: u16, run_id: &str) -> Result<(), Error> {
    let seen = crate::ourselves()
        .and_then(|program| {
            Command::new(crate::seatbelt::PROGRAM)
                .args(["-p", profile])
                .arg(program)
                .args([PROBE_ARGUMENT, &port.to_string(), run_id])
                .env_clear()
                .current_dir("/")
                .output()
        })
        .and_then(|output| serde_json::from_slice(&output.stdout).map_err(Into::into))
        .map_err(|error| Error::Probe(error.to_string()))?;
    judge_confined(&seen, run_id).map_err(Error::Probe)
}

/// The process itself: prints what it has seen. Arguments, if any, are a proxy's port and password.
#[must_use]
pub fn probe_main() -> ExitCode {
    let mut arguments = std::env::args().skip(2);
    let proxy = arguments.next().and_then(|port| port.parse().ok()).zip(arguments.next());
    let seen = Seen {
        tcp: tcp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), PATIENCE),
        tcp6: tcp(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), REFUSAL),
        udp: udp().unwrap_or_else(|error| failed(&error)),
        proxied: proxy.map(|(port, password)| proxied(port, &password)),
    };
    let printed = serde_json::to_vec(&seen)
        .map_err(io::Error::from)
        .and_then(|line| io::stdout().lock().write_all(&line));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tcp(address: IpAddr, patience: Duration) -> Outcome {
    ask(SocketAddr::new(address, 443), patience, PROBE_QUESTION)
}

fn ask(address: SocketAddr, patience: Duration, question: &[u8]) -> Outcome {
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(question)?;
        let mut answer = String::new();
        stream.take(ANSWER).read_to_string(&mut answer).map(|_| answer)
    };
    answer().map_or_else(|error| failed(&error), Outcome::Answered)
}

fn proxied(port: u16, password: &str) -> Outcome {
    let credentials = base64(format!("run:{password}").as_bytes());
    let question = format!(
        "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\
         Proxy-Authorization: Basic {credentials}\r\n\r\n"
    );
    ask(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), PATIENCE, question.as_bytes())
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter =
                LETTERS.get(word >> (18 - 6 * place) & 63).filter(|_| place <= chunk.len());
            text.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    text
}

/// A refusal of the filter comes from the first send, or, as an ICMP message, from what follows it.
fn udp() -> io::Result<Outcome> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(REFUSAL))?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 443))?;
    socket.send(b"authsome")?;
    socket.recv(&mut [0; 16]).map(|_| Outcome::Answered(String::new()))
}

fn failed(error: &io::Error) -> Outcome {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut, WouldBlock};
    let kind = error.kind();
    if matches!(kind, NetworkUnreachable | HostUnreachable) {
        Outcome::Unreachable
    } else if matches!(kind, TimedOut | WouldBlock) {
        Outcome::Silence
    } else {
        Outcome::Refused
    }
}
