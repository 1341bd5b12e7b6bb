//! Compressed answers that ask for more memory than they are worth.

use std::{io::Cursor, pin::Pin};

use async_compression::{
    Level,
    tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder},
    zstd::CParameter,
};
use http::Response;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};

use super::{
    harness::{SECRET, Say, Scene, get, text, to},
    upstream::{Manner, Upstream, full},
};

/// So much of nothing, and then the secret.
const SIZE: usize = 64 << 20;

fn plain() -> BufReader<impl AsyncRead + Unpin> {
    let nothing = tokio::io::repeat(b'0').take(SIZE as u64);
    BufReader::with_capacity(1 << 20, nothing.chain(Cursor::new(SECRET)))
}

async fn bomb(coding: &str) -> Vec<u8> {
    let mut encoder: Pin<Box<dyn AsyncRead>> = match coding {
        "gzip" => Box::pin(GzipEncoder::with_quality(plain(), Level::Fastest)),
        "br" => Box::pin(BrotliEncoder::with_quality(plain(), Level::Fastest)),
        _ => Box::pin(zstd(23)),
    };
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.unwrap();
    bytes
}

fn zstd(window_log: u32) -> ZstdEncoder<BufReader<impl AsyncRead + Unpin>> {
    let parameters = [CParameter::window_log(window_log)];
    ZstdEncoder::with_quality_and_params(plain(), Level::Fastest, &parameters)
}

/// A server that answers every request so.
async fn answering(coding: &'static str, body: Vec<u8>) -> Scene {
    let upstream =
        Upstream::start(Manner::default(), move |_| {
            let body = body.clone();
            async move {
                Response::builder().header("content-encoding", coding).body(full(body)).unwrap()
            }
        })
        .await;
    Scene::new(Say::Inject, to(&upstream))
}

/// The connection breaks before the body is whole, and the record says why.
async fn assert_cut_off(scene: &Scene) {
    let whole = match scene.http1().await.send_request(get("/")).await {
        Ok(response) => response.into_body().collect().await.map(drop),
        Err(error) => Err(error),
    };
    assert!(whole.is_err());
    assert_eq!(scene.records(1).await[0].error, Some("upstream-protocol"));
}

#[tokio::test]
async fn what_is_large_only_when_decoded_passes_as_it_is_read() {
    for coding in ["gzip", "br", "zstd"] {
        let bomb = bomb(coding).await;
        assert!(bomb.len() < SIZE / 100, "{coding}: {}", bomb.len());

        let scene = answering(coding, bomb).await;

        let mut body = scene.send(get("/")).await.into_body();
        let (mut length, mut tail) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            length += data.len();
            tail.extend_from_slice(&data);
            tail.drain(..tail.len().saturating_sub(SECRET.len()));
        }
        assert_eq!(length, SIZE + SECRET.len(), "{coding}");
        assert_ne!(tail, SECRET.as_bytes(), "{coding}");
    }
}

#[tokio::test]
async fn a_zstd_frame_with_a_window_beyond_eight_mebibytes_is_cut_off() {
    let mut body = Vec::new();
    zstd(27).read_to_end(&mut body).await.unwrap();

    assert_cut_off(&answering("zstd", body).await).await;
}

#[tokio::test]
async fn a_brotli_stream_with_a_large_window_is_cut_off() {
    // The marker, a window of 2^30 and an empty last block; a window of 2^22 and the same.
    let (large, usual) = (vec![0x11, 0b1101_1110], vec![0b0011_1011]);

    assert_cut_off(&answering("br", large).await).await;
    let scene = answering("br", usual).await;
    assert_eq!(text(scene.send(get("/")).await).await, "");
}
