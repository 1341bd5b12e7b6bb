//! What the upstream gets to see, and who may ask.

use authsome::gate::{Decision, RecordKind};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::{
    harness::{SECRET, Say, Scene, code, empty, get, get2, text, to, whole},
    upstream::{Body, Manner, Upstream, full},
};

/// Answers with what it was asked.
async fn echo_head(request: Request<Incoming>) -> Response<Body> {
    let mut lines = vec![format!("{:?} {} {}", request.version(), request.method(), request.uri())];
    for (name, value) in request.headers() {
        lines.push(format!("{name}: {}", value.to_str().unwrap().replace(SECRET, "SECRET")));
    }
    Response::builder().header("alt-svc", "h3=\":443\"").body(full(lines.join("\n"))).unwrap()
}

#[tokio::test]
async fn the_upstream_sees_the_credential_in_place_of_the_agents_value() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let mut request = get("/v1/x?q=1");
    request.headers_mut().insert("authorization", "Bearer fake".parse().unwrap());

    let seen = text(scene.send(request).await).await;

    assert!(seen.contains("GET /v1/x?q=1"), "{seen}");
    assert!(seen.contains("authorization: Bearer SECRET"), "{seen}");
    assert!(!seen.contains("fake"), "{seen}");
    let record = &scene.records(1).await[0];
    assert_eq!((record.kind, record.decision), (RecordKind::Request, Decision::Inject));
    assert_eq!(record.connection.as_deref(), Some("test/default"));
    assert_eq!((record.status, record.error), (Some(200), None));
    assert_eq!(record.path.as_deref(), Some("/v1/x"));
    assert_eq!(record.bytes_received, seen.len() as u64);
}

#[tokio::test]
async fn a_connection_header_cannot_remove_the_credential() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let mut request = get("/");
    request.headers_mut().insert("connection", "authorization".parse().unwrap());

    let seen = text(scene.send(request).await).await;

    assert!(seen.contains("authorization: Bearer SECRET"), "{seen}");
}

#[tokio::test]
async fn a_request_that_a_credential_does_not_fit_into_is_not_sent() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Misfit, to(&upstream));

    let response = scene.send(get("/")).await;

    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(code(response).await, "inject-failed");
    let record = &scene.records(1).await[0];
    assert_eq!((record.decision, record.error), (Decision::Deny, Some("inject-failed")));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn paths_are_sent_in_one_form_queries_as_they_came_and_headers_for_us_are_not() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    let mut request = get("/a%2fb/x/%2E./c;d?x=%2e%20/../");
    request.headers_mut().insert("authsome-connection", "a/b".parse().unwrap());
    request.headers_mut().insert("proxy-authorization", "Basic x".parse().unwrap());

    let seen = text(scene.send(request).await).await;

    assert!(seen.contains("GET /a%2Fb/c;d?x=%2e%20/../"), "{seen}");
    assert!(!seen.contains("authsome-connection") && !seen.contains("proxy-auth"), "{seen}");
}

#[tokio::test]
async fn alt_svc_does_not_reach_the_agent() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Forward, to(&upstream));

    let response = scene.send(get("/")).await;

    assert!(!response.headers().contains_key("alt-svc"));
}

#[tokio::test]
async fn another_host_on_http1_is_misdirected() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let request = Request::get("/").header("host", "evil.test").body(empty()).unwrap();

    let response = scene.send(request).await;

    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(code(response).await, "misdirected");
    let record = &scene.records(1).await[0];
    assert_eq!((record.decision, record.error), (Decision::Deny, Some("misdirected")));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn each_http2_stream_is_checked_on_its_own() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Inject, to(&upstream));
    let mut sender = scene.http2().await;

    let good = sender.send_request(get2("https://api.test/")).await.unwrap();
    let bad = sender.send_request(get2("https://evil.test/")).await.unwrap();
    let again = sender.send_request(get2("https://API.test:443/")).await.unwrap();

    assert_eq!(good.status(), StatusCode::OK);
    assert_eq!(bad.status(), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_without_host_is_bad() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Inject, to(&upstream));

    let response = scene.send(Request::get("/").body(empty()).unwrap()).await;

    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_denied_request_gets_a_problem_and_no_upstream() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Deny, to(&upstream));
    let request =
        Request::post("/").header("host", "api.test").body(whole(vec![0; 1 << 20])).unwrap();

    let response = scene.send(request).await;

    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(code(response).await, "test-denied");
    let record = &scene.records(1).await[0];
    assert_eq!((record.decision, record.status), (Decision::Deny, Some(403)));
    assert_eq!(record.bytes_sent, 0, "the body was not read");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn an_http2_agent_reaches_an_http1_upstream() {
    let upstream = Upstream::start(Manner::default(), echo_head).await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    let mut request = get2("https://api.test/p?q");
    request.headers_mut().append("cookie", "a=1".parse().unwrap());
    request.headers_mut().append("cookie", "b=2".parse().unwrap());

    let response = scene.http2().await.send_request(request).await.unwrap();

    assert_eq!(response.version(), Version::HTTP_2);
    let seen = text(response).await;
    assert!(seen.starts_with("HTTP/1.1 GET /p?q"), "{seen}");
    assert!(seen.contains("host: api.test"), "{seen}");
    assert!(seen.contains("cookie: a=1; b=2"), "{seen}");
}

#[tokio::test]
async fn an_http1_agent_reaches_an_http2_upstream() {
    let upstream = Upstream::start(Manner { h2: true, ..Manner::default() }, echo_head).await;
    let scene = Scene::new(Say::Forward, to(&upstream));
    let mut request = get("/p?q");
    request.headers_mut().insert("connection", "keep-alive".parse().unwrap());

    let seen = text(scene.send(request).await).await;

    assert!(seen.starts_with("HTTP/2.0 GET https://api.test/p?q"), "{seen}");
    assert!(!seen.contains("host:") && !seen.contains("connection"), "{seen}");
}

#[tokio::test]
async fn connections_to_the_upstream_are_used_again() {
    for h2 in [false, true] {
        let upstream = Upstream::start(Manner { h2, ..Manner::default() }, echo_head).await;
        let scene = Scene::new(Say::Forward, to(&upstream));

        for _ in 0..3 {
            text(scene.send(get("/")).await).await;
        }

        assert_eq!(upstream.connections(), 1, "h2: {h2}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let manner = Manner { hang_up: true, ..Manner::default() };
    let upstream = Upstream::start(manner, echo_head).await;
    let scene = Scene::new(Say::Forward, to(&upstream));

    for _ in 0..5 {
        assert_eq!(scene.send(get("/")).await.status(), StatusCode::OK);
    }
}
