//! Every request is tried whole, in every split in two, and byte by byte.

use super::*;

/// What passed, and what stopped it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    passed: Vec<u8>,
    violation: Option<Violation>,
    waiting: bool,
}

fn feed<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut framer = Framer::new();
    let mut held = Vec::new();
    let mut passed = Vec::new();
    let mut violation = None;
    for chunk in chunks {
        held.extend_from_slice(chunk);
        let progress = framer.examine(&held);
        passed.extend(held.drain(..progress.released));
        violation = progress.violation;
    }
    Outcome { passed, violation, waiting: framer.is_waiting() }
}

/// The outcome, which must not depend on how the bytes arrive. Body bytes before a violation may have
/// passed or not; everything else is the same to the byte.
#[track_caller]
fn outcome(input: &[u8]) -> Outcome {
    let whole = feed([input]);
    let splits = (0..=input.len()).map(|at| feed([&input[..at], &input[at..]]));
    for split in splits.chain([feed(input.chunks(1))]) {
        assert_eq!((split.violation, split.waiting), (whole.violation, whole.waiting));
        match whole.violation {
            Some(Violation::Body(_)) => assert!(split.passed.starts_with(&whole.passed)),
            _ => assert_eq!(split.passed, whole.passed),
        }
        assert!(input.starts_with(&split.passed));
    }
    whole
}

#[track_caller]
fn passes(input: &str) {
    let outcome = outcome(input.as_bytes());
    assert_eq!(outcome.violation, None, "{input:?}");
    assert_eq!(outcome.passed, input.as_bytes(), "{input:?}");
}

#[track_caller]
fn bad_head(input: &str, code: &'static str) {
    let outcome = outcome(input.as_bytes());
    assert_eq!(outcome.violation, Some(Violation::Head(code)), "{input:?}");
    assert!(outcome.passed.is_empty(), "{input:?}");
}

#[track_caller]
fn bad_body(body: &str, code: &'static str) {
    let input = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let outcome = outcome(input.as_bytes());
    assert_eq!(outcome.violation, Some(Violation::Body(code)), "{body:?}");
}

