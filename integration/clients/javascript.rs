//! JavaScript's runtimes, which bring their own roots.

use super::{account::OPENAI, client, node, row::Row, variants::URL};

const GROUP: &str = "javascript";
/// Node.js: `--use-openssl-ca` and `--use-system-ca` would make it read the system's.
pub(super) const NODE: &str = "own roots, others only by NODE_EXTRA_CA_CERTS";

fn fetch() -> String {
    format!("await fetch('{URL}').then(r => {{ if (!r.ok) throw r.status }})")
}

#[test]
fn node_fetch() {
    let command = [node(), "--input-type=module".to_owned(), "-e".to_owned(), fetch()];
    Row::new(GROUP, "node fetch", OPENAI, command).refuses_bare(NODE).check();
}

#[test]
fn node_https() {
    let script =
        format!("require('https').get('{URL}', r => process.exit(r.statusCode === 200 ? 0 : 1))");
    Row::new(GROUP, "node https", OPENAI, [node(), "-e".to_owned(), script])
        .refuses_bare(NODE)
        .check();
}

#[test]
fn bun() {
    let command = [client("node_modules/.bin/bun"), "-e".to_owned(), fetch()];
    Row::new(GROUP, "bun fetch", OPENAI, command).note("the system's roots too").check();
}

#[test]
fn deno() {
    let command = [client("node_modules/.bin/deno"), "eval".to_owned(), fetch()];
    Row::new(GROUP, "deno fetch", OPENAI, command)
        .speaks("h2")
        .needs(["HOME"])
        .refuses_bare("own roots, others only by DENO_CERT")
        .check();
}
