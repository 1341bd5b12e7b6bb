//! Programs for the command line.

use super::{
    account::{AWS, DOCKER, GIT, GITHUB, OPENAI},
    client,
    row::Row,
    variants::URL,
};

const GROUP: &str = "tools";

#[test]
fn curl() {
    Row::new(GROUP, "curl", OPENAI, ["curl", "-sS", URL]).speaks("h2").check();
}

#[test]
fn wget() {
    Row::new(GROUP, "wget", OPENAI, ["wget", "-q", "-O", "-", URL]).check();
}

#[test]
fn git() {
    let ask = ["git", "ls-remote", "https://github.com/owner/private.git"];
    Row::new(GROUP, "git", GIT, ask).speaks("h2").asks("/owner/private.git/info/refs").check();
}

#[test]
fn gh() {
    Row::new(GROUP, "gh", GITHUB, ["gh", "api", "user"])
        .speaks("h2")
        .variable("GH_TOKEN", "ghp_000000000000000000000000000000000000")
        .needs(["HOME", "GH_TOKEN"])
        .check();
}

#[test]
fn aws() {
    let ask = ["bedrock", "list-foundation-models", "--region", "us-east-1"];
    let python = [super::python(), client("python/bin/aws")];
    Row::new(GROUP, "aws", AWS, python.into_iter().chain(ask.map(str::to_owned)))
        .environment("VIRTUAL_ENV", client("python"))
        .variable("AWS_BEARER_TOKEN_BEDROCK", "placeholder")
        .needs(["AWS_BEARER_TOKEN_BEDROCK"])
        .note("with an API key; signed requests are not supported")
        .check();
}

#[test]
fn skopeo() {
    let image = "docker://docker.io/library/demo:latest";
    Row::new(GROUP, "skopeo", DOCKER, ["skopeo", "inspect", "--raw", image])
        .asks("/token")
        .with_own_roots()
        // Else it looks into a directory of the system's, which may be another's.
        .file("auth.json", "{}")
        .variable("REGISTRY_AUTH_FILE", "auth.json")
        .needs(["HOME", "REGISTRY_AUTH_FILE"])
        .note("docker pull's exchange: challenge, token service, registry")
        .check();
}
