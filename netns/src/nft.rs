//! Just enough of nf_tables' netlink language to load a rule set, and to see whether it is still there.
//!
//! Messages of our own making (nfnetlink; `linux/netfilter/nf_tables.h`), sent as one batch that the
//! kernel takes as a whole or not at all. Knows nothing of what a rule set is for. Needs Linux 5.2 for
//! NAT in the inet family, the only family used: one rule holds for IPv4 and IPv6.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
        sockopt::ReceiveTimeout,
    },
    time::TimeVal,
};

/// The kernel answers while it handles the batch; longer than this means never.
const ANSWER: TimeVal = TimeVal::new(5, 0);
/// What one call to `recv(2)` takes: the kernel's own messages are smaller.
const BUFFER: usize = 64 << 10;

const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = (SUBSYSTEM << 8) | 2;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;
const GET_RULE: u16 = (SUBSYSTEM << 8) | 7;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const FAMILY_INET: u8 = 1;
const FAMILY_UNSPECIFIED: u8 = 0;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
const NESTED: u16 = 0x8000;

const REGISTER: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
/// The protocol family of a packet (`NFPROTO_IPV4`, `NFPROTO_IPV6`), one byte.
pub(crate) const META_FAMILY: u32 = 15;
/// Its transport protocol, one byte.
pub(crate) const META_PROTOCOL: u32 = 16;
/// The mark of the socket it comes from, 32 bits.
pub(crate) const META_MARK: u32 = 3;
/// The index of the interface it came by, 32 bits.
pub(crate) const META_IN: u32 = 4;
/// The index of the interface it was first routed to, 32 bits.
pub(crate) const META_OUT: u32 = 5;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const CT_DIRECTION: u32 = 1;
const CT_REPLY: u8 = 1;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const REJECT_RESET: u32 = 1;
const REJECT_ANY_FAMILY: u32 = 2;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// The loopback network's first byte.
const LOOPBACK: u8 = 127;

/// TCP's protocol number.
pub(crate) const TCP: u8 = 6;
/// UDP's protocol number.
pub(crate) const UDP: u8 = 17;
/// ICMPv6's protocol number.
pub(crate) const ICMPV6: u8 = 58;

/// Where a chain of rules is consulted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hook {
    /// Packets for this machine.
    Input,
    /// Packets of its own.
    Output,
}

/// A chain that is consulted by the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// Its name.
    pub(crate) name: &'static str,
    /// `nat` or `filter`.
    pub(crate) kind: &'static str,
    /// Where.
    pub(crate) hook: Hook,
    /// When, among the others of the same hook; the smallest first.
    pub(crate) priority: i32,
}

/// How a packet is refused: its sender learns of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// With a TCP reset.
    Reset,
    /// As if nothing listened on the port.
    NoPort,
    /// As a firewall does.
    Prohibited,
}

/// Expressions of one rule, in order.
pub(crate) type Rule = Vec<Vec<u8>>;

/// One table of the inet family, loaded at once.
#[derive(Debug)]
pub(crate) struct Batch {
    messages: Messages,
    table: Vec<u8>,
    chain: Vec<u8>,
}

impl Batch {
    /// A table that is new.
    pub(crate) fn create(table: &str) -> Self {
        let mut batch = Self::begin(table);
        batch.table(NEW_TABLE, REQUEST | CREATE);
        batch
    }

    /// A table that takes the place of one of the same name, if there is one. At no moment is there
    /// neither.
    pub(crate) fn replace(table: &str) -> Self {
        let mut batch = Self::delete(table);
        batch.table(NEW_TABLE, REQUEST | CREATE);
        batch
    }

    /// A table that is no longer wanted, whether it is there or not.
    pub(crate) fn delete(table: &str) -> Self {
        let mut batch = Self::create(table);
        batch.table(DELETE_TABLE, REQUEST);
        batch
    }

    fn begin(table: &str) -> Self {
        let mut messages = Messages::default();
        messages.add(BATCH_BEGIN, REQUEST, FAMILY_UNSPECIFIED, SUBSYSTEM, &[]);
        Self { messages, table: name(table), chain: Vec::new() }
    }

    fn table(&mut self, kind: u16, flags: u16) {
        self.messages.add(kind, flags, FAMILY_INET, 0, &attribute(1, &self.table));
    }

    /// Rules that follow are in this chain.
    pub(crate) fn chain(&mut self, chain: Chain) {
        let hook = match chain.hook {
            Hook::Input => 1,
            Hook::Output => 3,
        };
        let hook = [number(1, hook), attribute(2, &chain.priority.to_be_bytes())].concat();
        self.chain = name(chain.name);
        let body = [
            attribute(1, &self.table),
            attribute(3, &self.chain),
            nested(4, &hook),
            attribute(7, &name(chain.kind)),
        ];
        self.messages.add(NEW_CHAIN, REQUEST | CREATE, FAMILY_INET, 0, &body.concat());
    }

