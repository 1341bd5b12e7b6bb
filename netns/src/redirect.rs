//! One nf_tables rule set that redirects every other TCP port to one listener.
//!
//! ```text
//! table inet authsome {
//!   chain output {
//!     type nat hook output priority dstnat;
//!     meta l4proto != tcp accept
//!     tcp dport <each port with a listener of its own> accept
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     redirect to :<port>
//!   }
//! }
//! ```
//!
//! A few netlink messages of our own (nfnetlink; `linux/netfilter/nf_tables.h`), sent as one batch
//! that the kernel takes as a whole or not at all. Needs Linux 5.2 for NAT in the inet family.

use std::{io, os::fd::AsRawFd};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
        sockopt::ReceiveTimeout,
    },
    time::TimeVal,
};

/// The kernel answers while it handles the batch; longer than this means never.
const ANSWER: TimeVal = TimeVal::new(5, 0);

const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const FAMILY_INET: u8 = 1;
const FAMILY_UNSPECIFIED: u8 = 0;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const MESSAGE_ERROR: u16 = 2;
const NESTED: u16 = 0x8000;

const TABLE: &[u8] = b"authsome\0";
const CHAIN: &[u8] = b"output\0";
const HOOK_OUTPUT: u32 = 3;
const PRIORITY_DSTNAT: i32 = -100;

const REGISTER: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const ACCEPT: u32 = 1;
const TCP: u8 = 6;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Loads the rule set. `own` are ports with listeners of their own.
pub(crate) fn every_other_port_to(port: u16, own: &[u16]) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&socket, ReceiveTimeout, &ANSWER)?;
    let (batch, last) = batch(port, own);
    send(socket.as_raw_fd(), &batch, MsgFlags::empty())?;
    let mut buffer = vec![0_u8; 64 << 10];
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

/// The whole batch and the sequence number of its last rule, which is acknowledged.
fn batch(port: u16, own: &[u16]) -> (Vec<u8>, u32) {
    let mut messages = Messages::default();
    messages.add(BATCH_BEGIN, REQUEST, FAMILY_UNSPECIFIED, SUBSYSTEM, &[]);
    messages.add(NEW_TABLE, REQUEST | CREATE, FAMILY_INET, 0, &attribute(1, TABLE));
    let hook = [number(1, HOOK_OUTPUT), attribute(2, &PRIORITY_DSTNAT.to_be_bytes())].concat();
    let chain =
        [attribute(1, TABLE), attribute(3, CHAIN), nested(4, &hook), attribute(7, b"nat\0")];
    messages.add(NEW_CHAIN, REQUEST | CREATE, FAMILY_INET, 0, &chain.concat());

    let mut rule = |flags, expressions: &[Vec<u8>]| {
        let body =
            [attribute(1, TABLE), attribute(2, CHAIN), nested(4, &expressions.concat())].concat();
        messages.add(NEW_RULE, REQUEST | CREATE | APPEND | flags, FAMILY_INET, 0, &body)
    };
    rule(0, &[meta(META_PROTOCOL), compare(NOT_EQUAL, &[TCP]), accept()]);
    // DNS over TCP has a listener of its own too.
    for own in own.iter().chain(&[53]) {
        rule(0, &[payload(BASE_TRANSPORT, 2, 2), compare(EQUAL, &own.to_be_bytes()), accept()]);
    }
    let loopback4 = [meta(META_FAMILY), compare(EQUAL, &[IPV4]), payload(BASE_NETWORK, 16, 1)];
    rule(0, &[&loopback4[..], &[compare(EQUAL, &[127]), accept()]].concat());
    let loopback6 = [meta(META_FAMILY), compare(EQUAL, &[IPV6]), payload(BASE_NETWORK, 24, 16)];
    let localhost = std::net::Ipv6Addr::LOCALHOST.octets();
    rule(0, &[&loopback6[..], &[compare(EQUAL, &localhost), accept()]].concat());
    let last = rule(ACK, &[load(&port.to_be_bytes()), redirect()]);

    messages.add(BATCH_END, REQUEST, FAMILY_UNSPECIFIED, SUBSYSTEM, &[]);
    (messages.bytes, last)
}

fn meta(key: u32) -> Vec<u8> {
    expression(b"meta\0", &[number(1, REGISTER), number(2, key)])
}

fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
    let parts = [number(1, REGISTER), number(2, base), number(3, offset), number(4, length)];
    expression(b"payload\0", &parts)
}

fn compare(operation: u32, value: &[u8]) -> Vec<u8> {
    let value = nested(3, &attribute(1, value));
    expression(b"cmp\0", &[number(1, REGISTER), number(2, operation), value])
}

fn load(value: &[u8]) -> Vec<u8> {
    let value = nested(2, &attribute(1, value));
    expression(b"immediate\0", &[number(1, REGISTER), value])
}

fn accept() -> Vec<u8> {
    let verdict = nested(2, &nested(2, &number(1, ACCEPT)));
    expression(b"immediate\0", &[number(1, REGISTER_VERDICT), verdict])
}

/// To the port in the register.
fn redirect() -> Vec<u8> {
    expression(b"redir\0", &[number(1, REGISTER)])
}

fn expression(name: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[attribute(1, name), nested(2, &parts.concat())].concat())
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
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Messages {
    /// Returns the message's sequence number.
    fn add(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) -> u32 {
        self.sequence += 1;
        let length = u32::try_from(body.len() + 20).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(0_u32.to_ne_bytes());
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
        self.sequence
    }
}

/// What the kernel says of one message.
struct Answer {
    sequence: u32,
    /// `0` or a negative error number, if this is an acknowledgement.
    error: Option<i32>,
}

impl Answer {
    /// Takes the first message off `bytes`; none at their end, or where they make no sense.
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<16>()?;
        let [a, b, c, d, kind0, kind1, _, _, e, f, g, h, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([a, b, c, d])).ok()?;
        let message = bytes.get(16..length)?;
        let is_error = u16::from_ne_bytes([kind0, kind1]) == MESSAGE_ERROR;
        let error =
            message.first_chunk().filter(|_| is_error).map(|code| i32::from_ne_bytes(*code));
        *bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Self { sequence: u32::from_ne_bytes([e, f, g, h]), error })
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
    fn each_own_port_adds_one_rule() {
        let (_, without) = batch(1, &[]);
        let (_, with) = batch(1, &[80, 443]);
        assert_eq!(with, without + 2);
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        let mut bytes: &[u8] = &[36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(Answer::take(&mut bytes).is_none());
        let mut short: &[u8] = &[4, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(Answer::take(&mut short).is_none());
    }
}
