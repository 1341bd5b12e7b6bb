//! What the filter lets through, refuses, and asks the supervisor about.
//!
//! A filter sees registers only. So what lies in memory (an address, a message's name and control data) is
//! never decided here but by the supervisor, and what the supervisor cannot take back is refused here: other
//! families of sockets, options that lead a packet elsewhere than its address says, and `io_uring`, whose
//! requests no filter sees.

use nix::libc;

use super::{
    bpf::{
        ARCHITECTURE, Block, NUMBER, among, answer, any_bit, high, load, load_masked, low, refuse,
    },
    sys::SOCKET_TYPE,
};

/// The audit architecture of this build (`<linux/audit.h>`); none: this way is not supported on it.
pub(super) const NATIVE: Option<u32> =
    if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some(0xc000_003e)
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
        Some(0xc000_00b7)
    } else {
        None
    };
/// From here on, calls of x86_64 are those of x32 (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;
/// Sends data with the first packet, to an address in memory (tcp(7)).
const FASTOPEN: u32 = 0x2000_0000;

/// Options of `IPPROTO_IP` that change nothing about where a packet goes (ip(7), `<linux/in.h>`). Not among
/// them: `IP_OPTIONS`, which has source routes, `IP_UNICAST_IF`, and whatever joins a group: the kernel
/// tells the network at once, in a packet whose address is the command's choice (RFC 3376).
const IP_OPTIONS: [i32; 22] = [
    libc::IP_TOS,
    libc::IP_TTL,
    libc::IP_PKTINFO,
    libc::IP_MTU_DISCOVER,
    libc::IP_RECVERR,
    libc::IP_RECVTTL,
    libc::IP_RECVTOS,
    libc::IP_MTU,
    libc::IP_FREEBIND,
    libc::IP_MINTTL,
    libc::IP_BIND_ADDRESS_NO_PORT,
    51, // IP_LOCAL_PORT_RANGE
    libc::IP_RECVORIGDSTADDR,
    libc::IP_MULTICAST_IF,
    libc::IP_MULTICAST_TTL,
    libc::IP_MULTICAST_LOOP,
    libc::IP_DROP_MEMBERSHIP,
    libc::IP_UNBLOCK_SOURCE,
    libc::IP_BLOCK_SOURCE,
    libc::IP_DROP_SOURCE_MEMBERSHIP,
    libc::IP_MULTICAST_ALL,
    52, // IP_PROTOCOL
];
/// The same of `IPPROTO_IPV6` (ipv6(7), `<linux/in6.h>`). Not among them: routing headers, next hops,
/// `IPV6_PKTINFO` and `IPV6_UNICAST_IF`.
const IPV6_OPTIONS: [i32; 18] = [
    libc::IPV6_V6ONLY,
    libc::IPV6_RECVERR,
    libc::IPV6_MTU,
    libc::IPV6_MTU_DISCOVER,
    libc::IPV6_UNICAST_HOPS,
    libc::IPV6_MULTICAST_HOPS,
    libc::IPV6_MULTICAST_LOOP,
    libc::IPV6_MULTICAST_IF,
    libc::IPV6_DROP_MEMBERSHIP,
    libc::IPV6_RECVPKTINFO,
    libc::IPV6_RECVHOPLIMIT,
    libc::IPV6_RECVTCLASS,
    libc::IPV6_TCLASS,
    libc::IPV6_DONTFRAG,
    libc::IPV6_ADDR_PREFERENCES,
    libc::IPV6_FREEBIND,
    libc::IPV6_RECVORIGDSTADDR,
    29, // IPV6_MULTICAST_ALL
];
/// Options of `SOL_SOCKET` that choose an interface, or would be left waiting for what the kernel tells of a
/// send that the supervisor has made.
const NO_SOCKET_OPTIONS: [i32; 4] =
    [libc::SO_BINDTODEVICE, libc::SO_BINDTOIFINDEX, libc::SO_ZEROCOPY, libc::SO_MARK];
/// Options of TCP that would connect later than `connect`, or need control data to be used.
const NO_TCP_OPTIONS: [i32; 3] = [libc::TCP_FASTOPEN_CONNECT, libc::TCP_ULP, libc::TCP_REPAIR];
/// Options of UDP that are let through; encapsulation is not.
const UDP_OPTIONS: [i32; 3] = [libc::UDP_CORK, libc::UDP_SEGMENT, libc::UDP_GRO];

