//! An injected secret does not come back.

use std::io::Cursor;

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    harness::{SECRET, Say, Scene, code, get, text, to},
    upstream::{Manner, Upstream, full},
};

async fn read(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.unwrap();
    bytes
}

async fn encode(coding: &str, plain: String) -> Vec<u8> {
    let plain = Cursor::new(plain.into_bytes());
    match coding {
        "gzip" => read(GzipEncoder::new(plain)).await,
        "br" => read(Box::new(BrotliEncoder::new(plain))).await,
        "zstd" => read(ZstdEncoder::new(plain)).await,
        _ => plain.into_inner(),
    }
}

#[tokio::test]
async fn a_reflected_secret_is_replaced_and_the_length_kept() {
    let upstream = Upstream::start(Manner::default(), |request| async move {
        assert_eq!(request.headers()["accept-encoding"], "identity");
        let value = request.headers()["authorization"].clone();
        let body = format!("you sent {}!", value.to_str().unwrap());
        Response::builder().header("x-echo", value).body(full(body)).unwrap()
    })
    .await;
    let scene = Scene::new(Say::Inject, to(&upstream));

    let response = scene.send(get("/")).await;

    assert!(!response.headers()["x-echo"].to_str().unwrap().contains(SECRET));
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let body = text(response).await;
    assert!(body.starts_with("you sent Bearer ") && body.ends_with('!'), "{body}");
    assert!(!body.contains(SECRET) && body.len() == length, "{body}");
}

#[tokio::test]
async fn a_compressed_body_is_decoded_and_scanned() {
    let upstream = Upstream::start(Manner::default(), |request| async move {
        let coding = request.uri().path().trim_start_matches('/').to_owned();
        let body = encode(&coding, format!("it is {SECRET}.")).await;
        Response::builder().header("content-encoding", coding).body(full(body)).unwrap()
    })
    .await;
    let scene = Scene::new(Say::Inject, to(&upstream));

    for coding in ["gzip", "br", "zstd"] {
        let response = scene.send(get(&format!("/{coding}"))).await;

        assert!(!response.headers().contains_key("content-encoding"), "{coding}");
        let body = text(response).await;
        assert!(body.starts_with("it is ") && body.ends_with('.'), "{coding}: {body}");
        assert!(!body.contains(SECRET), "{coding}: {body}");
    }
}

#[tokio::test]
async fn a_coding_that_cannot_be_undone_is_not_passed_on() {
    let upstream = Upstream::start(Manner::default(), |_| async {
        Response::builder().header("content-encoding", "compress").body(full("x")).unwrap()
    })
    .await;

    let refused = Scene::new(Say::Inject, to(&upstream)).send(get("/")).await;
    let passed = Scene::new(Say::Forward, to(&upstream)).send(get("/")).await;

    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(refused).await, "upstream-encoding");
    assert_eq!(passed.status(), StatusCode::OK);
}

#[tokio::test]
async fn codings_in_several_lines_are_not_mistaken_for_one() {
    let upstream = Upstream::start(Manner::default(), |_| async {
        let body = encode("gzip", format!("it is {SECRET}.")).await;
        Response::builder()
            .header("content-encoding", "identity")
            .header("content-encoding", "gzip")
            .body(full(body))
            .unwrap()
    })
    .await;

    let refused = Scene::new(Say::Inject, to(&upstream)).send(get("/")).await;

    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(refused).await, "upstream-encoding");
}
