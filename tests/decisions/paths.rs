//! Spellings that hide where a request goes. Whatever an agent writes, either nothing reaches the server
//! or exactly what was decided about does; and nothing that any server reads as below `/admin` does.

use std::fmt::Write as _;

use super::{agent::Agent, stage::Stage};

/// Everything may be had but what is below `/admin`.
const OPEN: &str = "[[rule]]\nverdict = \"deny\"\nid = \"admin\"\npath = \"/admin/**\"\n";
/// Nothing may be had but what is below `/public`.
const CLOSED: &str = "default = \"deny\"\n\
                      [[rule]]\nverdict = \"allow\"\nid = \"public\"\npath = \"/public/**\"\n";

/// What an agent writes, and what comes of it where all is open but `/admin`, and where all is closed
/// but `/public`: what the server receives, or the status and code of the refusal.
type Trick = (&'static str, &'static str, &'static str);

const DENIED: &str = "403 policy-denied";
const BAD: &str = "400 bad-path";
/// Refused before it is a request.
const NONE: &str = "400 -";

/// One a line, so that another is easily added.
#[rustfmt::skip]
const TRICKS: &[Trick] = &[
    // As it should be.
    ("/public/a", "/public/a", "/public/a"),
    ("/public", "/public", "/public"),
    ("/other", "/other", DENIED),
    ("/admin", DENIED, DENIED),
    ("/admin/users", DENIED, DENIED),
    ("/administrator", "/administrator", DENIED),
    // Dots.
    ("/./admin/users", DENIED, DENIED),
    ("/x/../admin/users", DENIED, DENIED),
    ("/public/../admin/users", DENIED, DENIED),
    ("/public/../../../admin", DENIED, DENIED),
    ("/public/x/../y", "/public/y", "/public/y"),
    ("/public/..", "/", DENIED),
    ("/public/.", "/public/", "/public/"),
    ("/admin/..", "/", DENIED),
    ("/admin/../public/a", "/public/a", "/public/a"),
    ("/public/.../admin", "/public/.../admin", "/public/.../admin"),
    // Escaped dots and letters.
    ("/public/%2e%2e/admin/users", DENIED, DENIED),
    ("/public/%2E./admin/users", DENIED, DENIED),
    ("/public/.%2e/admin", DENIED, DENIED),
    ("/%61dmin/users", DENIED, DENIED),
    ("/%61%64%6D%69%6E", DENIED, DENIED),
    ("/p%75blic/a", "/public/a", "/public/a"),
    ("/public/%7Ea%2d", "/public/~a-", "/public/~a-"),
    // Escaped slashes.
    ("/admin%2fusers", DENIED, DENIED),
    ("/%2fadmin", DENIED, DENIED),
    ("/public%2f..%2fadmin", DENIED, DENIED),
    ("/public/..%2fadmin/users", DENIED, DENIED),
    ("/public/%2e%2e%2fadmin", DENIED, DENIED),
    ("/admin/..%2fpublic/a", DENIED, DENIED),
    ("/public/a%2fb", "/public/a%2Fb", "/public/a%2Fb"),
    ("/public%2fa", "/public%2Fa", DENIED),
    // Escaped twice, and thrice.
    ("/%2561dmin/users", DENIED, DENIED),
    ("/public/%252e%252e/admin", DENIED, DENIED),
    ("/public/..%252fadmin", DENIED, DENIED),
    ("/public/%25252e%25252e%25252fadmin", DENIED, DENIED),
    ("/admin%252fusers", DENIED, DENIED),
    // Backslashes.
    ("/public\\..\\admin", DENIED, DENIED),
    ("/public/..\\admin", DENIED, DENIED),
    ("/public/%5c..%5c..%5cadmin", DENIED, DENIED),
    ("/\\admin", DENIED, DENIED),
    // Parameters.
    ("/admin;x=1", DENIED, DENIED),
    ("/admin;/users", DENIED, DENIED),
    ("/;/admin", DENIED, DENIED),
    ("/;x/admin;y/users", DENIED, DENIED),
    ("/public/..;/admin/users", DENIED, DENIED),
    ("/public/..;a=b/admin", DENIED, DENIED),
    ("/public/.;/../admin", "/public/admin", "/public/admin"),
    ("/admin%3bx", DENIED, DENIED),
    ("/public/..%3b/admin", DENIED, DENIED),
    ("/public;v=1/a", "/public;v=1/a", DENIED),
    ("/public/a;v=1", "/public/a;v=1", "/public/a;v=1"),
    // Empty segments, and slashes at the end.
    ("//admin/users", DENIED, DENIED),
    ("///admin", DENIED, DENIED),
    ("/public//../admin", "/public/admin", "/public/admin"),
    ("/public//../../admin", DENIED, DENIED),
    ("/admin/", DENIED, DENIED),
    ("/admin//", DENIED, DENIED),
    ("//public/a", "//public/a", DENIED),
    ("/public//a", "/public//a", "/public//a"),
    ("/public/", "/public/", "/public/"),
    // Letters in another case, and letters that look alike.
    ("/ADMIN/users", DENIED, DENIED),
    ("/Admin", DENIED, DENIED),
    ("/%41dmin", DENIED, DENIED),
    ("/PUBLIC/a", "/PUBLIC/a", DENIED),
    ("/\u{ff41}dmin", "/%EF%BD%81dmin", DENIED),
    // What is no escape, or of a character in a form it does not have.
    ("/public/%c0%ae%c0%ae/admin", BAD, BAD),
    ("/public/..%c0%afadmin", BAD, BAD),
    ("/%e0%80%afadmin", BAD, BAD),
    ("/public/%u002e%u002e/admin", BAD, BAD),
    ("/public/%2", BAD, BAD),
    ("/public/%", BAD, BAD),
    ("/public/%zz", BAD, BAD),
    // Control characters.
    ("/admin%00", BAD, BAD),
    ("/public/..%00/admin", BAD, BAD),
    ("/public/%0d%0aX:%20y", BAD, BAD),
    ("/admin%09", BAD, BAD),
    ("/admin%7f", BAD, BAD),
    ("/public/\0/../admin", NONE, NONE),
    ("/public/\t/../admin", NONE, NONE),
    ("/public/a b", NONE, NONE),
    ("/public/%20", "/public/%20", "/public/%20"),
    // Queries and fragments.
    ("/admin?x", DENIED, DENIED),
    ("/public/a?/../admin", "/public/a?/../admin", "/public/a?/../admin"),
    ("/public?/../../admin", "/public?/../../admin", "/public?/../../admin"),
    ("/public/a?b=%2e%2e/admin#c", "/public/a?b=%2e%2e/admin", "/public/a?b=%2e%2e/admin"),
    ("/admin#/../public", DENIED, DENIED),
    ("/public/%23/../../admin", DENIED, DENIED),
    ("/public/%3f/../../admin", DENIED, DENIED),
    ("/admin%3fx", "/admin%3Fx", DENIED),
    ("/public/a%3fb", "/public/a%3Fb", "/public/a%3Fb"),
    // Whole URIs.
    ("https://api.acme.test/public/a", "/public/a", "/public/a"),
    ("https://api.acme.test/admin/users", DENIED, DENIED),
    ("HTTPS://API.ACME.TEST/public/../admin", DENIED, DENIED),
    ("https://api.acme.test:443/admin", DENIED, DENIED),
    ("https://api.acme.test", "/", DENIED),
    ("https://api.acme.test?/admin", "/?/admin", DENIED),
    ("https://api.acme.test:8443/public/a", "421 misdirected", "421 misdirected"),
    ("https://other.acme.test/public/a", "421 misdirected", "421 misdirected"),
    ("http://api.acme.test/public/a", "421 misdirected", "421 misdirected"),
    ("https://x@api.acme.test/public/a", "421 misdirected", "421 misdirected"),
    ("https://api.acme.test@other.acme.test/public/a", "421 misdirected", "421 misdirected"),
    ("ftp://api.acme.test/public/a", "421 misdirected", "421 misdirected"),
    // No path.
    ("*", BAD, BAD),
    ("admin", "421 misdirected", "421 misdirected"),
    ("admin/users", NONE, NONE),
    ("?/admin", NONE, NONE),
    ("", NONE, NONE),
];

fn head(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: api.acme.test\r\nConnection: close\r\n\r\n")
}

/// Was it sent as `expected` says, or refused, and never below `/admin`?
fn verify(stage: &Stage, told: &str, expected: &str) -> Result<(), String> {
    let received = stage.server.take();
    if let Some(hidden) = received.iter().find(|seen| is_admin(&seen.target)) {
        return Err(format!("{} was reached", hidden.target));
    }
    let targets: Vec<_> = received.iter().map(|seen| seen.target.as_str()).collect();
    let holds = match expected.strip_prefix('/') {
        Some(_) => told == "200 -" && targets == [expected],
        None => told == expected && targets.is_empty(),
    };
    if holds { Ok(()) } else { Err(format!("{told}, received {targets:?}")) }
}

async fn raw(agent: &Agent, target: &str) -> String {
    let answer = agent.raw("api.acme.test", head(target).as_bytes()).await;
    answer.map_or_else(
        || "closed".to_owned(),
        |answer| format!("{} {}", answer.status, answer.code()),
    )
}

async fn every_trick(policy: &str, expected: impl Fn(&Trick) -> &'static str) {
    let stage = Stage::new(&[("policy.toml", policy)]).await;
    let agent = stage.agent("codex");
    let mut failures = String::new();
    for trick in TRICKS {
        let told = raw(&agent, trick.0).await;
        if let Err(failure) = verify(&stage, &told, expected(trick)) {
            writeln!(failures, "{:?} is to be {:?}: {failure}", trick.0, expected(trick)).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[tokio::test]
async fn no_spelling_gets_to_what_is_denied() {
    every_trick(OPEN, |trick| trick.1).await;
}

#[tokio::test]
async fn no_spelling_gets_out_of_what_is_allowed() {
    every_trick(CLOSED, |trick| trick.2).await;
}

/// HTTP/2 has a parser of its own; what it can say is decided as on HTTP/1.1.
#[tokio::test]
async fn http_2_is_no_other_way() {
    for (policy, closed) in [(OPEN, false), (CLOSED, true)] {
        let stage = Stage::new(&[("policy.toml", policy)]).await;
        let agent = stage.agent("codex");
        let mut sender = agent.http2("api.acme.test").await;
        let (mut failures, mut said) = (String::new(), 0);
        for trick in TRICKS {
            let expected = if closed { trick.2 } else { trick.1 };
            let whole = format!("https://api.acme.test{}", trick.0);
            let Some(uri) = whole.parse::<http::Uri>().ok().filter(|_| trick.0.starts_with('/'))
            else {
                continue;
            };
            said += 1;
            let answer = Agent::get2(&mut sender, uri).await.unwrap();
            let told = format!("{} {}", answer.status, answer.code());
            if let Err(failure) = verify(&stage, &told, expected) {
                writeln!(failures, "{:?} is to be {expected:?}: {failure}", trick.0).unwrap();
            }
        }
        assert!(failures.is_empty(), "{failures}");
        assert!(said > TRICKS.len() / 2, "only {said} could be said");
    }
}

#[tokio::test]
async fn a_long_way_round_is_as_far_as_a_short_one() {
    let stage = Stage::new(&[("policy.toml", OPEN)]).await;
    let agent = stage.agent("codex");
    let deep =
        |count: usize| format!("/public/{}{}admin", "a/".repeat(count), "../".repeat(count + 1));
    let slashes = format!("{}admin", "/".repeat(4000));
    let escaped = format!("/%{}61dmin", "25".repeat(2000));
    for target in [deep(100), deep(5000), slashes, escaped] {
        let told = raw(&agent, &target).await;
        let received = stage.server.take();
        assert!(received.is_empty(), "{told}, received {received:?}");
        assert!(told.starts_with('4'), "{told}");
    }
    // More than a head may have is not even looked at.
    let told = raw(&agent, &deep(20_000)).await;
    assert!(!told.starts_with('2') && stage.server.take().is_empty(), "{told}");
}

/// Does any kind of server read a target as below `/admin`? Each knows less than all of them together,
/// and none is the product's own reading.
fn is_admin(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap();
    let once = unescape(path);
    let twice = unescape(&once);
    let readings = [
        // One that compares what it is sent.
        path.to_owned(),
        // One that resolves dots first and decodes then.
        unescape(&resolve(path)),
        // One that decodes and resolves then, merging slashes or not.
        resolve(&once),
        resolve(&merge(&once)),
        // One behind a proxy that decodes as well.
        resolve(&merge(&twice)),
        // One that drops parameters, before it decodes or after.
        resolve(&merge(&unescape(&bare(path)))),
        resolve(&merge(&bare(&once))),
        resolve(&merge(&bare(&twice))),
        // One for which a backslash is a slash.
        resolve(&merge(&once.replace('\\', "/"))),
        resolve(&merge(&twice.replace('\\', "/"))),
    ];
    readings.iter().any(|reading| {
        let reading = reading.to_ascii_lowercase();
        let rest = reading.trim_start_matches('/').strip_prefix("admin");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ';', '\\', '\0']))
    })
}

fn unescape(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

fn merge(path: &str) -> String {
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    format!("/{}", segments.join("/"))
}

fn bare(path: &str) -> String {
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap());
    segments.collect::<Vec<_>>().join("/")
}

fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[test]
fn what_hides_admin_from_some_does_not_hide_it_from_this_test() {
    for target in [
        "/admin",
        "/ADMIN/x",
        "//admin",
        "/a/../admin",
        "/%61dmin",
        "/%2561dmin",
        "/a/..%2fadmin",
        "/a/..;/admin",
        "/;/admin",
        "/admin;x",
        "/a/..%5cadmin",
        "/a\\..\\admin",
        "/admin?x",
    ] {
        assert!(is_admin(target), "{target}");
    }
    for target in ["/", "/public/a", "/administrator", "/x/admin", "/public/a?/../admin"] {
        assert!(!is_admin(target), "{target}");
    }
}