/// Whose the command's sockets are at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// Its own; the supervisor takes duplicates.
    Taken,
    /// The supervisor's, which makes them (see [`super::made`]).
    Made,
}

/// The whole filter, for system calls of `architecture`.
pub(super) fn program(architecture: u32, sockets: Sockets) -> Block {
    let allow = || answer(libc::SECCOMP_RET_ALLOW);
    let ask = || answer(libc::SECCOMP_RET_USER_NOTIF);
    let mut rules = allow();
    let mut rule = |calls: &[libc::c_long], then: Block| {
        let rest = std::mem::take(&mut rules);
        rules = among(&numbers(calls), then, rest);
    };
    rule(&[libc::SYS_connect, libc::SYS_bind, libc::SYS_listen], ask());
    // Leads nowhere; but an answer to a query must be from whom it was asked of.
    rule(&[libc::SYS_recvmsg], ask());
    rule(&[libc::SYS_recvfrom], load(low(4), among(&[0], allow(), ask())));
    rule(&[libc::SYS_sendto], fast_open(3, no_pointer(4, allow(), ask())));
    rule(&[libc::SYS_sendmsg], fast_open(2, ask()));
    rule(&[libc::SYS_sendmmsg], fast_open(3, ask()));
    rule(&[libc::SYS_socket], kinds(sockets));
    rule(&[libc::SYS_socketpair], pairs(sockets));
    rule(&[libc::SYS_setsockopt], options(sockets));
    if sockets == Sockets::Made {
        // A stand-in must not be told from what it stands for.
        rule(&[libc::SYS_getsockname, libc::SYS_getpeername], ask());
    }
    // Requests in shared memory, which no filter sees; keys of the user; programs in the kernel.
    rule(
        &[
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_bpf,
        ],
        refuse(libc::ENOSYS),
    );
    if cfg!(target_arch = "x86_64") {
        rules = any_bit(X32, refuse(libc::ENOSYS), rules);
    }
    let foreign = answer(libc::SECCOMP_RET_KILL_PROCESS);
    load(ARCHITECTURE, among(&[architecture], load(NUMBER, rules), foreign))
}

/// Local ones, TCP, UDP, and what the kernel says about its interfaces (getifaddrs(3)).
fn kinds(sockets: Sockets) -> Block {
    let allow = || answer(libc::SECCOMP_RET_ALLOW);
    let get = || match sockets {
        Sockets::Taken => allow(),
        Sockets::Made => answer(libc::SECCOMP_RET_USER_NOTIF),
    };
    let protocol = |allowed: &[i32], then: Block| {
        load(low(2), among(&ints(allowed), then, refuse(libc::EPROTONOSUPPORT)))
    };
    let inet = load_masked(
        low(1),
        SOCKET_TYPE,
        among(
            &ints(&[libc::SOCK_STREAM]),
            protocol(&[0, libc::IPPROTO_TCP], get()),
            among(
                &ints(&[libc::SOCK_DGRAM]),
                protocol(&[0, libc::IPPROTO_UDP], get()),
                refuse(libc::EPERM),
            ),
        ),
    );
    let netlink = protocol(&[libc::NETLINK_ROUTE], allow());
    let family = among(
        &ints(&[libc::AF_INET, libc::AF_INET6]),
        inet,
        among(&ints(&[libc::AF_NETLINK]), netlink, refuse(libc::EAFNOSUPPORT)),
    );
    load(low(0), among(&ints(&[libc::AF_UNIX]), local(sockets, get()), family))
}

/// Local ones.
fn pairs(sockets: Sockets) -> Block {
    let unix = local(sockets, answer(libc::SECCOMP_RET_ALLOW));
    load(low(0), among(&ints(&[libc::AF_UNIX]), unix, refuse(libc::EAFNOSUPPORT)))
}

/// Those whose messages go where they are connected to, if their sends are not looked at.
fn local(sockets: Sockets, then: Block) -> Block {
    let kinds = ints(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET]);
    match sockets {
        Sockets::Taken => then,
        Sockets::Made => {
            let others = refuse(libc::EPROTONOSUPPORT);
            load_masked(low(1), SOCKET_TYPE, among(&kinds, then, others))
        }
    }
}

