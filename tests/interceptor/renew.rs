//! A credential that the upstream refuses is renewed once, and the request sent again if it can be.

use std::sync::{Arc, Mutex};

use authsome::gate::{Decision, Record};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::{
    gate::{NEWER, Refused},
    harness::{
        Body, PLACEHOLDER, SECRET, Say, Scene, code, empty, saying, streamed, text, to, whole,
    },
    upstream::{self, Manner, Upstream, full},
};

/// Largest body that is sent again.
const MOST: usize = 64 * 1024;

/// One request, as the upstream saw it.
#[derive(Clone, Debug)]
struct Asked {
    secret: String,
    length: Option<String>,
    body: Bytes,
}

type Log = Arc<Mutex<Vec<Asked>>>;

/// An upstream that takes the newer credential only.
struct Choosy {
    upstream: Upstream,
    log: Log,
}

impl Choosy {
    async fn start(manner: Manner) -> Self {
        Self::taking(manner, NEWER).await
    }

    async fn taking(manner: Manner, taken: &'static str) -> Self {
        let log = Log::default();
        let seen = Arc::clone(&log);
        let upstream = Upstream::start(manner, move |request| judge(request, taken, seen.clone()));
        Self { upstream: upstream.await, log }
    }

    /// The credentials it was asked with.
    fn secrets(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|asked| asked.secret.clone()).collect()
    }
}

async fn judge(
    request: Request<Incoming>,
    taken: &'static str,
    log: Log,
) -> Response<upstream::Body> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (secret, length) = (header("authorization").unwrap(), header("content-length"));
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let secret = secret.trim_start_matches("Bearer ").to_owned();
    let said = format!("you sent {secret}.");
    let status = if secret == taken { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    log.lock().unwrap().push(Asked { secret, length, body });
    Response::builder().status(status).header("x-said", &said).body(full(said)).unwrap()
}

/// Every pair of HTTP versions, the agent's first.
const VERSIONS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn http(h2: bool) -> Manner {
    Manner { h2, ..Manner::default() }
}

fn again(choosy: &Choosy) -> Scene {
    Scene::new(Say::Renew(Refused::Again), to(&choosy.upstream))
}

fn frames(chunks: &[&'static str]) -> Vec<Frame<Bytes>> {
    chunks.iter().map(|chunk| Frame::data(Bytes::from_static(chunk.as_bytes()))).collect()
}

/// The only record there is.
async fn record(scene: &Scene) -> Record {
    let records = scene.records(1).await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].connection.as_deref(), Some("test/default"));
    records[0].clone()
}

/// Asks a choosy upstream, which says no; the agent gets to know, and nothing is sent again.
async fn passes_on(h2: (bool, bool), body: Body) -> Record {
    let choosy = Choosy::start(http(h2.1)).await;
    let scene = again(&choosy);

    let answer = scene.ask(h2.0, Method::POST, body).await;

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{h2:?}");
    assert_eq!(text(answer).await, format!("you sent {PLACEHOLDER}."));
    assert_eq!(choosy.secrets(), [SECRET]);
    assert_eq!(scene.renewals().len(), 1, "the next request gets a newer one");
    let record = record(&scene).await;
    assert_eq!((record.status, record.error), (Some(401), None));
    record
}

#[tokio::test]
async fn a_refused_request_is_sent_again_with_the_newer_credential() {
    for (agent, server) in VERSIONS {
        let choosy = Choosy::start(http(server)).await;
        let scene = again(&choosy);

        let answer = scene.ask(agent, Method::GET, empty()).await;

        assert_eq!(answer.status(), StatusCode::OK, "{agent} {server}");
        let said = text(answer).await;
        assert_eq!(choosy.secrets(), [SECRET, NEWER]);
        assert_eq!(scene.renewals(), ["GET /v1 Some(1)"]);
        let record = record(&scene).await;
        assert_eq!((record.decision, record.status), (Decision::Inject, Some(200)));
        assert_eq!((record.error, record.bytes_sent), (None, 0));
        assert_eq!(record.bytes_received, said.len() as u64);
    }
}

