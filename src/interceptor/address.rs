//! Which addresses the interceptor may dial.
//!
//! The interceptor dials from the host's network, where more is reachable than the agent should
//! reach: the cloud's metadata service, the user's own loopback, the router. This is the guard that
//! every dialled address passes. It is pure and knows nothing of rules: a caller whose egress rule
//! names an address explicitly does not ask.
//!
//! An address can be spelled in many ways; [`canonical`] unwraps those that carry an IPv4 address
//! inside an IPv6 one, so that no spelling passes where another is refused.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// A cloud's instance metadata or credential service.
    Metadata,
    /// The host itself.
    Loopback,
    /// The host's own link, including addresses that a machine gives itself (RFC 3927, RFC 4291).
    LinkLocal,
    /// "This host", or an address that means nothing outside a run: the range that the run's own
    /// DNS answers come from.
    Unspecified,
    /// Multicast or broadcast.
    Multicast,
    /// A private network that a public name resolved into (DNS rebinding).
    Private,
}

impl Blocked {
    /// Stable code for the audit log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Metadata => "address-metadata",
            Self::Loopback => "address-loopback",
            Self::LinkLocal => "address-link-local",
            Self::Unspecified => "address-unspecified",
            Self::Multicast => "address-multicast",
            Self::Private => "address-private",
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "the address is a cloud metadata service",
            Self::Loopback => "the address is the host's loopback",
            Self::LinkLocal => "the address is link-local",
            Self::Unspecified => "the address is reserved for the host itself",
            Self::Multicast => "the address is multicast or broadcast",
            Self::Private => "the name resolves to a private network",
        })
    }
}

impl std::error::Error for Blocked {}

/// Whether `ip` may be dialled without a rule that names it. `resolved_from_name` says that the
/// address came out of a name lookup on the host rather than from the agent as a literal: a public
/// name that resolves into a private network is an attack more often than a wish.
///
/// # Errors
/// The reason why it may not.
pub fn check(ip: IpAddr, resolved_from_name: bool) -> Result<(), Blocked> {
    let ip = canonical(ip);
    if METADATA.contains(&ip) {
        return Err(Blocked::Metadata);
    }
    let private = match ip {
        IpAddr::V4(v4) => check_v4(v4)?,
        IpAddr::V6(v6) => check_v6(v6)?,
    };
    if private && resolved_from_name { Err(Blocked::Private) } else { Ok(()) }
}

/// The IPv4 address inside an IPv6 one that carries it to an IPv4 host: mapped and compatible
/// (RFC 4291 §2.5.5), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP
/// (RFC 5214). Any other address is returned as it is.
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let v4 = match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => join(high, low),
        // IPv4-translated (RFC 2765), still understood by some translators.
        [0, 0, 0, 0, 0xffff, 0, high, low] => join(high, low),
        // `::` and `::1` have the shape of compatible addresses and are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return ip,
        [0, 0, 0, 0, 0, 0, high, low] => join(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => join(high, low),
        // A /48 for local translators; RFC 6052 puts the bits of an address around octet 8, a
        // translator with a /96 of its own at the end. Either would be translated.
        [0x64, 0xff9b, 1, a, b, c, high, low] => {
            let embedded = Ipv4Addr::from(
                (u32::from(a) << 16) | (u32::from(b & 0xff) << 8) | u32::from(c >> 8),
            );
            let inside = is_inside(embedded) && !embedded.is_unspecified();
            if (high, low) == (0, 0) || inside { embedded } else { join(high, low) }
        }
        [0x2002, high, low, ..] => join(high, low),
        // Teredo names two IPv4 hosts: its server, and (inverted) the client.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            let server = join(server_high, server_low);
            if is_inside(server) { server } else { join(!high, !low) }
        }
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => join(high, low),
        _ => return ip,
    };
    IpAddr::V4(v4)
}