fn options(sockets: Sockets) -> Block {
    let allow = || answer(libc::SECCOMP_RET_ALLOW);
    let unknown = || refuse(libc::ENOPROTOOPT);
    // Those that a stand-in does not have.
    let set = || match sockets {
        Sockets::Taken => allow(),
        Sockets::Made => answer(libc::SECCOMP_RET_USER_NOTIF),
    };
    let only = |options: &[i32]| load(low(2), among(&ints(options), set(), unknown()));
    let all_but = |options: &[i32]| load(low(2), among(&ints(options), unknown(), allow()));
    let mut levels = unknown();
    let mut level = |number: i32, then: Block| {
        let rest = std::mem::take(&mut levels);
        levels = among(&ints(&[number]), then, rest);
    };
    level(libc::SOL_SOCKET, all_but(&NO_SOCKET_OPTIONS));
    level(libc::IPPROTO_TCP, all_but(&NO_TCP_OPTIONS));
    level(libc::IPPROTO_UDP, only(&UDP_OPTIONS));
    level(libc::IPPROTO_IP, only(&IP_OPTIONS));
    level(libc::IPPROTO_IPV6, only(&IPV6_OPTIONS));
    level(libc::SOL_NETLINK, allow());
    load(low(1), levels)
}

fn fast_open(flags: u32, otherwise: Block) -> Block {
    load(low(flags), any_bit(FASTOPEN, refuse(libc::EOPNOTSUPP), otherwise))
}

fn no_pointer(argument: u32, then: Block, otherwise: Block) -> Block {
    let upper = load(high(argument), among(&[0], then, otherwise.clone()));
    load(low(argument), among(&[0], upper, otherwise))
}

fn numbers(calls: &[libc::c_long]) -> Vec<u32> {
    calls.iter().filter_map(|call| u32::try_from(*call).ok()).collect()
}