#[tokio::test]
async fn a_small_body_is_sent_again_as_it_was_and_counted_once() {
    let most: Vec<u8> = (0..=u8::MAX).cycle().take(MOST).collect();
    for (agent, server) in VERSIONS {
        let choosy = Choosy::start(http(server)).await;
        let scene = again(&choosy);

        let answer = scene.ask(agent, Method::POST, whole(most.clone())).await;

        assert_eq!(answer.status(), StatusCode::OK, "{agent} {server}");
        text(answer).await;
        let log = choosy.log.lock().unwrap().clone();
        assert_eq!(log.len(), 2);
        assert!(log.iter().all(|asked| asked.body == most), "{agent} {server}");
        assert_eq!(record(&scene).await.bytes_sent, MOST as u64);
    }
}

#[tokio::test]
async fn a_small_body_of_no_told_length_is_sent_again_as_it_was() {
    for (agent, server) in VERSIONS {
        let choosy = Choosy::start(http(server)).await;
        let scene = again(&choosy);
        let body = streamed(frames(&["one, ", "two, ", "three"]));

        let answer = scene.ask(agent, Method::POST, body).await;

        assert_eq!(answer.status(), StatusCode::OK, "{agent} {server}");
        text(answer).await;
        let log = choosy.log.lock().unwrap().clone();
        assert_eq!(log.len(), 2);
        assert!(log.iter().all(|asked| asked.body == "one, two, three"), "{log:?}");
        assert_eq!(record(&scene).await.bytes_sent, 15);
    }
}

#[tokio::test]
async fn a_body_that_turned_out_empty_is_sent_again_with_its_length() {
    for (agent, server) in [(false, false), (true, false)] {
        let choosy = Choosy::start(http(server)).await;
        let scene = again(&choosy);

        let answer = scene.ask(agent, Method::POST, streamed(frames(&[]))).await;

        assert_eq!(answer.status(), StatusCode::OK, "{agent}");
        let log = choosy.log.lock().unwrap().clone();
        assert_eq!((log[1].length.as_deref(), log[1].body.len()), (Some("0"), 0), "{agent}");
    }
}

#[tokio::test]
async fn a_long_body_is_not_sent_again() {
    for h2 in VERSIONS {
        let record = passes_on(h2, whole(vec![7; MOST + 1])).await;

        assert_eq!(record.bytes_sent, MOST as u64 + 1);
    }
}

#[tokio::test]
async fn a_body_with_trailers_is_not_sent_again() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    let mut frames = frames(&["data"]);
    frames.push(Frame::trailers(trailers));

    let record = passes_on((true, true), streamed(frames)).await;

    assert_eq!(record.bytes_sent, 4);
}

#[tokio::test]
async fn a_body_of_which_only_a_part_has_come_is_not_sent_again() {
    for (agent, server) in VERSIONS {
        let upstream = Upstream::start(http(server), |request| async move {
            // Reads a little, so that it is known to have come.
            let first = request.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
            Response::builder().status(401).body(full(first)).unwrap()
        })
        .await;
        let scene = Scene::new(Say::Renew(Refused::Again), to(&upstream));
        let (send, rest) = mpsc::unbounded_channel();
        send.send(Frame::data(Bytes::from_static(b"half"))).unwrap();
        let body = futures_util::stream::unfold(rest, |mut rest| async move {
            rest.recv().await.map(|frame| (Ok(frame), rest))
        });

        let answer = scene.ask(agent, Method::POST, StreamBody::new(body).boxed_unsync()).await;

        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{agent} {server}");
        assert_eq!(text(answer).await, "half");
        assert_eq!(upstream.connections(), 1);
        assert_eq!(record(&scene).await.bytes_sent, 4);
        drop(send);
    }
}

#[tokio::test]
async fn a_newer_credential_that_is_refused_too_is_not_renewed_again() {
    for h2 in [false, true] {
        let choosy = Choosy::taking(http(h2), "none").await;
        let scene = again(&choosy);

        let answer = scene.ask(h2, Method::POST, whole("body")).await;

        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(text(answer).await, format!("you sent {PLACEHOLDER}."), "the second answer");
        assert_eq!(choosy.secrets(), [SECRET, NEWER]);
        assert_eq!(scene.renewals(), ["POST /v1 Some(1)"]);
        let record = record(&scene).await;
        assert_eq!((record.status, record.error, record.bytes_sent), (Some(401), None, 4));
    }
}

