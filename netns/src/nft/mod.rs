//! Just enough of nf_tables' netlink language to load a rule set, and to see whether it is still there.
//!
//! Messages of our own making (nfnetlink; `linux/netfilter/nf_tables.h`), sent as one batch that the
//! kernel takes as a whole or not at all. Knows nothing of what a rule set is for. Needs Linux 5.2 for
//! NAT in the inet family, the only family used: one rule holds for IPv4 and IPv6.

#![cfg(target_os = "linux")]

mod expression;
mod message;

use std::{
    collections::BTreeMap,
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

pub(crate) use self::expression::{
    META_IN, META_MARK, META_OUT, META_PROTOCOL, Refusal, Rule, TCP, UDP, accept, drop_it,
    from_port, icmp, icmpv6, is, is_not, is_reply, meta, protocol, redirect, refuse, to_loopback4,
    to_loopback6, to_network15, to_port,
};
use self::message::{Answer, Messages, attribute, name, nested, number};

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
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const MESSAGE_DONE: u16 = 3;

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

    /// The rules alone, as [`dump`] has them.
    pub(crate) fn rules(&self) -> Vec<u8> {
        let mut rest = self.messages.bytes.as_slice();
        let mut rules = Vec::new();
        while let Some(message) = Answer::take(&mut rest) {
            if message.kind == NEW_RULE {
                rules.extend(message.body.get(4..).unwrap_or_default());
            }
        }
        rules
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

/// How many rules each chain has, of rules as [`dump`] has them.
pub(crate) fn chains(rules: &[u8]) -> BTreeMap<String, usize> {
    /// `NFTA_RULE_CHAIN` (`linux/netfilter/nf_tables.h`).
    const CHAIN: u16 = 2;
    let mut chains = BTreeMap::new();
    for (kind, value) in message::attributes(rules) {
        if kind == CHAIN {
            let name = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
            *chains.entry(name).or_default() += 1;
        }
    }
    chains
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

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: u16 = 0x4;

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
}
