//! Protocols, sizes and parallelism through a real namespace.

use std::time::{Duration, Instant};

use crate::support::{KEY, Scene, text};

#[test]
fn a_large_download_and_upload_keep_every_byte_and_the_daemons_memory() {
    let scene = Scene::connected();
    let mebibytes = 1024;
    scene.run(["curl", "-sS", "-o", "/dev/null", "https://api.openai.com/download/1"]).success();
    let daemon = scene.daemon_pid().unwrap();
    let before = resident(daemon);
    let script = format!(
        "curl -sS https://api.openai.com/download/{mebibytes} | wc -c; \
         head -c {mebibytes}M /dev/zero | curl -sS -T - -X POST https://api.openai.com/upload"
    );
    let output = scene.run(["sh", "-c", &script]).success();
    let bytes = u64::from(mebibytes as u32) * 1024 * 1024;
    assert_eq!(output, format!("{bytes}\n{bytes}"));
    let grown = resident(daemon).saturating_sub(before);
    assert!(grown < 48 * 1024, "grown by {grown} KiB");
}

/// Resident memory in KiB (proc_pid_status(5)).
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn events_arrive_as_they_are_sent() {
    let scene = Scene::connected();
    let script = "curl -sSN https://api.openai.com/events | while read -r line; do \
                  if [ -n \"$line\" ]; then echo \"$(date +%s%N) $line\"; fi; done";
    let output = scene.run(["bash", "-c", script]).success();
    let times: Vec<u64> =
        output.lines().map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
    assert_eq!(times.len(), 5, "{output}");
    // The server pauses between events: had they been held back, they would come together.
    let spread = Duration::from_nanos(times[4] - times[0]);
    assert!(spread > Duration::from_millis(800), "{spread:?}");
}

#[test]
fn a_thousand_parallel_streams_all_carry_the_credential() {
    let scene = Scene::connected();
    let urls = "for i in $(seq 1000); do printf 'url = https://api.openai.com/v1/models?n=%s\\n\
                output = /dev/null\\n' $i; done | curl -sS --http2 --parallel --parallel-max 1000 -K -";
    scene.run(["bash", "-c", urls]).success();
    let bearer = format!("Bearer {KEY}");
    let seen = scene.upstream.seen();
    assert_eq!(seen.len(), 1000);
    assert!(seen.iter().all(|seen| seen.header("authorization") == Some(&bearer)));
}

#[test]
fn five_hundred_connections_at_once_are_all_served() {
    let scene = Scene::connected();
    let script = "import socket, ssl\n\
        context = ssl.create_default_context()\n\
        open_ = []\n\
        for number in range(500):\n\
        \x20   raw = socket.create_connection(('api.openai.com', 443))\n\
        \x20   open_.append(context.wrap_socket(raw, server_hostname='api.openai.com'))\n\
        for s in open_: s.sendall(b'GET /all HTTP/1.1\\r\\nHost: api.openai.com\\r\\n\\r\\n')\n\
        print(sum(s.recv(4096).startswith(b'HTTP/1.1 200') for s in open_))\n";
    assert_eq!(scene.run(["/usr/bin/python3", "-c", script]).success(), "500\n");
    let bearer = format!("Bearer {KEY}");
    let seen = scene.upstream.seen();
    assert_eq!(
        seen.iter().filter(|seen| seen.header("authorization") == Some(&bearer)).count(),
        500
    );
}

