//! What rules are made of: conditions and verdicts, as the kernel evaluates them one after another.

use super::message::{attribute, name, nested, number};

const REGISTER: u32 = 1;
const REGISTER_VERDICT: u32 = 0;
/// The protocol family of a packet (`NFPROTO_IPV4`, `NFPROTO_IPV6`), one byte.
const META_FAMILY: u32 = 15;
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
/// ICMP's protocol number.
const ICMP: u8 = 1;
/// ICMPv6's protocol number.
const ICMPV6: u8 = 58;

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

/// Goes on only with this transport protocol.
pub(crate) fn protocol(number: u8) -> Rule {
    vec![meta(META_PROTOCOL), is(&[number])]
}

/// Goes on only with this protocol to this port.
pub(crate) fn to_port(protocol: u8, port: u16) -> Rule {
    [self::protocol(protocol), vec![payload(BASE_TRANSPORT, 2, 2), is(&port.to_be_bytes())]]
        .concat()
}

/// Goes on only with this protocol from this port.
pub(crate) fn from_port(protocol: u8, port: u16) -> Rule {
    [self::protocol(protocol), vec![payload(BASE_TRANSPORT, 0, 2), is(&port.to_be_bytes())]]
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

/// Goes on only with ICMP messages of this type.
pub(crate) fn icmp(kind: u8) -> Rule {
    [protocol(ICMP), vec![payload(BASE_TRANSPORT, 0, 1), is(&[kind])]].concat()
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
