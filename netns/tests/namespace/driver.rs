//! A caller of the crate as small as can be: serves a run's sockets with a toy interceptor and runs
//! a command in the namespace.

use std::{
    ffi::OsString,
    io::{self, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use netns::{
    Credentials, DirectoryId, Event, File, Listener, ListenerKind, Network, Overlay, Sandbox, Spec,
};
use nix::sys::socket::{getsockopt, sockopt};

const RUN_ID: &str = "00000000000000ff";

/// What the command line asks for.
struct Arguments {
    network: Network,
    spec: Spec,
    serve: bool,
    probe: bool,
    /// Say which network namespace it is.
    tell_network: bool,
}

pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = parse(arguments);
    match drive(&arguments) {
        Ok(code) => code,
        Err(error) => {
            let mut source: Option<&dyn std::error::Error> = Some(&error);
            while let Some(cause) = source {
                let _ = writeln!(io::stderr(), "netns: {cause}");
                source = cause.source();
            }
            if let Some(hint) = error.hint() {
                let _ = writeln!(io::stderr(), "netns: hint: {hint}");
            }
            error.exit_code().into()
        }
    }
}

fn drive(arguments: &Arguments) -> Result<ExitCode, netns::Error> {
    let (mut sandbox, prepared) = Sandbox::spawn(&arguments.network, &arguments.spec)?;
    for warning in &prepared.warnings {
        let _ = writeln!(io::stderr(), "netns: warning: {warning}");
    }
    for listener in &prepared.listeners {
        if let (true, ListenerKind::SocketDiag { network }) =
            (arguments.tell_network, listener.kind)
        {
            let _ = writeln!(io::stdout(), "net:[{network}]");
        }
    }
    if arguments.serve {
        prepared.listeners.into_iter().for_each(serve);
    }
    if arguments.probe {
        sandbox.probe()?;
    }
    sandbox.release()?;
    loop {
        if let Event::Exited(status) = sandbox.wait_event(None)? {
            return Ok(status.code().into());
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Arguments {
    let mut spec = Spec {
        env: std::env::vars_os().collect(),
        cwd: std::env::current_dir().unwrap(),
        run_id: RUN_ID.to_owned(),
        ..Spec::default()
    };
    let mut network = Network { tcp_ports: vec![443, 80], ..Network::default() };
    let (mut serve, mut probe, mut tell_network) = (true, true, false);
    while let Some(word) = arguments.next() {
        let mut value = || arguments.next().unwrap();
        let number = |word: OsString| word.to_str().unwrap().parse().unwrap();
        match word.to_str().unwrap() {
            "--" => break,
            "--catch-all" => network.catch_all = true,
            "--no-serve" => serve = false,
            "--no-probe" => probe = false,
            "--tell-network" => tell_network = true,
            "--host-port" => network.host_ports.push(number(value())),
            "--port" => network.tcp_ports.push(number(value())),
            "--trust" => spec.trust_dir = value().into(),
            "--trust-is" => {
                let found = std::fs::metadata(value()).unwrap();
                spec.trust_dir_id = Some(DirectoryId { device: found.dev(), inode: found.ino() });
            }
            "--cwd" => spec.cwd = value().into(),
            "--hide" => spec.hide.push(value().into()),
            "--keep" => spec.keep.push(value().into()),
            "--file" => {
                let contents = b"from the run\n".to_vec();
                spec.files.push(File { path: value().into(), contents });
            }
            "--overlay" => {
                let source = PathBuf::from("bundle.pem");
                spec.overlays.push(Overlay { source, target: value().into() });
            }
            "--copy" => {
                let directory = PathBuf::from("copied");
                let path = directory.join("ours");
                spec.files.push(File { path, contents: b"from the run\n".to_vec() });
                spec.copies.push(Overlay { source: directory, target: value().into() });
            }
            "--merge" => {
                let directory = PathBuf::from("merged");
                let path = directory.join("ours");
                spec.files.push(File { path, contents: b"from the run\n".to_vec() });
                spec.merges.push(Overlay { source: directory, target: value().into() });
            }
            "--user" => {
                let uid = u32::from(number(value()));
                network.as_root = true;
                spec.user = Some(Credentials { uid, gid: uid, groups: vec![uid] });
            }
            other => panic!("unknown option {other}"),
        }
    }
    spec.command = arguments.collect();
    Arguments { network, spec, serve, probe, tell_network }
}

fn serve(listener: Listener) {
    let kind = listener.kind;
    let _ = thread::spawn(move || match kind {
        ListenerKind::DnsUdp => names_by_udp(&UdpSocket::from(listener.fd)),
        ListenerKind::DnsTcp => names_by_tcp(&TcpListener::from(listener.fd)),
        ListenerKind::Tcp { .. } | ListenerKind::Redirected | ListenerKind::HostPort { .. } => {
            connections(kind, &TcpListener::from(listener.fd));
        }
        ListenerKind::SocketDiag { .. }
        | ListenerKind::SocketGiver
        | ListenerKind::Handed
        | ListenerKind::Pf { .. }
        | ListenerKind::Connect => {}
    });
}

/// Answers with the kind of listener and the address that was dialled.
fn connections(kind: ListenerKind, listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        let dialled = if kind == ListenerKind::Redirected {
            original_destination(&stream)
        } else {
            stream.local_addr().unwrap()
        };
        let ip = dialled.ip().to_canonical();
        let probed = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let _ = if probed.contains(&ip) {
            writeln!(stream, "authsome-probe {RUN_ID} {ip}")
        } else {
            writeln!(stream, "{kind:?} {}", SocketAddr::new(ip, dialled.port()))
        };
    }
}

fn original_destination(stream: &std::net::TcpStream) -> SocketAddr {
    if stream.local_addr().unwrap().ip().to_canonical().is_ipv4() {
        let address = getsockopt(&stream.as_fd(), sockopt::OriginalDst).unwrap();
        let ip = u32::from_be(address.sin_addr.s_addr);
        SocketAddr::new(IpAddr::V4(ip.into()), u16::from_be(address.sin_port))
    } else {
        let address = getsockopt(&stream.as_fd(), sockopt::Ip6tOriginalDst).unwrap();
        SocketAddr::new(
            IpAddr::V6(address.sin6_addr.s6_addr.into()),
            u16::from_be(address.sin6_port),
        )
    }
}

/// An answer that gives any name an address whose last byte tells the transport.
fn answer(query: &[u8], transport: u8) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, transport]);
    answer
}

