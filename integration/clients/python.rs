//! Python's ways to HTTPS: the system's roots, and certifi's.

use super::{account::OPENAI, row::Row, variants::URL};

const GROUP: &str = "python";

fn row(name: &'static str, script: String) -> Row {
    Row::new(GROUP, name, OPENAI, [super::python(), "-c".to_owned(), script])
        .environment("VIRTUAL_ENV", super::client("python"))
}

#[test]
fn urllib() {
    let script = format!("import urllib.request as r; print(r.urlopen('{URL}').read())");
    row("urllib", script).check();
}

#[test]
fn certifi() {
    let script = format!(
        "import certifi, ssl, urllib.request as r; \
         r.urlopen('{URL}', context=ssl.create_default_context(cafile=certifi.where()))"
    );
    row("urllib + certifi", script).check();
}

#[test]
fn requests() {
    row("requests", format!("import requests; requests.get('{URL}').raise_for_status()")).check();
}

#[test]
fn httpx() {
    let script = format!("import httpx; httpx.Client(http2=True).get('{URL}').raise_for_status()");
    row("httpx", script).speaks("h2").check();
}

#[test]
fn aiohttp() {
    let script = format!(
        "import aiohttp, asyncio\n\
         async def main():\n\
         \x20 async with aiohttp.request('GET', '{URL}') as r: r.raise_for_status()\n\
         asyncio.run(main())"
    );
    row("aiohttp", script).check();
}
