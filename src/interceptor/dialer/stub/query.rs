//! One question to one server.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream as StdStream, UdpSocket as StdSocket},
    sync::Arc,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, UdpSocket},
};

use super::super::SocketSource;

/// What we say we can take over UDP; the DNS flag day's value.
const UDP_PAYLOAD: u16 = 1232;

/// The addresses of one kind that `server` knows for `name`; none if there are none.
///
/// # Errors
/// The network's, or the server has no answer.
pub(super) async fn ask(
    source: &Arc<dyn SocketSource>,
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> io::Result<Vec<IpAddr>> {
    let question = question(name, kind)?;
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let answer = by_udp(source, server, &question, &bytes).await?;
    let answer = if answer.metadata.truncation {
        by_tcp(source, server, &question, &bytes).await?
    } else {
        answer
    };
    let code = answer.metadata.response_code;
    if matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        Ok(addresses(&answer, kind))
    } else {
        Err(io::Error::other(format!("the name server answers {code}")))
    }
}

fn question(name: &Name, kind: RecordType) -> io::Result<Message> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let mut message = Message::new(u16::from_ne_bytes(id), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    message.set_edns(edns);
    Ok(message)
}

async fn by_udp(
    source: &Arc<dyn SocketSource>,
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
) -> io::Result<Message> {
    let socket = UdpSocket::from_std(StdSocket::from(source.udp(server.is_ipv6()).await?))?;
    // Connected: nobody else's datagram comes in, and the port is one of many.
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = Message::from_vec(buffer.get(..length).unwrap_or_default());
        // A forged one is passed over: the real one may still come.
        if let Some(answer) = answer.ok().filter(|answer| answers(answer, question)) {
            return Ok(answer);
        }
    }
}

async fn by_tcp(
    source: &Arc<dyn SocketSource>,
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
) -> io::Result<Message> {
    let socket = source.tcp(server.is_ipv6()).await?;
    let mut stream = TcpSocket::from_std_stream(StdStream::from(socket)).connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(io::Error::other)?;
    if answers(&answer, question) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn answers(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == question.queries
}

/// Of the kind that was asked for, whatever names they are at the end of: an alias is followed by the
/// server, not by us.
fn addresses(answer: &Message, kind: RecordType) -> Vec<IpAddr> {
    let of_kind = answer.answers.iter().filter(|record| record.record_type() == kind);
    of_kind.filter_map(|record| record.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{RData, Record, rdata};

    use super::*;

    fn asked() -> Message {
        question(&Name::from_ascii("a.test.").unwrap(), RecordType::A).unwrap()
    }

    fn answered(question: &Message) -> Message {
        let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        answer.add_query(question.queries[0].clone());
        let data = RData::A(rdata::A::new(10, 0, 0, 1));
        answer.add_answer(Record::from_rdata(Name::from_ascii("b.test.").unwrap(), 60, data));
        answer
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let question = asked();
        assert!(answers(&answered(&question), &question));
        let mut other = answered(&question);
        other.metadata.id = other.metadata.id.wrapping_add(1);
        assert!(!answers(&other, &question));
        assert!(!answers(&question, &question));
    }

    #[test]
    fn what_an_alias_leads_to_counts() {
        let found = addresses(&answered(&asked()), RecordType::A);
        assert_eq!(found, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(addresses(&answered(&asked()), RecordType::AAAA).is_empty());
    }
}
