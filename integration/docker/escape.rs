//! An agent that looks for a way past the sidecar.

use std::collections::BTreeMap;

use super::pod::Pod;
use crate::support::docker::{OUTSIDE, OUTSIDE6};

/// Without a connection its host would be nobody's, and passed through.
const SECRET: &str = "--env=OPENAI_API_KEY=sk-proj-of-the-sidecar-and-nobody-else";

/// What an agent without capabilities gets, by the attempt's name in `escape.py`.
const REFUSED: [(&str, &str); 20] = [
    ("direct", "interceptor"),
    ("direct-v6", "interceptor"),
    ("mapped-v4", "interceptor"),
    ("mptcp", "interceptor"),
    ("fast-open", "interceptor"),
    // Redirected to a listener that this interface does not lead to.
    ("bound-to-device", "timeout"),
    ("bound-to-device-v6", "timeout"),
    ("mark", "EPERM"),
    ("mark-in-a-namespace", "EPERM"),
    ("rules", "EPERM"),
    ("transparent", "EPERM"),
    ("transparent-v6", "EPERM"),
    ("tcp-repair", "EPERM"),
    ("raw", "EPERM"),
    ("raw-v6", "EPERM"),
    ("packet", "EPERM"),
    ("udp", "refused"),
    ("udp-v6", "refused"),
    ("sidecars-user", "EPERM"),
    ("sysctl", "EROFS"),
];

/// Everything that `escape.py` tries, in an agent's container started with these flags.
fn attempts(pod: &Pod, flags: &[&str]) -> BTreeMap<String, String> {
    let script = ["python3", "-c", include_str!("escape.py"), OUTSIDE, OUTSIDE6, "api.openai.com"];
    let said = pod.agent_with(flags, &script).success();
    said.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, result)| (name.to_owned(), result.to_owned()))
        .collect()
}

/// What differs from what should be.
fn surprises(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) -> Vec<String> {
    expected
        .iter()
        .filter(|(name, result)| found.get(*name).map(String::as_str) != Some(result))
        .map(|(name, result)| format!("{name}: {:?}, not {result}", found.get(*name)))
        .collect()
}

#[test]
fn an_agent_without_capabilities_does_not_get_past_the_sidecar() {
    let Some(pod) = Pod::new() else { return };

    // Without a sidecar all of it arrives outside: what is refused later is refused by the sidecar.
    let open = attempts(&pod, &["--user=1000:1000", "--cap-drop=ALL"]);
    for name in [
        "direct",
        "direct-v6",
        "mapped-v4",
        "mptcp",
        "fast-open",
        "bound-to-device",
        "udp",
        "udp-v6",
    ] {
        assert_eq!(open.get(name).map(String::as_str), Some("outside"), "{name}: {open:?}");
    }

    pod.sidecar(&[SECRET], &["--from-env"]);
    let before = pod.engine.upstream.seen().len();
    let ordinary = ["--user=1000:1000", "--cap-drop=ALL"];
    let root = ["--user=0:0", "--cap-drop=ALL"];
    let same_id = ["--user=65532:65532", "--cap-drop=ALL"];
    let nesting = ["--user=1000:1000", "--cap-drop=ALL", "--security-opt=seccomp=unconfined"];
    for flags in [&ordinary[..], &root[..], &nesting[..]] {
        let found = attempts(&pod, flags);
        let surprises = surprises(&found, &REFUSED);
        assert!(surprises.is_empty(), "{flags:?}: {surprises:#?}");
    }
    // Nothing depends on the user id: an agent that has the sidecar's is redirected all the same.
    let same = attempts(&pod, &same_id);
    let found = surprises(&same, &REFUSED[..18]);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(pod.engine.upstream.seen().len(), before);
}

#[test]
fn the_capabilities_an_engine_gives_by_default_are_too_many() {
    let Some(pod) = Pod::new() else { return };
    pod.sidecar(&[SECRET], &["--from-env"]);

    let found = attempts(&pod, &["--user=0:0"]);

    // As SECURITY.md says: NET_RAW lets an agent set marks and write packets, which is why an
    // agent's container has to drop it. Ordinary connections and the rules are safe all the same.
    let with_net_raw = [
        ("direct", "interceptor"),
        ("direct-v6", "interceptor"),
        ("mark", "interceptor"),
        ("transparent", "interceptor"),
        ("rules", "EPERM"),
        ("udp", "refused"),
        ("raw", "done"),
        ("packet", "done"),
        ("sidecars-user", "done"),
    ];
    let surprises = surprises(&found, &with_net_raw);
    assert!(surprises.is_empty(), "{surprises:#?}");
}

#[test]
fn the_listeners_own_port_gives_no_more_than_the_redirection() {
    let Some(pod) = Pod::new() else { return };
    pod.sidecar(&[SECRET], &["--from-env"]);

    // Every port that listens in the shared network, asked for a host that no provider claims.
    let script = "import socket\n\
        ports = {int(line.split()[1].rsplit(':', 1)[1], 16) for name in ('tcp', 'tcp6')\n\
        \x20        for line in list(open('/proc/net/' + name))[1:] if line.split()[3] == '0A'}\n\
        print(*ports)\n";
    let ports = pod.agent(&["python3", "-c", script]).success();
    assert!(!ports.trim().is_empty());
    for port in ports.split_whitespace() {
        for address in ["127.0.0.1", "[::1]"] {
            let to = format!("::{address}:{port}");
            let url = "https://example.org/";
            pod.agent(&["curl", "-sk", "--max-time", "10", "--connect-to", &to, url]).run();
        }
    }
    for seen in pod.engine.upstream.seen() {
        assert_eq!(seen.header("authorization"), None, "{seen:?}");
    }

    // Abstract sockets belong to the network, so agents see them: there is none to speak to.
    let sockets = pod.agent(&["cat", "/proc/net/unix"]).success();
    assert!(!sockets.contains('@'), "{sockets}");
}
