//! Agents as people run them. They go on about the answer; what counts is what reached the API.

use super::{
    account::{ANTHROPIC, GEMINI, OPENAI},
    client, node,
    row::Row,
};

const GROUP: &str = "agents";

#[test]
fn claude_code() {
    Row::new(GROUP, "claude", ANTHROPIC, [&client("node_modules/.bin/claude"), "-p", "hi"])
        .variable("ANTHROPIC_API_KEY", "sk-ant-none")
        .needs(["HOME", "PATH", "ANTHROPIC_API_KEY"])
        .asks("/v1/messages")
        .lasting()
        .check();
}

#[test]
fn codex() {
    let exec = ["exec", "--skip-git-repo-check", "hi"].map(str::to_owned);
    let codex = [node(), client("node_modules/.bin/codex")].into_iter().chain(exec);
    Row::new(GROUP, "codex", OPENAI, codex)
        .variable("CODEX_API_KEY", "sk-none")
        .needs(["HOME", "PATH", "CODEX_API_KEY"])
        .speaks("ws")
        .asks("/responses")
        .lasting()
        .check();
}

#[test]
fn gemini() {
    let ask = ["--skip-trust", "-p", "hi"].map(str::to_owned);
    let gemini = [node(), client("node_modules/.bin/gemini")].into_iter().chain(ask);
    Row::new(GROUP, "gemini", GEMINI, gemini)
        .variable("GEMINI_API_KEY", "none")
        .needs(["HOME", "PATH", "GEMINI_API_KEY"])
        .lasting()
        .refuses_bare(super::javascript::NODE)
        .check();
}

#[test]
fn opencode() {
    let run = ["run", "--model", "anthropic/claude-sonnet-4-5", "hi"].map(str::to_owned);
    let opencode = [client("node_modules/.bin/opencode")].into_iter().chain(run);
    Row::new(GROUP, "opencode", ANTHROPIC, opencode)
        .variable("ANTHROPIC_API_KEY", "sk-ant-none")
        .needs(["HOME", "PATH", "ANTHROPIC_API_KEY"])
        .asks("/v1/messages")
        .lasting()
        .check();
}