    /// One more rule.
    pub(crate) fn rule(&mut self, expressions: &[Vec<u8>]) {
        let body = [
            attribute(1, &self.table),
            attribute(2, &self.chain),
            nested(4, &expressions.concat()),
        ]
        .concat();
        self.messages.add(NEW_RULE, REQUEST | CREATE | APPEND, FAMILY_INET, 0, &body);
    }

    /// Sends it, and waits until the kernel has taken it. None of it is there after an error.
    pub(crate) fn commit(self) -> io::Result<()> {
        let (bytes, last) = self.finish();
        let socket = open()?;
        send(socket.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut buffer = vec![0_u8; BUFFER];
        loop {
            let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some(answer) = Answer::take(&mut rest) {
                match answer.error {
                    Some(0) if answer.sequence == last => return Ok(()),
                    Some(code) if code != 0 => return Err(io::Error::from_raw_os_error(-code)),
                    _ => {}
                }
            }
        }
    }

    /// All messages, and the number of the last one, which is acknowledged.
    fn finish(mut self) -> (Vec<u8>, u32) {
        let last = self.messages.acknowledge_last();
        self.messages.add(BATCH_END, REQUEST, FAMILY_UNSPECIFIED, SUBSYSTEM, &[]);
        (self.messages.bytes, last)
    }
}

/// The rules of a table as the kernel tells them: equal for as long as nobody has touched them. Empty
/// if there is no such table.
pub(crate) fn dump(table: &str) -> io::Result<Vec<u8>> {
    let socket = open()?;
    let mut question = Messages::default();
    question.add(GET_RULE, REQUEST | DUMP, FAMILY_INET, 0, &attribute(1, &name(table)));
    send(socket.as_raw_fd(), &question.bytes, MsgFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0_u8; BUFFER];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some(answer) = Answer::take(&mut rest) {
            match answer.error {
                Some(0) => return Ok(found),
                Some(code) => return Err(io::Error::from_raw_os_error(-code)),
                None if answer.kind == MESSAGE_DONE => return Ok(found),
                // Behind struct nfgenmsg, whose last member changes with every other table.
                None => found.extend(answer.body.get(4..).unwrap_or_default()),
            }
        }
    }
}

/// A socket that becomes readable when a rule set of this network namespace changes.
pub(crate) fn changes() -> io::Result<OwnedFd> {
    /// `NFNLGRP_NFTABLES` (`linux/netfilter/nfnetlink.h`).
    const GROUP: u32 = 7;
    use rustix::net::{
        AddressFamily, SocketFlags, SocketType, bind,
        netlink::{NETFILTER, SocketAddrNetlink},
        socket_with,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, 1 << (GROUP - 1)))?;
    Ok(socket)
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&socket, ReceiveTimeout, &ANSWER)?;
    Ok(socket)
}

/// Goes on only with this transport protocol.
pub(crate) fn protocol(number: u8) -> Rule {
    vec![meta(META_PROTOCOL), is(&[number])]
}

/// Goes on only with this protocol to this port.
pub(crate) fn to_port(protocol: u8, port: u16) -> Rule {
    [self::protocol(protocol), vec![payload(BASE_TRANSPORT, 2, 2), is(&port.to_be_bytes())]]
        .concat()
}

/// Goes on only with packets to 127.0.0.0/8.
pub(crate) fn to_loopback4() -> Rule {
    vec![meta(META_FAMILY), is(&[IPV4]), payload(BASE_NETWORK, 16, 1), is(&[LOOPBACK])]
}

/// Goes on only with packets to `::1`.
pub(crate) fn to_loopback6() -> Rule {
    let localhost = std::net::Ipv6Addr::LOCALHOST.octets();
    vec![meta(META_FAMILY), is(&[IPV6]), payload(BASE_NETWORK, 24, 16), is(&localhost)]
}

/// Goes on only with packets to an IPv4 network whose first 15 bits are those of `a.b.0.0`.
pub(crate) fn to_network15(a: u8, b: u8) -> Rule {
    vec![
        meta(META_FAMILY),
        is(&[IPV4]),
        payload(BASE_NETWORK, 16, 2),
        mask(&[0xff, 0xfe]),
        is(&[a, b & 0xfe]),
    ]
}

/// Goes on only with ICMPv6 messages of this type.
pub(crate) fn icmpv6(kind: u8) -> Rule {
    [protocol(ICMPV6), vec![payload(BASE_TRANSPORT, 0, 1), is(&[kind])]].concat()
}

/// Goes on only with packets that answer what came from outside.
pub(crate) fn is_reply() -> Rule {
    let direction = expression("ct", &[number(1, REGISTER), number(2, CT_DIRECTION)]);
    vec![direction, is(&[CT_REPLY])]
}

/// Takes a property of a packet into the register.
pub(crate) fn meta(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, REGISTER), number(2, key)])
}

fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
    let parts = [number(1, REGISTER), number(2, base), number(3, offset), number(4, length)];
    expression("payload", &parts)
}

