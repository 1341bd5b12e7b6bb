//! The rule set of a shared namespace.
//!
//! ```text
//! table inet authsome_sidecar {
//!   chain redirect {
//!     type nat hook output priority -110;
//!     meta mark <ours> accept
//!     [names] udp dport 53 redirect to :<udp>
//!     [names] tcp dport 53 redirect to :<tcp>
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     [names] ip daddr 198.18.0.0/15 meta l4proto tcp redirect to :<port>
//!     tcp dport 443 redirect to :<port>
//!   }
//!   chain output {
//!     type filter hook output priority 0;
//!     meta mark <ours> accept
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     tcp dport 443 reject with tcp reset
//!     udp dport 443 reject
//!     [names] tcp dport 53 reject with tcp reset
//!     [names] udp dport 53 reject
//!     [names] ip daddr 198.18.0.0/15 reject
//!     [strict] oif lo accept
//!     [strict] ct direction reply accept
//!     [strict] udp|tcp dport 53 accept
//!     [strict] icmpv6 type { 133, 134, 135, 136, 143 } accept
//!     [strict] reject
//!   }
//!   chain input {
//!     type filter hook input priority -10;
//!     iif != lo tcp dport <port> drop
//!     [names] iif != lo tcp dport <tcp> drop
//!     [names] iif != lo udp dport <udp> drop
//!   }
//! }
//! ```
//!
//! What is redirected has a loopback address when the second chain sees it. So what the second chain
//! still sees for port 443 has got round the first: a packet of a raw socket that begins no connection,
//! or of a connection older than the table. The first chain comes before the usual place of NAT (-100),
//! so that Docker's own rules for its resolver do not come before it.

use std::num::NonZeroU32;

use crate::nft::{
    self, Batch, Chain, Hook, META_IN, META_MARK, META_OUT, Refusal, Rule, TCP, UDP, accept,
    drop_it, icmpv6, is, is_not, meta, redirect, refuse, to_port,
};

/// The table's name.
pub(crate) const TABLE: &str = "authsome_sidecar";

const REDIRECT: Chain = Chain { name: "redirect", kind: "nat", hook: Hook::Output, priority: -110 };
const OUTPUT: Chain = Chain { name: "output", kind: "filter", hook: Hook::Output, priority: 0 };
const INPUT: Chain = Chain { name: "input", kind: "filter", hook: Hook::Input, priority: -10 };

const HTTPS: u16 = 443;
const DNS: u16 = 53;
/// The loopback interface's index, in every network namespace.
const LOOPBACK: [u8; 4] = 1_u32.to_ne_bytes();
/// What IPv6 needs to find its neighbours and routers, and to be given multicast (RFC 4861, RFC 3810).
const NEIGHBOURS: [u8; 5] = [133, 134, 135, 136, 143];
/// The responder's addresses (198.18.0.0/15, RFC 2544).
const SYNTHETIC: (u8, u8) = (198, 18);

/// What the rules depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The mark of our own sockets.
    pub(crate) mark: NonZeroU32,
    /// Where the listener is.
    pub(crate) port: u16,
    /// Where the responder is, UDP and TCP, if names are to be answered by us.
    pub(crate) names: Option<(u16, u16)>,
    /// Refuse what is neither redirected nor needed for that.
    pub(crate) strict: bool,
}

impl Rules {
    /// Puts them in the place of whatever table of this name there is.
    pub(crate) fn batch(&self) -> Batch {
        let mut batch = Batch::replace(TABLE);
        batch.chain(REDIRECT);
        batch.rule(&then(self.ours(), accept()));
        if let Some((udp, tcp)) = self.names {
            batch.rule(&[to_port(UDP, DNS), redirect(udp)].concat());
            batch.rule(&[to_port(TCP, DNS), redirect(tcp)].concat());
        }
        let_loopback_pass(&mut batch);
        if self.names.is_some() {
            let (a, b) = SYNTHETIC;
            let synthetic = [nft::to_network15(a, b), nft::protocol(TCP), redirect(self.port)];
            batch.rule(&synthetic.concat());
        }
        batch.rule(&[to_port(TCP, HTTPS), redirect(self.port)].concat());

        batch.chain(OUTPUT);
        batch.rule(&then(self.ours(), accept()));
        let_loopback_pass(&mut batch);
        batch.rule(&then(to_port(TCP, HTTPS), refuse(Refusal::Reset)));
        batch.rule(&then(to_port(UDP, HTTPS), refuse(Refusal::NoPort)));
        if self.names.is_some() {
            batch.rule(&then(to_port(TCP, DNS), refuse(Refusal::Reset)));
            batch.rule(&then(to_port(UDP, DNS), refuse(Refusal::NoPort)));
            let (a, b) = SYNTHETIC;
            batch.rule(&then(nft::to_network15(a, b), refuse(Refusal::NoPort)));
        }
        if self.strict {
            batch.rule(&[meta(META_OUT), is(&LOOPBACK), accept()]);
            batch.rule(&then(nft::is_reply(), accept()));
            batch.rule(&then(to_port(UDP, DNS), accept()));
            batch.rule(&then(to_port(TCP, DNS), accept()));
            for kind in NEIGHBOURS {
                batch.rule(&then(icmpv6(kind), accept()));
            }
            batch.rule(&[refuse(Refusal::Prohibited)]);
        }

        batch.chain(INPUT);
        let (udp, tcp) = self.names.unzip();
        let ours = [(TCP, Some(self.port)), (TCP, tcp), (UDP, udp)];
        for (protocol, port) in ours {
            let Some(port) = port else { continue };
            let outside = vec![meta(META_IN), is_not(&LOOPBACK)];
            batch.rule(&[outside, to_port(protocol, port), vec![drop_it()]].concat());
        }
        batch
    }

    fn ours(&self) -> Rule {
        vec![meta(META_MARK), is(&self.mark.get().to_ne_bytes())]
    }
}

fn let_loopback_pass(batch: &mut Batch) {
    batch.rule(&then(nft::to_loopback4(), accept()));
    batch.rule(&then(nft::to_loopback6(), accept()));
}

fn then(mut conditions: Rule, verdict: Vec<u8>) -> Rule {
    conditions.push(verdict);
    conditions
}