fn ints(values: &[i32]) -> Vec<u32> {
    values.iter().map(|value| value.cast_unsigned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCH: u32 = 0xc000_003e;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;

    fn errno(number: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | number.cast_unsigned()
    }

    /// Runs the filter as the kernel would (`seccomp_run_filters`), for the instructions it uses.
    fn says(architecture: u32, call: u32, args: [u64; 6]) -> u32 {
        of_program(&program(ARCH, Sockets::Taken), architecture, call, args)
    }

    fn of_program(
        program: &[libc::sock_filter],
        architecture: u32,
        call: u32,
        args: [u64; 6],
    ) -> u32 {
        let mut data = vec![0_u8; 16];
        data[..4].copy_from_slice(&call.to_ne_bytes());
        data[4..8].copy_from_slice(&architecture.to_ne_bytes());
        data.extend(args.iter().flat_map(|argument| argument.to_ne_bytes()));
        let (mut at, mut word) = (0, 0);
        loop {
            let step = program[at];
            let k = step.k as usize;
            let taken = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
            at += 1;
            match step.code {
                0x20 => word = u32::from_ne_bytes(data[k..k + 4].try_into().unwrap()),
                0x54 => word &= step.k,
                0x05 => at += k,
                0x15 => at += taken(word == step.k),
                0x45 => at += taken(word & step.k != 0),
                0x06 => return step.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn call(number: libc::c_long, args: [u64; 6]) -> u32 {
        says(ARCH, u32::try_from(number).unwrap(), args)
    }

    fn of(values: &[i32]) -> [u64; 6] {
        let mut args = [0; 6];
        for (argument, value) in args.iter_mut().zip(values) {
            *argument = u64::from(value.cast_unsigned());
        }
        args
    }

    #[test]
    fn whatever_names_a_destination_is_asked_about() {
        for number in [
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
        ] {
            assert_eq!(call(number, [0; 6]), ASK, "{number}");
        }
        for address in [1, 1 << 32] {
            assert_eq!(call(libc::SYS_sendto, [3, 0, 0, 0, address, 16]), ASK);
        }
        assert_eq!(call(libc::SYS_sendto, [3, 0, 0, 0, 0, 0]), ALLOW);
    }

    #[test]
    fn data_cannot_go_ahead_of_its_connection() {
        let flag = u64::from(FASTOPEN);
        assert_eq!(call(libc::SYS_sendto, [3, 0, 0, flag, 0, 0]), errno(libc::EOPNOTSUPP));
        assert_eq!(call(libc::SYS_sendmsg, [3, 0, flag, 0, 0, 0]), errno(libc::EOPNOTSUPP));
        assert_eq!(call(libc::SYS_sendmmsg, [3, 0, 0, flag, 0, 0]), errno(libc::EOPNOTSUPP));
    }

    #[test]
    fn sockets_are_local_or_tcp_or_udp() {
        let socket = |family, kind, protocol| {
            call(libc::SYS_socket, of(&[family, kind | libc::SOCK_CLOEXEC, protocol]))
        };
        for (family, kind, protocol) in [
            (libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
            (libc::AF_INET, libc::SOCK_STREAM, 0),
            (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP),
            (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDP),
            (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
        ] {
            assert_eq!(socket(family, kind, protocol), ALLOW, "{family} {kind} {protocol}");
        }
        for (family, kind, protocol) in [
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
            (libc::AF_INET6, libc::SOCK_RAW, 0),
            (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
            (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (libc::AF_PACKET, libc::SOCK_DGRAM, 0),
            (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
            (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
        ] {
            assert_ne!(socket(family, kind, protocol), ALLOW, "{family} {kind} {protocol}");
        }
    }

    #[test]
    fn a_command_whose_sends_go_on_gets_no_socket_that_takes_an_address() {
        let program = program(ARCH, Sockets::Made);
        let says = |number: libc::c_long, args: &[i32]| {
            of_program(&program, ARCH, u32::try_from(number).unwrap(), of(args))
        };
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        for (family, kind) in [
            (libc::AF_UNIX, libc::SOCK_STREAM),
            (libc::AF_UNIX, libc::SOCK_SEQPACKET),
            (libc::AF_INET, libc::SOCK_STREAM),
            (libc::AF_INET6, libc::SOCK_DGRAM),
        ] {
            assert_eq!(says(libc::SYS_socket, &[family, kind | flags, 0]), ASK, "{family} {kind}");
        }
        // To the kernel, a raw local socket is one for datagrams.
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            let refused = errno(libc::EPROTONOSUPPORT);
            assert_eq!(says(libc::SYS_socket, &[libc::AF_UNIX, kind | flags, 0]), refused);
            assert_eq!(says(libc::SYS_socketpair, &[libc::AF_UNIX, kind | flags, 0]), refused);
        }
        assert_eq!(says(libc::SYS_socketpair, &[libc::AF_UNIX, libc::SOCK_STREAM, 0]), ALLOW);
    }

    #[test]
    fn no_option_leads_a_packet_elsewhere() {
        let option = |level, name| call(libc::SYS_setsockopt, of(&[3, level, name]));
        for (level, name) in [
            (libc::IPPROTO_IP, libc::IP_OPTIONS),
            (libc::IPPROTO_IP, 50), // IP_UNICAST_IF
            (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
            (libc::IPPROTO_IP, 42), // MCAST_JOIN_GROUP
            (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP),
            (libc::IPPROTO_IPV6, libc::IPV6_RTHDR),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT),
            (libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
            (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX),
            (255, 0),
        ] {
            assert_eq!(option(level, name), errno(libc::ENOPROTOOPT), "{level} {name}");
        }
        for (level, name) in [
            (libc::IPPROTO_TCP, libc::TCP_NODELAY),
            (libc::SOL_SOCKET, libc::SO_REUSEADDR),
            (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
            (libc::IPPROTO_IP, libc::IP_RECVERR),
        ] {
            assert_eq!(option(level, name), ALLOW, "{level} {name}");
        }
    }

    #[test]
    fn calls_that_a_filter_cannot_see_through_are_not_there() {
        for number in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_keyctl] {
            assert_eq!(call(number, [0; 6]), errno(libc::ENOSYS), "{number}");
        }
    }

    #[test]
    fn programs_of_another_mode_do_not_get_round_it() {
        let connect = u32::try_from(libc::SYS_connect).unwrap();
        assert_eq!(says(0x4000_0003, connect, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(says(ARCH, connect | X32, [0; 6]), errno(libc::ENOSYS));
        }
    }

    #[test]
    fn everything_else_is_none_of_its_business() {
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_accept4, libc::SYS_recvmmsg] {
            assert_eq!(call(number, [0; 6]), ALLOW, "{number}");
        }
    }
}
