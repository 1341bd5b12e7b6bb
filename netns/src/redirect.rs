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
//! The network namespace is new and ours alone, so the table is too. In one that belongs to others,
//! see [`crate::shared`].

#![cfg(target_os = "linux")]

use std::io;

use crate::nft::{
    self, Batch, Chain, Hook, META_PROTOCOL, TCP, accept, is_not, meta, redirect, to_port,
};

const TABLE: &str = "authsome";
const OUTPUT: Chain =
    Chain { name: "output", kind: "nat", hook: Hook::Output, priority: PRIORITY_DSTNAT };
const PRIORITY_DSTNAT: i32 = -100;
/// DNS over TCP has a listener of its own.
const DNS: u16 = 53;

/// Loads the rule set. `own` are ports with listeners of their own.
pub(crate) fn every_other_port_to(port: u16, own: &[u16]) -> io::Result<()> {
    let mut batch = Batch::create(TABLE);
    batch.chain(OUTPUT);
    batch.rule(&[meta(META_PROTOCOL), is_not(&[TCP]), accept()]);
    for own in own.iter().chain(&[DNS]) {
        batch.rule(&[to_port(TCP, *own), vec![accept()]].concat());
    }
    batch.rule(&[nft::to_loopback4(), vec![accept()]].concat());
    batch.rule(&[nft::to_loopback6(), vec![accept()]].concat());
    batch.rule(&redirect(port));
    batch.commit()
}
