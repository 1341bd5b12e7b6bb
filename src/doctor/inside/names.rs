//! Names: whichever server is asked, the run's responder answers.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, Query},
    rr::{Name, RData, RecordType},
};

use crate::{doctor::Finding, interceptor::dns::PROBE_NAME};

/// For each answer.
const ANSWER: Duration = Duration::from_secs(5);
const PORT: u16 = 53;
const MEND: &str = "authsome daemon stop, then try again";

/// Asks each of `resolvers`, and those of `/etc/resolv.conf`, over UDP and TCP.
pub(super) fn check(resolvers: &[IpAddr]) -> Finding {
    let mut asked = resolvers.to_vec();
    asked.extend(configured(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()));
    asked.sort_unstable();
    asked.dedup();
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        asked.retain(IpAddr::is_ipv4);
    }
    let mut wrong = Vec::new();
    for ip in &asked {
        let address = SocketAddr::new(*ip, PORT);
        for (transport, outcome) in [("UDP", by_udp(address)), ("TCP", by_tcp(address))] {
            if let Err(error) = outcome {
                wrong.push(format!("{ip} over {transport}: {error}"));
            }
        }
    }
    let good = format!("{} servers asked over UDP and TCP, all answers are ours", asked.len());
    Finding::unless("DNS", &wrong, good, MEND)
}

/// The servers that a `resolv.conf(5)` names, zones left out.
fn configured(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let address = line.strip_prefix("nameserver")?.trim();
        address.split('%').next()?.parse().ok()
    })
}

fn by_udp(server: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match server.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    // Connected, so that only an answer from the address that was asked counts.
    socket.connect(server)?;
    let (id, query) = query()?;
    socket.send(&query)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    is_ours(answer.get(..length).unwrap_or_default(), id)
}

fn by_tcp(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let (id, query) = query()?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    is_ours(&answer, id)
}

fn query() -> io::Result<(u16, Vec<u8>)> {
    let [low, high, ..] = RandomState::new().hash_one(PROBE_NAME).to_ne_bytes();
    let id = u16::from_ne_bytes([low, high]);
    let mut name = Name::from_ascii(PROBE_NAME).map_err(io::Error::other)?;
    name.set_fqdn(true);
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::A));
    Ok((id, message.to_vec().map_err(io::Error::other)?))
}

/// Is there a synthetic address (198.18.0.0/15, RFC 2544) in the answer?
fn is_ours(answer: &[u8], id: u16) -> io::Result<()> {
    let message = Message::from_vec(answer).map_err(io::Error::other)?;
    let is_synthetic = |data: &RData| matches!(data, RData::A(address) if matches!(address.0.octets(), [198, 18 | 19, ..]));
    let synthetic = message.answers.iter().any(|record| is_synthetic(&record.data));
    if message.metadata.id == id && synthetic {
        Ok(())
    } else {
        Err(io::Error::other("somebody else answered"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_a_resolv_conf_are_found() {
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\n";
        let found: Vec<IpAddr> = configured(text).collect();
        assert_eq!(found, ["10.0.0.2".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
    }

    #[test]
    fn a_query_is_no_answer() {
        let (id, query) = query().unwrap();
        assert!(is_ours(&query, id).is_err());
    }
}