/// Replies from the address that was asked, which `IPV6_RECVPKTINFO` tells.
fn names_by_udp(socket: &UdpSocket) {
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg,
    };
    use std::{io::IoSliceMut, os::fd::AsRawFd};
    loop {
        let mut buffer = [0; 512];
        let mut space = nix::cmsg_space!(nix::libc::in6_pktinfo, nix::libc::in_pktinfo);
        let (length, peer, asked) = {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<SockaddrIn6>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                MsgFlags::empty(),
            )
            .unwrap();
            let asked = received.cmsgs().unwrap().find_map(|message| {
                if let ControlMessageOwned::Ipv6PacketInfo(info) = message {
                    Some(info)
                } else {
                    None
                }
            });
            (received.bytes, received.address, asked)
        };
        let reply = answer(&buffer[..length], 1);
        let info = asked.unwrap();
        let control = [ControlMessage::Ipv6PacketInfo(&info)];
        let slices = [io::IoSlice::new(&reply)];
        let flags = MsgFlags::empty();
        sendmsg(socket.as_raw_fd(), &slices, &control, flags, peer.as_ref()).unwrap();
    }
}

fn names_by_tcp(listener: &TcpListener) {
    use std::io::Read;
    while let Ok((mut stream, _)) = listener.accept() {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut query).unwrap();
        let reply = answer(&query, 2);
        let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &reply].concat()).unwrap();
    }
}