/// A WebSocket in its bytes (RFC 6455): masked frames up, and back what was sent, here unchanged.
#[test]
fn a_websocket_carries_a_hundred_thousand_frames() {
    let scene = Scene::connected();
    let script = "import socket, ssl, threading\n\
        raw = socket.create_connection(('api.openai.com', 443))\n\
        s = ssl.create_default_context().wrap_socket(raw, server_hostname='api.openai.com')\n\
        s.sendall(b'GET /websocket HTTP/1.1\\r\\nHost: api.openai.com\\r\\nConnection: Upgrade\\r\\n'\n\
        \x20         b'Upgrade: websocket\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n'\n\
        \x20         b'Sec-WebSocket-Version: 13\\r\\n\\r\\n')\n\
        head = b''\n\
        while b'\\r\\n\\r\\n' not in head: head += s.recv(1)\n\
        assert head.startswith(b'HTTP/1.1 101'), head\n\
        frames = b''.join(bytes([0x82, 0x84, 0, 0, 0, 0]) + n.to_bytes(4, 'big') for n in range(100000))\n\
        def send():\n\
        \x20   for at in range(0, len(frames), 16384): s.sendall(frames[at:at + 16384])\n\
        sender = threading.Thread(target=send); sender.start()\n\
        got = b''\n\
        while len(got) < len(frames):\n\
        \x20   part = s.recv(65536)\n\
        \x20   if not part: break\n\
        \x20   got += part\n\
        sender.join()\n\
        print(got == frames)\n";
    assert_eq!(scene.run(["/usr/bin/python3", "-c", script]).success(), "True\n");
    assert_eq!(
        scene.upstream.seen()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
}

#[test]
fn smuggling_is_answered_with_400_and_not_sent_on() {
    let scene = Scene::connected();
    let requests = [
        "POST / HTTP/1.1\\r\\nHost: api.openai.com\\r\\nContent-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
        "POST / HTTP/1.1\\r\\nHost: api.openai.com\\r\\nContent-Length: 4\\r\\nContent-Length: 4\\r\\n\\r\\nabcd",
        "GET / HTTP/1.1\\nHost: api.openai.com\\n\\n",
    ];
    for request in requests {
        let script = format!(
            "printf '{request}' | timeout 5 openssl s_client -quiet -connect api.openai.com:443 \
             -servername api.openai.com 2>/dev/null"
        );
        let output = scene.run(["sh", "-c", &script]).run();
        assert!(
            text(&output.stdout).starts_with("HTTP/1.1 400"),
            "{request}: {}",
            text(&output.stdout)
        );
    }
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn an_upstream_that_is_not_there_is_a_problem_that_says_so() {
    let scene = Scene::connected();
    let began = Instant::now();
    let output = scene
        .authsome([
            "run",
            "--resolve",
            "api.openai.com:443:127.0.0.1:1",
            "--",
            "curl",
            "-sS",
            "-i",
            "https://api.openai.com/",
        ])
        .success();
    assert!(output.contains("502"), "{output}");
    assert!(output.contains("application/problem+json"), "{output}");
    assert!(output.contains("upstream-refused"), "{output}");
    let output =
        scene.authsome(["run", "--", "curl", "-sS", "-i", "https://api.openai.com/"]).success();
    assert!(output.contains("upstream-dns"), "{output}");
    assert!(began.elapsed() < Duration::from_secs(60));
    let log = scene.authsome(["log", "--json"]).success();
    assert!(log.contains("upstream-refused") && log.contains("upstream-dns"), "{log}");
}

#[test]
fn the_upstream_is_reached_through_the_users_own_proxy() {
    use std::io::{Read, Write};
    let scene = Scene::connected();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://user:pa%73s@{}", listener.local_addr().unwrap());
    let upstream = scene.upstream.address;
    let (sender, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        sender.send(text(&head)).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let mut server = std::net::TcpStream::connect(upstream).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut server, &mut client);
    });
    let mut program = scene.authsome(["run", "--upstream-ca"]);
    program.command.arg(scene.ca_file()).args(["--", "curl", "-sS", "https://api.openai.com/"]);
    program.env("HTTPS_PROXY", proxy).success();
    let head = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(head.starts_with("CONNECT api.openai.com:443 HTTP/1.1\r\n"), "{head}");
    // user:pass
    assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz"), "{head}");
    assert_eq!(
        scene.upstream.seen()[0].header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
}
