//! The SDKs that agents are made of.

use super::{
    account::{ANTHROPIC, Account, GEMINI, OPENAI},
    client, node,
    row::Row,
};

const GROUP: &str = "SDKs";

fn python(name: &'static str, account: Account, script: &str) -> Row {
    Row::new(GROUP, name, account, [super::python(), "-c".to_owned(), script.to_owned()])
        .environment("VIRTUAL_ENV", client("python"))
}

/// ECMAScript modules are looked for beside the file that imports them, so the file says where.
fn javascript(name: &'static str, account: Account, package: &str, script: &str) -> Row {
    let entry = client("node_modules");
    let script = format!(
        "const require = process.getBuiltinModule('module').createRequire('{entry}/x.js');\n\
         const sdk = require('{package}');\n{script}"
    );
    Row::new(GROUP, name, account, [node(), "sdk.mjs".to_owned()])
        .file("sdk.mjs", script)
        .refuses_bare(super::javascript::NODE)
}

fn with_key(row: Row, name: &'static str, value: &str) -> Row {
    row.variable(name, value).needs([name])
}

#[test]
fn openai_python() {
    let script = "import openai; r = openai.OpenAI().chat.completions.create(model='m', \
                  messages=[{'role': 'user', 'content': 'hi'}]); \
                  assert r.choices[0].message.content == 'hello'";
    let row = python("openai (Python)", OPENAI, script).asks("/v1/chat/completions");
    with_key(row, "OPENAI_API_KEY", "sk-none").check();
}

#[test]
fn anthropic_python() {
    let script = "import anthropic; r = anthropic.Anthropic().messages.create(model='m', \
                  max_tokens=9, messages=[{'role': 'user', 'content': 'hi'}]); \
                  assert r.content[0].text == 'hello'";
    let row = python("anthropic (Python)", ANTHROPIC, script).asks("/v1/messages");
    with_key(row, "ANTHROPIC_API_KEY", "sk-ant-none").check();
}

#[test]
fn google_python() {
    let script = "from google import genai; c = genai.Client(); \
                  r = c.models.generate_content(model='m', contents='hi'); \
                  assert r.text == 'hello'";
    let row = python("google-genai (Python)", GEMINI, script).asks(":generateContent");
    with_key(row, "GEMINI_API_KEY", "none").check();
}

#[test]
fn langchain() {
    let script = "from langchain_openai import ChatOpenAI; \
                  assert ChatOpenAI(model='m').invoke('hi').content == 'hello'";
    let row = python("langchain-openai", OPENAI, script).asks("/v1/chat/completions");
    with_key(row, "OPENAI_API_KEY", "sk-none").check();
}

#[test]
fn openai_node() {
    let script = "const r = await new sdk.OpenAI().chat.completions.create({ model: 'm', \
                  messages: [{ role: 'user', content: 'hi' }] }); \
                  if (r.choices[0].message.content !== 'hello') throw r;";
    let row = javascript("openai (Node)", OPENAI, "openai", script).asks("/v1/chat/completions");
    with_key(row, "OPENAI_API_KEY", "sk-none").check();
}

#[test]
fn anthropic_node() {
    let script = "const r = await new sdk.Anthropic().messages.create({ model: 'm', \
                  max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }); \
                  if (r.content[0].text !== 'hello') throw r;";
    let row =
        javascript("anthropic (Node)", ANTHROPIC, "@anthropic-ai/sdk", script).asks("/v1/messages");
    with_key(row, "ANTHROPIC_API_KEY", "sk-ant-none").check();
}

#[test]
fn google_node() {
    let script = "const ai = new sdk.GoogleGenAI({ apiKey: process.env.GEMINI_API_KEY }); \
                  const r = await ai.models.generateContent({ model: 'm', contents: 'hi' }); \
                  if (r.text !== 'hello') throw r;";
    let row =
        javascript("google-genai (Node)", GEMINI, "@google/genai", script).asks(":generateContent");
    with_key(row, "GEMINI_API_KEY", "none").check();
}
