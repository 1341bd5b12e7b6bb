//! The stream as hyper uses it.

use std::sync::Mutex;

use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, Response, StatusCode, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

type Codes = Arc<Mutex<Vec<&'static str>>>;

fn strict(inner: DuplexStream) -> (StrictHttp1<DuplexStream>, Codes) {
    let codes = Codes::default();
    let seen = Arc::clone(&codes);
    let on_violation = move |code| seen.lock().unwrap().push(code);
    (StrictHttp1::new(inner, Box::new(on_violation)), codes)
}

/// What a hyper server behind the stream answers to `input`, which paths it saw, and the codes.
async fn serve(input: &[u8]) -> (String, Vec<String>, Vec<&'static str>) {
    let (mut client, server) = duplex(256 * 1024);
    let (stream, codes) = strict(server);
    client.write_all(input).await.unwrap();
    client.shutdown().await.unwrap();
    let paths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&paths);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        seen.lock().unwrap().push(request.uri().path().to_owned());
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        }
    });
    let connection =
        http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
    let _closed = connection.await;
    let mut output = String::new();
    client.read_to_string(&mut output).await.unwrap();
    let (paths, codes) = (paths.lock().unwrap().clone(), codes.lock().unwrap().clone());
    (output, paths, codes)
}

#[tokio::test]
async fn good_requests_are_served() {
    let (output, paths, codes) = serve(
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    .await;
    assert_eq!(output.matches("HTTP/1.1 200").count(), 2);
    assert!(output.contains("\r\n\r\nabcHTTP"));
    assert_eq!(paths, ["/1", "/2"]);
    assert!(codes.is_empty());
}

#[tokio::test]
async fn a_head_that_has_begun_must_end_in_time_and_an_idle_connection_need_not() {
    let (mut client, server) = duplex(1024);
    let (stream, codes) = strict(server);
    let mut stream = stream.with_head_timeout(Duration::from_millis(20));
    let mut buffer = [0; 64];

    let idle = tokio::time::timeout(Duration::from_millis(60), stream.read(&mut buffer)).await;
    assert!(idle.is_err(), "{idle:?}");

    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 ").await.unwrap();
    let count = stream.read(&mut buffer).await.unwrap();
    assert_eq!(buffer.get(..count), Some(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]));
    let count = stream.read(&mut buffer).await.unwrap();
    assert_eq!(buffer.get(..count), Some(UNPARSABLE));
    assert_eq!(*codes.lock().unwrap(), ["http-head-timeout"]);
}

#[tokio::test]
async fn a_bad_head_is_answered_with_400_and_no_handler_sees_it() {
    let (output, paths, codes) = serve(b"GET /1 HTTP/1.1\nHost: a\n\n").await;
    assert!(output.starts_with("HTTP/1.1 400"), "{output}");
    assert!(output.contains("connection: close"), "{output}");
    assert!(paths.is_empty());
    assert_eq!(codes, ["http-bare-lf"]);
}

#[tokio::test]
async fn a_bad_head_after_a_good_request_is_answered_too() {
    let (output, paths, codes) = serve(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    )
    .await;
    assert!(output.starts_with("HTTP/1.1 200"), "{output}");
    assert_eq!(output.matches("HTTP/1.1 400").count(), 1, "{output}");
    assert_eq!(paths, ["/1"]);
    assert_eq!(codes, ["http-length-and-encoding"]);
}

#[tokio::test]
async fn a_bad_body_closes_the_connection() {
    let (output, _, codes) = serve(
        b"POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
    )
    .await;
    assert!(!output.contains("200"), "{output}");
    assert!(codes.is_empty());
}

#[tokio::test]
async fn a_bad_body_is_an_error_that_names_it() {
    let (mut client, server) = duplex(1024);
    let (mut stream, _) = strict(server);
    client.write_all(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz").await.unwrap();
    let mut output = Vec::new();
    let error = stream.read_to_end(&mut output).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "malformed request body (http-chunk-size)");
    assert!(output.ends_with(b"\r\n\r\n"));
}

#[tokio::test]
async fn bytes_pass_whatever_the_size_of_the_readers_buffer() {
    let input =
        b"POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    for size in 1..input.len() {
        let (mut client, server) = duplex(1024);
        let (mut stream, _) = strict(server);
        client.write_all(input).await.unwrap();
        drop(client);
        let mut buffer = vec![0; size];
        let mut output = Vec::new();
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                n => output.extend_from_slice(&buffer[..n]),
            }
        }
        assert_eq!(output, input, "{size}");
    }
}

const UPGRADE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A poll that must not be ready, in a context of its own.
fn is_pending(stream: &mut StrictHttp1<DuplexStream>) -> bool {
    let mut buffer = [0; 64];
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_read(&mut context, &mut ReadBuf::new(&mut buffer)).is_pending()
}

#[tokio::test]
async fn after_the_switch_everything_passes() {
    let (mut client, server) = duplex(1024);
    let (mut stream, codes) = strict(server);
    client.write_all(&[UPGRADE, b"\x81\n\0early"].concat()).await.unwrap();
    let mut head = vec![0; UPGRADE.len()];
    stream.read_exact(&mut head).await.unwrap();
    assert!(is_pending(&mut stream));
    stream.passthrough_switch().store(true, Ordering::Release);
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
    client.write_all(b"late\n").await.unwrap();
    drop(client);
    let mut output = Vec::new();
    stream.read_to_end(&mut output).await.unwrap();
    assert_eq!(output, b"\x81\n\0earlylate\n");
    assert!(codes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn after_a_refused_upgrade_the_next_request_is_checked() {
    let (mut client, server) = duplex(1024);
    let (mut stream, codes) = strict(server);
    client.write_all(&[UPGRADE, b"GET / HTTP/1.1\n\n"].concat()).await.unwrap();
    let mut head = vec![0; UPGRADE.len()];
    stream.read_exact(&mut head).await.unwrap();
    assert!(is_pending(&mut stream));
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
    let mut output = Vec::new();
    stream.read_to_end(&mut output).await.unwrap();
    assert_eq!(output, UNPARSABLE);
    assert_eq!(*codes.lock().unwrap(), ["http-bare-lf"]);
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_the_answer() {
    let (mut client, server) = duplex(4096);
    let (stream, _) = strict(server);
    client.write_all(UPGRADE).await.unwrap();
    let service = service_fn(|_| async {
        tokio::task::yield_now().await;
        Response::builder().status(StatusCode::FORBIDDEN).body(Empty::<Bytes>::new())
    });
    let server = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let talk = async {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(client.read_u8().await.unwrap());
        }
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut next = [0; 12];
        client.read_exact(&mut next).await.unwrap();
        assert_eq!(&next, b"HTTP/1.1 403");
        drop(client);
    };
    let (served, ()) = tokio::join!(server, talk);
    served.unwrap();
}

#[tokio::test]
async fn a_head_cut_off_by_the_end_is_no_request() {
    let (_, paths, codes) = serve(b"GET /1 HTTP/1.1\r\nHost: a\r\n").await;
    assert!(paths.is_empty() && codes.is_empty());
}
