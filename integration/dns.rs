//! Names inside the namespace: whatever resolver is asked, over whatever transport, the answer is ours
//! and comes from the address that was asked.

use crate::support::{Scene, text};

/// Asks a resolver for a record type of a name; prints response code and addresses.
const ASK: &str = r#"
import socket, struct, sys

def query(name, kind):
    labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.'))
    return struct.pack('>HHHHHH', 0x1234, 0x0100, 1, 0, 0, 0) + labels + b'\0' + struct.pack('>HH', kind, 1)

def show(reply):
    ident, flags, _, answers = struct.unpack('>HHHH', reply[:8])
    assert ident == 0x1234 and flags & 0x8000
    return flags & 15, answers, socket.inet_ntoa(reply[-4:]) if answers else None

def udp(server, name, kind):
    family = socket.AF_INET6 if ':' in server else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    # Unconnected, so that a reply from another address would be taken, and seen.
    s.sendto(query(name, kind), (server, 53))
    reply, source = s.recvfrom(4096)
    assert source[0] == server, source
    return show(reply)

def tcp(server, name, kind):
    s = socket.create_connection((server, 53), 5)
    q = query(name, kind)
    s.sendall(struct.pack('>H', len(q)) + q)
    length, = struct.unpack('>H', s.recv(2))
    return show(s.recv(length))
"#;

fn ask(scene: &Scene, script: &str) -> String {
    let output = scene.run(["/usr/bin/python3", "-c", &format!("{ASK}\n{script}")]).run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn every_resolver_answers_from_its_own_address() {
    let scene = Scene::new();
    let script = "for server in '8.8.8.8', '127.0.0.53', '10.0.0.1', '2001:4860:4860::8888', '::1':\n\
                  \x20   code, answers, address = udp(server, 'api.openai.com', 1)\n\
                  \x20   print(code, answers, address)\n\
                  print(*tcp('1.1.1.1', 'api.openai.com', 1))\n";
    let output = ask(&scene, script);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 6, "{output}");
    assert!(lines[0].starts_with("0 1 198.1"), "{output}");
    // One address a name, whoever is asked.
    assert!(lines.iter().all(|line| *line == lines[0]), "{output}");
}

#[test]
fn nothing_that_leads_round_us_is_ever_learnt() {
    let scene = Scene::new();
    // AAAA (28), SVCB (64) and HTTPS (65): there is the name, and it has no such record.
    let script = "for kind in 28, 64, 65: print(*udp('8.8.8.8', 'api.openai.com', kind))\n\
                  for kind in 16, 15, 255: print(udp('8.8.8.8', 'exfiltrated.example', kind)[0])\n";
    assert_eq!(ask(&scene, script), "0 0 None\n0 0 None\n0 0 None\n5\n5\n5\n");
}

#[test]
fn the_hosts_file_and_localhost_work_as_before() {
    let scene = Scene::new();
    let output = scene.run(["getent", "hosts", "localhost"]).success();
    assert!(output.contains("127.0.0.1") || output.contains("::1"), "{output}");
}