fn mask(bits: &[u8]) -> Vec<u8> {
    let zero = vec![0; bits.len()];
    let length = u32::try_from(bits.len()).unwrap_or_default();
    let parts = [
        number(1, REGISTER),
        number(2, REGISTER),
        number(3, length),
        nested(4, &attribute(1, bits)),
        nested(5, &attribute(1, &zero)),
    ];
    expression("bitwise", &parts)
}

/// Goes on only if the register holds this.
pub(crate) fn is(value: &[u8]) -> Vec<u8> {
    compare(0, value)
}

/// Goes on only if the register holds something else.
pub(crate) fn is_not(value: &[u8]) -> Vec<u8> {
    compare(1, value)
}

fn compare(operation: u32, value: &[u8]) -> Vec<u8> {
    let value = nested(3, &attribute(1, value));
    expression("cmp", &[number(1, REGISTER), number(2, operation), value])
}

/// No further rule of the chain.
pub(crate) fn accept() -> Vec<u8> {
    verdict(ACCEPT)
}

/// The packet is lost.
pub(crate) fn drop_it() -> Vec<u8> {
    verdict(DROP)
}

fn verdict(code: u32) -> Vec<u8> {
    let verdict = nested(2, &nested(2, &number(1, code)));
    expression("immediate", &[number(1, REGISTER_VERDICT), verdict])
}

/// The packet is refused.
pub(crate) fn refuse(how: Refusal) -> Vec<u8> {
    let any_family = |code: u8| vec![number(1, REJECT_ANY_FAMILY), attribute(2, &[code])];
    expression(
        "reject",
        &match how {
            Refusal::Reset => vec![number(1, REJECT_RESET)],
            Refusal::NoPort => any_family(1),
            Refusal::Prohibited => any_family(3),
        },
    )
}

/// To this port of the loopback address.
pub(crate) fn redirect(port: u16) -> Rule {
    let value = nested(2, &attribute(1, &port.to_be_bytes()));
    vec![
        expression("immediate", &[number(1, REGISTER), value]),
        expression("redir", &[number(1, REGISTER)]),
    ]
}

fn expression(kind: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[attribute(1, &name(kind)), nested(2, &parts.concat())].concat())
}

/// A name as C has it.
fn name(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn nested(kind: u16, value: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, value)
}

/// An attribute, padded to four bytes (`struct nlattr`). Ours are far below 64 KiB.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(value.len() + 8);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Messages one after another (`struct nlmsghdr`, `struct nfgenmsg`).
#[derive(Debug, Default)]
struct Messages {
    bytes: Vec<u8>,
    sequence: u32,
    /// Where the last one begins.
    last: usize,
}

impl Messages {
    fn add(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) {
        self.sequence += 1;
        self.last = self.bytes.len();
        let length = u32::try_from(body.len() + 20).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
    }

    /// Has the kernel say that it took the last message; its number.
    fn acknowledge_last(&mut self) -> u32 {
        let flags =
            self.bytes.get_mut(self.last + 6..).and_then(|rest| rest.first_chunk_mut::<2>());
        if let Some(flags) = flags {
            *flags = (u16::from_ne_bytes(*flags) | ACK).to_ne_bytes();
        }
        self.sequence
    }
}

/// What the kernel says.
struct Answer<'a> {
    kind: u16,
    sequence: u32,
    /// `0` or a negative error number, if this is an acknowledgement.
    error: Option<i32>,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Takes the first message off `bytes`; none at their end, or where they make no sense.
    fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let whole = *bytes;
        let (header, _) = whole.split_first_chunk::<16>()?;
        let [a, b, c, d, kind0, kind1, _, _, e, f, g, h, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let body = whole.get(16..length)?;
        let kind = u16::from_ne_bytes([kind0, kind1]);
        let error = body
            .first_chunk()
            .filter(|_| kind == MESSAGE_ERROR)
            .map(|code| i32::from_ne_bytes(*code));
        *bytes = whole.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Self { kind, sequence: u32::from_ne_bytes([e, f, g, h]), error, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_say_their_length() {
        assert_eq!(attribute(1, b"ab"), [6, 0, 1, 0, b'a', b'b', 0, 0]);
    }

    #[test]
    fn only_the_last_message_before_the_end_is_acknowledged() {
        let mut batch = Batch::create("t");
        batch.rule(&[accept()]);
        let (bytes, last) = batch.finish();
        let mut rest = bytes.as_slice();
        let mut acknowledged = Vec::new();
        while let Some(length) = rest.first_chunk::<4>() {
            let length = u32::from_ne_bytes(*length) as usize;
            let flags = u16::from_ne_bytes([rest[6], rest[7]]);
            let number = u32::from_ne_bytes([rest[8], rest[9], rest[10], rest[11]]);
            acknowledged.extend((flags & ACK != 0).then_some(number));
            rest = &rest[length.next_multiple_of(4)..];
        }
        assert_eq!((acknowledged, last), (vec![3], 3));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let mut bytes: &[u8] = &[36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(Answer::take(&mut bytes).is_none());
        let mut short: &[u8] = &[4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(Answer::take(&mut short).is_none());
    }
}
