//! Says why not, to programs that send what is no TCP.
//!
//! ```text
//! table inet authsome_refusals {
//!   chain input {
//!     type filter hook input priority filter
//!     meta l4proto tcp accept
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     udp dport 53 accept
//!     udp sport 53 accept
//!     udp dport 443 accept
//!     meta l4proto udp reject with icmpx admin-prohibited
//!     icmp type echo-request reject with icmpx admin-prohibited
//!     icmpv6 type echo-request reject with icmpx admin-prohibited
//!   }
//! }
//! ```
//!
//! No packet leaves, with or without this. But every address is local here, so the kernel would answer for
//! the whole world: a traceroute would end at its first hop, and a ping be answered. Refused like this,
//! ping(8) says "Packet filtered", traceroute(8) `!X`, and a connected UDP socket has no route to its
//! host. On input and not on output, where sendto(2) would fail for programs that ignore an answer
//! but not an error. UDP to port 443 stays refused as if nothing listened: QUIC clients then use TCP.
//!
//! Only where that holds may the command ping at all (`net.ipv4.ping_group_range`, icmp(7)).

#![cfg(target_os = "linux")]

use std::{fs::File, io, io::Write};

use nix::unistd::getegid;

use crate::nft::{
    self, Batch, Chain, Hook, Refusal, TCP, UDP, accept, from_port, icmp, icmpv6, protocol, refuse,
    to_port,
};

const TABLE: &str = "authsome_refusals";
const INPUT: Chain = Chain { name: "input", kind: "filter", hook: Hook::Input, priority: 0 };
const DNS: u16 = 53;
const HTTPS: u16 = 443;
/// ICMP's and ICMPv6's echo requests.
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;
/// All groups that there can be.
const EVERY_GROUP: (u32, u32) = (0, i32::MAX.cast_unsigned());

/// Loads the rule set, and lets the command's group ping.
///
/// # Errors
/// A kernel without nf_tables' `reject`, or a `/proc/sys` that is read-only. Nothing is less safe then.
pub(crate) fn explain(as_root: bool) -> io::Result<()> {
    let mut batch = Batch::create(TABLE);
    batch.chain(INPUT);
    for passed in [
        protocol(TCP),
        nft::to_loopback4(),
        nft::to_loopback6(),
        to_port(UDP, DNS),
        from_port(UDP, DNS),
        to_port(UDP, HTTPS),
    ] {
        batch.rule(&[passed, vec![accept()]].concat());
    }
    for refused in [protocol(UDP), icmp(ECHO), icmpv6(ECHO_V6)] {
        batch.rule(&[refused, vec![refuse(Refusal::Prohibited)]].concat());
    }
    batch.commit()?;
    // A user namespace that maps one group knows no other; without one, the command's is not known yet.
    let group = getegid().as_raw();
    let (first, last) = if as_root { EVERY_GROUP } else { (group, group) };
    let mut range = File::options().write(true).open("/proc/sys/net/ipv4/ping_group_range")?;
    range.write_all(format!("{first} {last}").as_bytes())
}
