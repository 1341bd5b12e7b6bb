//! What the upstream answers for the APIs that clients and SDKs insist on a sound answer of.
//!
//! Each is the least that its client takes for a success. What an answer means is not looked at.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::upstream::{Body, full};

/// The token that the registry's token service gives, and the registry takes.
pub(crate) const REGISTRY_TOKEN: &str = "registry-token-0123456789";

/// Answers what no path of the upstream's own is for.
pub(super) async fn answer(request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let path = request.uri().path().to_owned();
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return echo_message(request).await;
    }
    if path == "/v1/realtime" {
        return web_socket(request);
    }
    if path.starts_with("/v2/") {
        return registry(&request);
    }
    if path.ends_with("/mcp") {
        return mcp(request).await;
    }
    // A module with one version (https://go.dev/ref/mod#goproxy-protocol).
    if path.ends_with("/@v/list") {
        return Response::new(full("v1.0.0\n".to_owned()));
    }
    if path.ends_with(".mod") {
        return Response::new(full("module example.com/demo\n".to_owned()));
    }
    if path.starts_with("/simple/") {
        let link = "<a href=\"demo-1.0.0-py3-none-any.whl\">demo-1.0.0-py3-none-any.whl</a>";
        return Response::builder()
            .header(header::CONTENT_TYPE, "text/html")
            .body(full(format!("<!DOCTYPE html><html><body>{link}</body></html>")))
            .unwrap();
    }
    json_answer(&known(request.method(), &path))
}

fn json_answer(value: &Value) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(full(format!("{value}\n")))
        .unwrap()
}

/// By path; a list of nothing for the others.
fn known(method: &Method, path: &str) -> Value {
    let usage = json!({
        "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2,
        "input_tokens": 1, "output_tokens": 1
    });
    match (method, path) {
        (&Method::POST, "/v1/chat/completions") => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "hello", "refusal": null }
            }],
            "usage": usage
        }),
        (&Method::POST, "/v1/messages") => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{ "type": "text", "text": "hello" }],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": usage
        }),
        (_, path) if path.ends_with(":generateContent") => json!({
            "candidates": [{
                "content": { "role": "model", "parts": [{ "text": "hello" }] },
                "finishReason": "STOP", "index": 0
            }]
        }),
        // A sparse index of crates (RFC 2789), and its search.
        (_, "/index/config.json") => json!({
            "dl": "https://packages.example.com/crates", "api": "https://packages.example.com"
        }),
        (_, "/api/v1/crates") => json!({ "crates": [], "meta": { "total": 0 } }),
        (_, path) if path.ends_with("/@v/v1.0.0.info") => json!({ "Version": "v1.0.0" }),
        (_, "/token") => json!({ "token": REGISTRY_TOKEN, "access_token": REGISTRY_TOKEN }),
        (_, "/foundation-models") => json!({ "modelSummaries": [] }),
        _ => json!({ "object": "list", "data": [], "has_more": false }),
    }
}

/// One call of any method gets its own message back, and the trailers that a call ends with.
async fn echo_message(request: Request<Incoming>) -> Response<Body> {
    let message = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(message.unwrap_or_default())), Ok(Frame::trailers(trailers))];
    Response::builder()
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(BodyExt::boxed(StreamBody::new(stream::iter(frames))))
        .unwrap()
}

/// Greets over a WebSocket, and closes it (RFC 6455, sections 4.2.2 and 5.2).
fn web_socket(mut request: Request<Incoming>) -> Response<Body> {
    let key = request.headers().get("sec-websocket-key").map_or(&b""[..], |key| key.as_bytes());
    let mut digest = Sha1::new();
    digest.update(key);
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest.finalize());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::task::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut stream = TokioIo::new(upgraded);
        let _ = stream.write_all(b"\x81\x05hello\x88\x00").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    Response::builder()
        .status(101)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "upgrade")
        .header("sec-websocket-accept", accept)
        .body(full(String::new()))
        .unwrap()
}

/// A registry of images, which sends whoever has no token to its token service
/// (<https://distribution.github.io/distribution/spec/auth/token/>).
fn registry(request: &Request<Incoming>) -> Response<Body> {
    let bearer = format!("Bearer {REGISTRY_TOKEN}");
    let token = request.headers().get(header::AUTHORIZATION);
    if token.is_none_or(|token| token.as_bytes() != bearer.as_bytes()) {
        let challenge =
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\"";
        return Response::builder()
            .status(401)
            .header(header::WWW_AUTHENTICATE, challenge)
            .body(full("{\"errors\":[]}\n".to_owned()))
            .unwrap();
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json", "size": 2,
            "digest": format!("sha256:{}", "4".repeat(64))
        },
        "layers": []
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
        .body(full(manifest.to_string()))
        .unwrap()
}

/// A server of one tool, over streamable HTTP
/// (<https://modelcontextprotocol.io/specification/2025-06-18/basic/transports>).
async fn mcp(request: Request<Incoming>) -> Response<Body> {
    let empty = |status: u16| Response::builder().status(status).body(full(String::new())).unwrap();
    if request.method() != Method::POST {
        return empty(405);
    }
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let call: Value =
        serde_json::from_slice(&body.unwrap_or_else(|_| Bytes::new())).unwrap_or_default();
    let result = match call["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": call["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "upstream", "version": "1" }
        }),
        Some("tools/list") => json!({
            "tools": [{ "name": "greet", "inputSchema": { "type": "object" } }]
        }),
        _ => return empty(202),
    };
    json_answer(&json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }))
}