#[tokio::test]
async fn the_newer_secret_does_not_come_back_either() {
    let choosy = Choosy::start(Manner::default()).await;
    let scene = again(&choosy);

    let answer = scene.ask(false, Method::GET, empty()).await;

    let said = format!("you sent {PLACEHOLDER}.");
    assert_eq!(answer.headers()["x-said"], said);
    assert_eq!(text(answer).await, said);
    assert_eq!(choosy.secrets(), [SECRET, NEWER]);
}

#[tokio::test]
async fn a_credential_that_cannot_be_renewed_is_a_problem() {
    for h2 in [false, true] {
        let choosy = Choosy::start(http(h2)).await;
        let scene = Scene::new(Say::Renew(Refused::Deny), to(&choosy.upstream));

        let answer = scene.ask(h2, Method::POST, whole("body")).await;

        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(code(answer).await, "login-needed");
        assert_eq!(choosy.secrets(), [SECRET]);
        let record = record(&scene).await;
        assert_eq!((record.status, record.error), (Some(401), Some("login-needed")));
        assert_eq!(record.bytes_sent, 4);
    }
}

#[tokio::test]
async fn a_newer_credential_that_does_not_fit_is_not_sent() {
    let choosy = Choosy::start(Manner::default()).await;
    let scene = Scene::new(Say::Renew(Refused::Misfit), to(&choosy.upstream));

    let answer = scene.ask(false, Method::GET, empty()).await;

    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let told = text(answer).await;
    assert!(told.contains("inject-failed") && !told.contains(NEWER), "{told}");
    assert_eq!(choosy.secrets(), [SECRET]);
    let record = record(&scene).await;
    assert_eq!((record.decision, record.error), (Decision::Inject, Some("inject-failed")));
}

#[tokio::test]
async fn a_gate_that_keeps_the_answer_lets_it_pass() {
    let choosy = Choosy::start(Manner::default()).await;
    let scene = Scene::new(Say::Renew(Refused::Keep), to(&choosy.upstream));

    let answer = scene.ask(false, Method::GET, empty()).await;

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(text(answer).await, format!("you sent {PLACEHOLDER}."));
    assert_eq!((choosy.secrets().len(), scene.renewals().len()), (1, 1));
}

#[tokio::test]
async fn the_gate_is_not_asked_about_what_cannot_be_renewed() {
    let choosy = Choosy::start(Manner::default()).await;
    let scene = Scene::new(Say::Inject, to(&choosy.upstream));

    let answer = scene.ask(false, Method::GET, empty()).await;

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(scene.renewals().is_empty());
    assert_eq!(choosy.secrets(), [SECRET]);
}

#[tokio::test]
async fn the_gate_is_not_asked_about_other_refusals() {
    for status in [200, 400, 403, 407, 500] {
        let upstream = Upstream::start(Manner::default(), move |_| async move {
            Response::builder().status(status).body(full("")).unwrap()
        })
        .await;
        let scene = Scene::new(Say::Renew(Refused::Again), to(&upstream));

        assert_eq!(scene.ask(false, Method::GET, empty()).await.status(), status);
        assert!(scene.renewals().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_not_renewed() {
    let choosy = Choosy::start(Manner::default()).await;
    let scene = again(&choosy);
    let request = Request::get("/ws")
        .header("host", "api.test")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(empty())
        .unwrap();

    let answer = scene.send(request).await;

    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    text(answer).await;
    assert!(scene.renewals().is_empty());
    assert_eq!(choosy.secrets(), [SECRET]);
    assert_eq!(record(&scene).await.status, Some(401));
}

#[tokio::test]
async fn an_upstream_that_closes_after_its_refusal_is_dialled_again() {
    let choosy = Choosy::start(Manner { hang_up: true, ..Manner::default() }).await;
    let scene = again(&choosy);

    let answer = scene.ask(false, Method::POST, whole("body")).await;

    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!((choosy.secrets().len(), choosy.upstream.connections()), (2, 2));
}

#[tokio::test]
async fn an_upstream_that_is_gone_by_then_is_a_protocol_failure() {
    let config = saying(vec![b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"]).await;
    let scene = Scene::new(Say::Renew(Refused::Again), config);

    let answer = scene.ask(false, Method::GET, empty()).await;

    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(answer).await, "upstream-protocol");
    let record = record(&scene).await;
    assert_eq!((record.status, record.error), (Some(502), Some("upstream-protocol")));
}