/// A request with these lines after its request line.
fn with(lines: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

#[test]
fn ordinary_requests_pass() {
    passes("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    passes("GET / HTTP/1.0\r\n\r\n");
    passes("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t a\tb \u{e9} \r\n\r\n");
    passes("PUT https://a/%00?b=c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    passes("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n");
}

#[test]
fn pipelined_requests_pass_as_they_are() {
    passes(concat!(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /2 HTTP/1.1\r\ncontent-length:5\r\n\r\n\r\n\r\nx",
        "POST /3 HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n2;a=\"b\"\r\n\r\n\r\n0\r\nT: v\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
}

#[test]
fn a_head_is_held_until_it_is_complete() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..head.len() {
        assert!(feed([&head[..end]]).passed.is_empty());
    }
}

#[test]
fn body_bytes_pass_as_they_come() {
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let outcome = feed([&head[..], b"a\r\nabc"]);
    assert_eq!(outcome.passed.len(), head.len() + 6);
}

#[test]
fn what_follows_a_bad_head_never_passes() {
    let first = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let input = format!("{first}GET /2 HTTP/1.1\nHost: a\r\n\r\n{first}");
    let outcome = outcome(input.as_bytes());
    assert_eq!(outcome.violation, Some(Violation::Head("http-bare-lf")));
    assert_eq!(outcome.passed, first.as_bytes());
}

#[test]
fn ambiguous_lengths_are_refused() {
    for lines in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ] {
        bad_head(&with(lines), "http-length-and-encoding");
    }
    for lines in [
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\ncontent-length: 2",
        "Content-Length: 1, 1",
        "Content-Length: 1,2",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length:",
        "Content-Length: 1 1",
        "Content-Length: 0x1",
        "Content-Length: 1.0",
        "Content-Length: 99999999999999999999",
        "Content-Length: \u{661}",
    ] {
        bad_head(&with(lines), "http-content-length");
    }
}

#[test]
fn any_transfer_encoding_but_chunked_is_refused() {
    for lines in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding:",
    ] {
        bad_head(&with(lines), "http-transfer-encoding");
    }
    bad_head("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "http-transfer-encoding");
}

#[test]
fn lines_end_with_crlf_and_nothing_else() {
    bad_head("GET / HTTP/1.1\nHost: a\r\n\r\n", "http-bare-lf");
    bad_head("GET / HTTP/1.1\r\nHost: a\n\r\n", "http-bare-lf");
    bad_head("GET / HTTP/1.1\r\nHost: a\r\n\n", "http-bare-lf");
    bad_head("\nGET / HTTP/1.1\r\n\r\n", "http-bare-lf");
    bad_head(&with("A: b\rTransfer-Encoding: chunked"), "http-bare-cr");
    bad_head(&with("A: b\r"), "http-bare-cr");
    bad_head("GET /\r HTTP/1.1\r\n\r\n", "http-bare-cr");
}

#[test]
fn control_characters_are_refused() {
    for lines in ["A: \0", "A: b\x0b", "A\0: b", "A: \x7f", "A: \x1b[0m"] {
        bad_head(&with(lines), "http-control-character");
    }
    bad_head("GET /\0 HTTP/1.1\r\n\r\n", "http-control-character");
}

#[test]
fn folded_lines_are_refused() {
    bad_head(&with("A: b\r\n c"), "http-line-folding");
    bad_head(&with("A: b\r\n\tContent-Length: 5"), "http-line-folding");
    bad_head("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "http-line-folding");
}

#[test]
fn odd_header_names_are_refused() {
    for lines in [
        "Content-Length : 5",
        "Transfer-Encoding\t: chunked",
        "no colon",
        ": empty",
        "A(b): c",
        "\u{130}: c",
    ] {
        bad_head(&with(lines), "http-header-name");
    }
}

#[test]
fn odd_request_lines_are_refused() {
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "PRI * HTTP/2.0",
    ] {
        bad_head(&format!("{line}\r\nHost: a\r\n\r\n"), "http-request-line");
    }
}

#[test]
fn a_second_host_is_refused() {
    bad_head(&with("host: b"), "http-duplicate-host");
}

#[test]
fn a_head_has_a_limit() {
    let fits = with(&format!("A: {}", "b".repeat(MAX_HEAD - with("A: ").len())));
    assert_eq!(feed([fits.as_bytes()]).passed.len(), MAX_HEAD);
    let too_large = fits.replace("A: ", "A: b");
    let refused = Some(Violation::Head("http-head-too-large"));
    assert_eq!(feed([too_large.as_bytes()]).violation, refused);
    assert_eq!(feed(too_large.as_bytes().chunks(1000)).violation, refused);
    let endless = vec![b'a'; MAX_HEAD + 1];
    assert_eq!(feed(endless.chunks(1000)).violation, refused);
    assert_eq!(feed(b"\r\n".repeat(MAX_HEAD).chunks(1000)).violation, refused);
}

#[test]
fn chunk_sizes_are_plain_hexadecimal() {
    for body in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\t;a\r\n",
        "1\n",
        "1\rx",
        ";a\r\n",
        "1g\r\n",
        "1000000000000000\r\n",
        "0000000000000001\r\n",
        "ffffffffffffffff\r\n",
    ] {
        bad_body(body, "http-chunk-size");
    }
    passes("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n000\r\n\r\n");
}

#[test]
fn chunk_data_ends_with_crlf() {
    for body in ["1\r\naX", "1\r\na\n", "1\r\na\rX", "1\r\n\n0\r\n\r\n", "2\r\na\r\n0\r\n\r\n"] {
        bad_body(body, "http-chunk-end");
    }
}

#[test]
fn chunk_extensions_are_short_text() {
    for body in ["1;\n", "1;a=\0\r\n", "1;a\x7f\r\n", &format!("1;{}", "a".repeat(2000))] {
        bad_body(body, "http-chunk-extension");
    }
}

#[test]
fn trailers_are_header_lines_and_bounded() {
    for trailer in [
        " a: b\r\n\r\n",
        "a b: c\r\n\r\n",
        ": c\r\n\r\n",
        "a\r\n\r\n",
        "a: b\n\r\n",
        "a: b\rc",
        "a: \0\r\n",
        "\n",
        "\rX",
        "a: b\r\n c\r\n",
    ] {
        bad_body(&format!("0\r\n{trailer}"), "http-trailer");
    }
    let endless = format!(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}",
        "a: b\r\n".repeat(10_000)
    );
    assert_eq!(feed([endless.as_bytes()]).violation, Some(Violation::Body("http-trailer")));
}

#[test]
fn nothing_passes_after_a_request_that_may_switch() {
    for head in [
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "POST / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let outcome = outcome(format!("{head}\u{81}\0GET /").as_bytes());
        assert_eq!(outcome.passed, head.as_bytes());
        assert!(outcome.waiting && outcome.violation.is_none());
    }
}

#[test]
fn after_an_answer_the_next_request_is_checked() {
    let mut framer = Framer::new();
    let upgrade = b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(framer.examine(upgrade).released, upgrade.len());
    framer.answered();
    let next = b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n";
    let progress = framer.examine(next);
    assert_eq!(progress.released, 18);
    assert_eq!(progress.violation, Some(Violation::Head("http-bare-lf")));
}
