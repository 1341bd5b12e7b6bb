//! Package managers, each against a company's own registry or the public one.

use super::{
    account::{NPM, PACKAGES},
    client,
    row::Row,
};

const GROUP: &str = "packages";
const INDEX: &str = "https://packages.example.com/simple/";

fn pip(python: String) -> Row {
    let ask = ["-m", "pip", "index", "versions", "demo", "--index-url", INDEX];
    let command = [python].into_iter().chain(ask.map(str::to_owned));
    Row::new(GROUP, "pip", PACKAGES, command)
        .environment("VIRTUAL_ENV", client("python"))
        .asks("/simple/demo/")
}

#[test]
fn pip_with_its_own_roots() {
    pip(super::python()).check();
}

#[test]
fn uv() {
    let python = super::python();
    let ask = ["pip", "install", "--dry-run", "--no-deps", "--index-url", INDEX, "--python"];
    let uv = [client("python/bin/uv")].into_iter().chain(ask.map(str::to_owned));
    Row::new(GROUP, "uv", PACKAGES, uv.chain([python, "demo".to_owned()]))
        .speaks("h2")
        .lasting()
        .needs(["HOME"])
        .refuses_bare("own roots, the system's only by UV_SYSTEM_CERTS")
        .check();
}

#[test]
fn npm() {
    // As the distribution's Node.js runs it, it may have the system's roots.
    let npm = std::fs::canonicalize("/usr/bin/npm").unwrap().to_string_lossy().into_owned();
    Row::new(GROUP, "npm", NPM, [super::node(), npm, "ping".to_owned()])
        .needs(["HOME", "PATH"])
        .refuses_bare(super::javascript::NODE)
        .check();
}

#[test]
fn cargo() {
    let index = "sparse+https://packages.example.com/index/";
    Row::new(
        GROUP,
        "cargo",
        PACKAGES,
        [client("bin/cargo").as_str(), "search", "demo", "--index", index],
    )
    .speaks("h2")
    .asks("/api/v1/crates")
    .needs(["HOME"])
    .check();
}

#[test]
fn go() {
    Row::new(GROUP, "go", PACKAGES, ["go", "list", "-m", "-versions", "example.com/demo"])
        .speaks("h2")
        .variable("GOPROXY", "https://packages.example.com")
        .variable("GOFLAGS", "-mod=mod")
        .variable("GOSUMDB", "off")
        .needs(["HOME", "PATH", "GOPROXY", "GOFLAGS", "GOSUMDB"])
        .asks("/example.com/demo/@v/list")
        .check();
}