/// Metadata services by address: AWS, Azure, GCP, OpenStack and others; ECS and EKS credentials;
/// EC2 over IPv6; Alibaba; Azure's wire server; Oracle's internal resolver and metadata.
const METADATA: [IpAddr; 10] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Ok(true) for a private range. The order follows the IANA special-purpose registry.
fn check_v4(ip: Ipv4Addr) -> Result<bool, Blocked> {
    match ip.octets() {
        [0, ..] | [198, 18 | 19, ..] => Err(Blocked::Unspecified),
        [127, ..] => Err(Blocked::Loopback),
        [169, 254, ..] => Err(Blocked::LinkLocal),
        [224..=239, ..] | [255, 255, 255, 255] => Err(Blocked::Multicast),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Ok(true),
        // Carrier-grade NAT (RFC 6598), IETF protocol assignments, reserved.
        [100, 64..=127, ..] | [192, 0, 0, _] | [240..=255, ..] => Ok(true),
        _ => Ok(false),
    }
}

/// As [`check_v4`], for an address that carries no IPv4 address.
fn check_v6(ip: Ipv6Addr) -> Result<bool, Blocked> {
    let [first, ..] = ip.segments();
    match first {
        _ if ip.is_unspecified() => Err(Blocked::Unspecified),
        _ if ip.is_loopback() => Err(Blocked::Loopback),
        0xff00..=0xffff => Err(Blocked::Multicast),
        0xfe80..=0xfebf => Err(Blocked::LinkLocal),
        // Unique local (RFC 4193) and the site-local range it replaced (RFC 3879).
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Ok(true),
        _ => Ok(false),
    }
}

fn is_inside(ip: Ipv4Addr) -> bool {
    !matches!(check_v4(ip), Ok(false)) || METADATA.contains(&IpAddr::V4(ip))
}

fn join(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn refused(text: &str, why: Blocked) {
        assert_eq!(check(ip(text), true), Err(why), "{text} from a name");
        assert_eq!(check(ip(text), false), Err(why), "{text} as a literal");
    }

    #[test]
    fn metadata_services_are_always_refused() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
        ] {
            refused(text, Blocked::Metadata);
        }
    }

    #[test]
    fn the_host_and_its_links_are_always_refused() {
        for text in ["127.0.0.1", "127.255.255.254", "::1"] {
            refused(text, Blocked::Loopback);
        }
        for text in ["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"] {
            refused(text, Blocked::LinkLocal);
        }
        for text in ["0.0.0.0", "0.1.2.3", "::", "198.18.0.1", "198.19.255.254"] {
            refused(text, Blocked::Unspecified);
        }
        for text in ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1"] {
            refused(text, Blocked::Multicast);
        }
    }

    #[test]
    fn private_ranges_are_refused_only_for_names() {
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "240.0.0.1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
        ] {
            assert_eq!(check(ip(text), true), Err(Blocked::Private), "{text}");
            assert_eq!(check(ip(text), false), Ok(()), "{text}");
        }
    }

    #[test]
    fn neighbours_of_refused_ranges_pass() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(check(ip(text), true), Ok(()), "{text}");
        }
    }

    #[test]
    fn every_spelling_of_an_ipv4_address_is_unwrapped() {
        for text in [
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:0808:0808:0:0:5601:5601",
            "2001:db8::5efe:169.254.169.254",
            "fe80::200:5efe:169.254.169.254",
        ] {
            refused(text, Blocked::Metadata);
        }
    }

    #[test]
    fn unwrapping_keeps_addresses_that_carry_none() {
        for text in ["::", "::1", "2606:4700::1111", "fe80::1", "8.8.8.8"] {
            assert_eq!(canonical(ip(text)), ip(text));
        }
        assert_eq!(canonical(ip("::ffff:8.8.8.8")), ip("8.8.8.8"));
    }

    #[test]
    fn codes_are_distinct() {
        let all = [
            Blocked::Metadata,
            Blocked::Loopback,
            Blocked::LinkLocal,
            Blocked::Unspecified,
            Blocked::Multicast,
            Blocked::Private,
        ];
        let codes: std::collections::BTreeSet<_> = all.iter().map(Blocked::code).collect();
        assert_eq!(codes.len(), all.len());
    }
}
