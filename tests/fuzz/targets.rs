//! What is fuzzed: functions that take whatever bytes there are, and check what must hold for all of
//! them. libFuzzer calls them through `fuzz_targets/`, the gate through `mod.rs`.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, LazyLock},
};

use authsome::{
    gate::Change,
    interceptor::{NameTable, dns, inject, strict::StrictHttp1},
    provider::Definition,
    scrub::Scrubber,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request};
use secrecy::SecretString;
use tokio::{
    io::AsyncReadExt as _,
    runtime::{Builder, Runtime},
};

const SECRET: &str = "sk-live-0123456789abcdefghij";
const PLACEHOLDER: &str = "sk-fake-aaaaaaaaaaaaaaaaaaaa";

/// A target and its name, which is also that of its corpus.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const ALL: [Target; 5] = [
    ("strict", strict),
    ("dns", names),
    ("inject", injected),
    ("scrub", scrub),
    ("provider", provider),
];

/// However a request is cut into pieces, the server is shown the same of it.
pub(crate) fn strict(data: &[u8]) {
    let (step, data) = data.split_first().map_or((1, data), |(step, rest)| (*step, rest));
    let whole = delivered(&[data]);
    let pieces: Vec<&[u8]> = data.chunks(usize::from(step % 17) + 1).collect();
    let cut = delivered(&pieces);
    // A body's error may take with it what came in the same piece.
    assert!(whole == cut || whole.starts_with(&cut) || cut.starts_with(&whole), "{data:?}");
}

/// What comes out of the framer until it ends, fails or waits.
fn delivered(pieces: &[&[u8]]) -> Vec<u8> {
    // Nobody waits; but the framer has a timer for a head that does not end.
    static TIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let _in_runtime = TIME.enter();
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut framed = StrictHttp1::new(near, Box::new(|_| {}));
    let mut seen = Vec::new();
    for piece in pieces {
        let sent = tokio::io::AsyncWriteExt::write_all(&mut far, piece).now_or_never();
        if !matches!(sent, Some(Ok(()))) {
            return seen;
        }
        while let Some(Ok(1..)) = framed.read_buf(&mut seen).now_or_never() {}
    }
    seen
}

/// A reply is a reply to the query, small, and the same name keeps its address.
pub(crate) fn names(query: &[u8]) {
    let table = NameTable::new(BTreeMap::<String, Ipv4Addr>::new());
    let Some(answer) = dns::answer(query, &table) else { return };
    assert!(answer.bytes.len() <= 512);
    assert_eq!(answer.bytes.get(..2), query.get(..2));
    assert!(answer.bytes.get(2).is_some_and(|flags| flags & 0x80 != 0));
    if answer.new_name.is_some() {
        let again = dns::answer(query, &table).expect("an answer once more");
        assert_eq!((again.bytes, again.new_name), (answer.bytes, None));
    }
}

/// After an injection the slot holds the credential and nothing of the agent's.
pub(crate) fn injected(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let uri = lines.next().unwrap_or_default();
    let mut request = Request::get(uri);
    for line in lines {
        let (name, value) = line.split_at(line.len().min(13));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(()) else { return };
    let mut parts = request.into_parts().0;
    let name = HeaderName::from_static("authorization");
    let value = SecretString::from(SECRET);
    let changes = [
        Change::RemoveHeader(name.clone()),
        Change::SetHeader(name.clone(), HeaderValue::from_static(SECRET)),
        Change::SetQuery { name: "key".to_owned(), value: value.clone() },
        Change::SetCookie { name: "session".to_owned(), value: value.clone() },
        Change::SetPathSegment { prefix: "/bot".to_owned(), value },
    ];
    if inject::apply(&mut parts, &changes).is_err() {
        return;
    }
    let values: Vec<_> = parts.headers.get_all(name).iter().collect();
    assert_eq!(values, [SECRET]);
    let query = parts.uri.query().unwrap_or_default();
    let keys: Vec<_> = query.split('&').filter(|pair| pair.starts_with("key=")).collect();
    assert_eq!(keys, [format!("key={SECRET}")], "{query}");
}

/// However a body is cut into pieces, no secret comes out, and as many bytes as went in.
pub(crate) fn scrub(data: &[u8]) {
    let (step, data) = data.split_first().map_or((1, data), |(step, rest)| (*step, rest));
    let at = usize::from(step).min(data.len());
    let (before, after) = data.split_at(at);
    let body = [before, SECRET.as_bytes(), after].concat();
    let scrubber = Arc::new(Scrubber::new(&[(SECRET.into(), PLACEHOLDER.to_owned())]));
    let mut stream = scrubber.stream();
    let mut out = Vec::new();
    for piece in body.chunks(usize::from(step % 23) + 1) {
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&stream.finish());
    assert_eq!(out.len(), body.len());
    assert!(!out.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{data:?}");
}

/// A definition is taken or refused.
pub(crate) fn provider(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Definition::parse_toml(text, "fuzz");
        let _ = Definition::parse_json(text, "fuzz");
    }
}
