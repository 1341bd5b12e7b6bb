//! Over real sockets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Mutex,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use http::request::Parts;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use super::*;
use crate::gate::{Admission, BoxFuture, Record, RequestFacts, Ruling, Target, Verdict};

/// Remembers the names it is told.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<(String, SocketAddr)>>);

impl Gate for Names {
    fn admit(&self, _: &Target, _: bool) -> Ruling<Admission> {
        Admission::Splice.into()
    }

    fn authorize<'a>(
        &'a self,
        _: &'a RequestFacts,
        _: &'a Parts,
    ) -> BoxFuture<'a, Ruling<Verdict>> {
        Box::pin(async { Verdict::Forward.into() })
    }

    fn record(&self, _: Record) {}

    fn named(&self, name: &str, address: SocketAddr) {
        self.0.lock().unwrap().push((name.to_owned(), address));
    }
}

fn table() -> Arc<NameTable> {
    Arc::new(NameTable::new(BTreeMap::new()))
}

fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

/// A socket as it is made inside a namespace, but on any port.
fn udp_socket() -> UdpSocket {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    socket.into()
}

/// Asks at each address. A connected socket takes replies from that address only.
async fn ask_at(addresses: &[&str]) {
    let socket = udp_socket();
    let port = socket.local_addr().unwrap().port();
    let server = serve_udp(socket, table(), Arc::new(Names::default()));
    let talk = async {
        for address in addresses {
            let address: IpAddr = address.parse().unwrap();
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = tokio::net::UdpSocket::bind(any).await.unwrap();
            client.connect((address, port)).await.unwrap();
            client.send(b"no dns").await.unwrap();
            client.send(&query(7, "a.example.")).await.unwrap();
            let mut reply = [0; 512];
            let receiving = timeout(Duration::from_secs(5), client.recv(&mut reply)).await;
            let len = receiving.unwrap_or_else(|_| panic!("no reply from {address}")).unwrap();
            let reply = Message::from_vec(&reply[..len]).unwrap();
            assert_eq!((reply.metadata.id, reply.answers.len()), (7, 1), "{address}");
        }
    };
    tokio::select! {
        result = server => panic!("the server ended: {result:?}"),
        () = talk => {}
    }
}

#[tokio::test]
async fn a_udp_reply_comes_from_the_address_that_was_asked() {
    ask_at(&["127.0.0.1", "127.0.0.53", "127.1.2.3", "::1", "::ffff:127.0.0.9"]).await;
}

#[tokio::test]
async fn the_gate_is_told_each_new_name_once() {
    let gate = Names::default();
    let names = table();
    for name in ["a.example.", "A.example.", "b.example."] {
        reply(&query(1, name), &names, &gate).unwrap();
    }
    let told = gate.0.into_inner().unwrap();
    let address = |name| SocketAddr::from((names.address_of(name).unwrap().0, 0));
    assert_eq!(told, ["a.example", "b.example"].map(|name| (name.to_owned(), address(name))));
}

/// What comes back on one connection for what is sent on it.
async fn tcp(input: &[u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = serve_tcp(listener, table(), Arc::new(Names::default()));
    let talk = async {
        client.write_all(input).await.unwrap();
        client.shutdown().await.unwrap();
        let mut output = Vec::new();
        // A connection closed with queries unread is reset.
        let _end = client.read_to_end(&mut output).await;
        output
    };
    tokio::select! {
        result = server => panic!("the server ended: {result:?}"),
        output = talk => output
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

#[tokio::test]
async fn one_tcp_connection_takes_many_queries() {
    let input: Vec<u8> = (0..20).flat_map(|id| framed(&query(id, "a.example."))).collect();
    let output = tcp(&input).await;
    let mut rest = output.as_slice();
    let mut ids = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (message, after) = after.split_at(u16::from_be_bytes(*len).into());
        ids.push(Message::from_vec(message).unwrap().metadata.id);
        rest = after;
    }
    assert_eq!(ids, (0..20).collect::<Vec<u16>>());
}

#[tokio::test]
async fn a_tcp_connection_that_sends_no_query_is_closed() {
    for input in [&b"\0\0"[..], b"\0\x05abcde", b"\xff\xff"] {
        let followed = [input, &framed(&query(1, "a.example."))].concat();
        assert_eq!(tcp(&followed).await, b"", "{input:?}");
    }
}

#[tokio::test]
async fn a_query_cut_off_by_the_end_is_not_answered() {
    for input in [&b"\0"[..], b"\0\x05abc"] {
        assert_eq!(tcp(input).await, b"", "{input:?}");
    }
}
