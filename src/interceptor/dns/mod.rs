//! The run's DNS responder: every name gets a synthetic address, and no query leaves the machine.
//!
//! [`answer`] is the whole protocol as a pure function; [`serve_udp`] and [`serve_tcp`] carry its
//! messages. Nothing is resolved here: the interceptor resolves a name when it dials, after the
//! connection was allowed. AAAA, HTTPS and SVCB exist with no data, so that clients settle for the
//! IPv4 address at once and never learn of ECH or HTTP/3. What cannot be answered from the name table
//! is refused, which resolver libraries report at once.

mod serve;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR},
    },
};

use super::names::{self, NameTable};

pub use serve::{serve_tcp, serve_udp};

/// The one name under `.invalid` (RFC 6761) that resolves. It asks, from inside the namespace and
/// before the agent starts, whether lookups arrive here.
pub const PROBE_NAME: &str = "probe.authsome.invalid";

/// Seconds a client may keep an answer. Short, although an address is stable for the run: a cache
/// may outlive the run.
const TTL: u32 = 60;
/// What we say we can take over UDP; the DNS flag day's value.
const UDP_PAYLOAD: u16 = 1232;
/// What may be asked about a host. All but the first have no data.
const HOST_TYPES: [RecordType; 4] =
    [RecordType::A, RecordType::AAAA, RecordType::HTTPS, RecordType::SVCB];
/// Length of a message header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// A reply to one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The message, without TCP's length prefix. Never longer than 512 bytes: no reply is truncated.
    pub bytes: Vec<u8>,
    /// The name that was given an address by this query.
    pub new_name: Option<(Arc<str>, Ipv4Addr)>,
}

/// The reply to `query`, or none if it is not a query at all: replying to a reply could start a loop.
pub fn answer(query: &[u8], names: &NameTable) -> Option<Answer> {
    let header = query.first_chunk::<HEADER>()?;
    let [_, _, flags, ..] = *header;
    if flags & 0x80 != 0 {
        return None;
    }
    let Ok(request) = Message::from_vec(query) else {
        return Some(Answer { bytes: format_error(header), new_name: None });
    };
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&request.metadata);
    reply.metadata.recursion_available = true;
    let outcome = respond(&request, &mut reply, names);
    reply.metadata.response_code = outcome.code;
    match reply.to_vec() {
        Ok(bytes) => Some(Answer { bytes, new_name: outcome.new_name }),
        Err(_) => Some(Answer { bytes: format_error(header), new_name: None }),
    }
}

/// A response code, and the name that got an address on the way to it.
struct Outcome {
    code: ResponseCode,
    new_name: Option<(Arc<str>, Ipv4Addr)>,
}

impl From<ResponseCode> for Outcome {
    fn from(code: ResponseCode) -> Self {
        Self { code, new_name: None }
    }
}

/// A header with FORMERR and nothing else, for what cannot be read any further.
fn format_error(&[id_high, id_low, flags, ..]: &[u8; HEADER]) -> Vec<u8> {
    let opcode_and_rd = flags & 0x79;
    vec![id_high, id_low, 0x80 | opcode_and_rd, 0x80 | 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn respond(request: &Message, reply: &mut Message, names: &NameTable) -> Outcome {
    if let Some(edns) = &request.edns {
        let mut ours = Edns::new();
        // RFC 3225 §3: the DO bit comes back as it was sent, signatures or not.
        ours.set_max_payload(UDP_PAYLOAD).set_dnssec_ok(edns.flags().dnssec_ok);
        if edns.version() != 0 {
            ours.set_rcode_high(ResponseCode::BADVERS.high());
            reply.set_edns(ours);
            return ResponseCode::BADVERS.into();
        }
        reply.set_edns(ours);
    }
    if request.metadata.message_type != MessageType::Query {
        return ResponseCode::FormErr.into();
    }
    if request.metadata.op_code != OpCode::Query {
        return ResponseCode::NotImp.into();
    }
    let [question] = request.queries.as_slice() else {
        return ResponseCode::FormErr.into();
    };
    reply.add_query(question.clone());
    if question.query_class() != DNSClass::IN {
        return ResponseCode::Refused.into();
    }
    let kind = question.query_type();
    if kind == RecordType::PTR {
        pointer(question, reply, names)
    } else if HOST_TYPES.contains(&kind) {
        host(question, reply, names)
    } else {
        ResponseCode::Refused.into()
    }
}

/// A question about a host: its IPv4 address, or that it has none of the rest.
fn host(question: &Query, reply: &mut Message, names: &NameTable) -> Outcome {
    let Some(name) = host_name(question.name()) else {
        return ResponseCode::NXDomain.into();
    };
    let kind = question.query_type();
    let local = is_or_under(&name, "localhost");
    if is_or_under(&name, "invalid") && name != PROBE_NAME {
        return ResponseCode::NXDomain.into();
    }
    let mut outcome = Outcome::from(ResponseCode::NoError);
    let data = if kind == RecordType::A && local {
        RData::A(A(Ipv4Addr::LOCALHOST))
    } else if kind == RecordType::AAAA && local {
        RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))
    } else if kind == RecordType::A {
        let Some((address, new)) = names.address_of(&name) else {
            return ResponseCode::ServFail.into();
        };
        outcome.new_name = new.then(|| (Arc::from(name), address));
        RData::A(A(address))
    } else {
        return outcome;
    };
    reply.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
    outcome
}

/// A question about an address: the name it was given.
fn pointer(question: &Query, reply: &mut Message, names: &NameTable) -> Outcome {
    let name = reversed_address(question.name())
        .and_then(|address| {
            if address.is_loopback() {
                Some(Arc::from("localhost"))
            } else {
                names.name_of(address.into())
            }
        })
        .and_then(|name| Name::from_ascii(&*name).ok());
    let Some(mut name) = name else {
        return ResponseCode::NXDomain.into();
    };
    name.set_fqdn(true);
    reply.add_answer(Record::from_rdata(question.name().clone(), TTL, RData::PTR(PTR(name))));
    ResponseCode::NoError.into()
}

/// The name in the table's spelling; none if it cannot be a host's. A dot inside of a label would
/// make two different names look the same.
fn host_name(name: &Name) -> Option<String> {
    names::normalise(&join(name)?)
}

fn join(name: &Name) -> Option<String> {
    let mut joined = String::new();
    for label in name.iter() {
        if label.contains(&b'.') {
            return None;
        }
        if !joined.is_empty() {
            joined.push('.');
        }
        joined.push_str(std::str::from_utf8(label).ok()?);
    }
    Some(joined)
}

/// The address whose PTR name this is (RFC 1035 §3.5): `4.3.2.1.in-addr.arpa`.
fn reversed_address(name: &Name) -> Option<Ipv4Addr> {
    let name = join(name)?.to_ascii_lowercase();
    let mut octets = name.strip_suffix(".in-addr.arpa")?.rsplit('.');
    let mut next = || octets.next()?.parse::<u8>().ok();
    let address = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    octets.next().is_none().then_some(address)
}

fn is_or_under(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests;
