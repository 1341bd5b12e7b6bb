//! From a resource's address to who guards it.

use authsome::auth::{Authorization, Discovered, Error, Fault, discover};

use super::fake::{Fake, Reply, public, run};

const MCP: &str = "https://mcp.example/mcp";
const PROTECTED: &str = "https://mcp.example/.well-known/oauth-protected-resource";
const ISSUED: &str = "https://id.example/.well-known/oauth-authorization-server";

fn challenge(parameters: &str) -> Reply {
    Reply::new(401, "text/plain", "").with("www-authenticate", &format!("Bearer {parameters}"))
}

fn protected(resource: &str) -> Reply {
    Reply::json(
        200,
        format!(
            r#"{{"resource":"{resource}","authorization_servers":["https://id.example"],
                "scopes_supported":["read","write"],"resource_name":"Example\u001b tools"}}"#
        ),
    )
}

fn issued(issuer: &str) -> Reply {
    Reply::json(
        200,
        format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"{issuer}/authorize",
                "token_endpoint":"{issuer}/token","registration_endpoint":"{issuer}/register"}}"#
        ),
    )
}

fn found(fake: &Fake) -> Discovered {
    run(discover(fake, MCP)).unwrap()
}

fn address(found: &Discovered) -> String {
    Authorization::begin(&found.server, &public(), "http://127.0.0.1/", &[]).unwrap().0
}

#[test]
fn a_challenge_leads_to_the_server() {
    let place = "https://mcp.example/elsewhere";
    let fake = Fake::routes([
        (MCP, challenge(&format!(r#"realm="x", resource_metadata="{place}", scope="read""#))),
        (place, protected(MCP)),
        (ISSUED, issued("https://id.example")),
    ]);
    let found = found(&fake);
    assert_eq!(
        fake.asked(),
        [format!("GET {MCP}"), format!("GET {place}"), format!("GET {ISSUED}")]
    );
    assert!(fake.requests()[0].contains("accept: application/json, text/event-stream\n"));
    assert_eq!(found.resource, MCP);
    assert_eq!(found.scopes, ["read"]);
    assert_eq!(found.name.as_deref(), Some("Example tools"));
    assert_eq!(found.server.issuer(), Some("https://id.example"));
    assert!(found.server.can_register());
    let url = address(&found);
    assert!(url.contains("resource=https%3A%2F%2Fmcp.example%2Fmcp"), "{url}");
    assert!(url.contains("code_challenge_method=S256"), "{url}");
}

#[test]
fn without_a_challenge_the_well_known_places_are_tried() {
    let fake = Fake::routes([
        (PROTECTED, protected("https://mcp.example")),
        (ISSUED, issued("https://id.example")),
    ]);
    let found = found(&fake);
    assert_eq!(
        fake.asked(),
        [
            format!("GET {MCP}"),
            format!("GET {PROTECTED}/mcp"),
            format!("GET {PROTECTED}"),
            format!("GET {ISSUED}"),
        ]
    );
    assert_eq!(found.resource, "https://mcp.example");
    assert_eq!(found.scopes, ["read", "write"]);
}

#[test]
fn a_resource_that_does_not_answer_may_have_metadata() {
    let fake = Fake::silent();
    let error = run(discover(&fake, MCP)).unwrap_err();
    assert_eq!(fake.asked()[1], format!("GET {PROTECTED}/mcp"));
    assert_eq!(error.kind(), Fault::Provider);
}

#[test]
fn an_older_server_s_origin_is_the_issuer() {
    for issuer in ["https://mcp.example", "https://mcp.example/"] {
        let place = "https://mcp.example/.well-known/oauth-authorization-server";
        let fake = Fake::routes([(MCP, challenge("")), (place, issued(issuer))]);
        let found = found(&fake);
        assert_eq!(found.server.issuer(), Some(issuer));
        assert_eq!(found.resource, MCP);
        assert!(found.scopes.is_empty());
        // It knows nothing of resources.
        assert!(!address(&found).contains("resource="));
    }
}

#[test]
fn metadata_that_names_no_server_means_the_origin() {
    let place = "https://mcp.example/.well-known/oauth-authorization-server";
    let body = format!(r#"{{"resource":"{MCP}"}}"#);
    let fake =
        Fake::routes([(PROTECTED, Reply::json(200, body)), (place, issued("https://mcp.example"))]);
    assert_eq!(found(&fake).server.issuer(), Some("https://mcp.example"));
}

#[test]
fn the_first_server_that_can_be_used_is() {
    let body = format!(
        r#"{{"resource":"{MCP}","authorization_servers":["http://id.example","https://gone.example","https://id.example"]}}"#
    );
    let fake =
        Fake::routes([(PROTECTED, Reply::json(200, body)), (ISSUED, issued("https://id.example"))]);
    assert_eq!(found(&fake).server.issuer(), Some("https://id.example"));
}

#[test]
fn metadata_of_another_resource_is_refused() {
    for resource in [
        "https://evil.example/mcp",
        "https://mcp.example/mc",
        "https://mcp.example/mcp/deeper",
        "https://mcp.example:444/mcp",
        "http://mcp.example/mcp",
        "",
    ] {
        let fake = Fake::routes([(PROTECTED, protected(resource))]);
        let error = run(discover(&fake, MCP)).unwrap_err();
        assert!(matches!(error, Error::OtherResource { .. }), "{resource}: {error}");
    }
}

#[test]
fn metadata_of_another_issuer_is_refused() {
    let fake =
        Fake::routes([(PROTECTED, protected(MCP)), (ISSUED, issued("https://evil.example"))]);
    let error = run(discover(&fake, MCP)).unwrap_err();
    assert!(matches!(error, Error::Issuer { .. }), "{error}");
    // Exactly: a slash more is another one where it was named, not guessed.
    let fake = Fake::routes([(PROTECTED, protected(MCP)), (ISSUED, issued("https://id.example/"))]);
    assert!(run(discover(&fake, MCP)).is_err());
}

#[test]
fn a_challenge_leads_nowhere_unsafe() {
    for place in ["http://mcp.example/x", "https://u:p@mcp.example/x", "file:///etc/passwd"] {
        let fake = Fake::routes([(MCP, challenge(&format!(r#"resource_metadata="{place}""#)))]);
        let error = run(discover(&fake, MCP)).unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{error}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[test]
fn an_address_that_nothing_may_be_sent_to_is_not_asked() {
    for url in ["http://mcp.example/", "https://u@mcp.example/", "https://mcp.example/#x", "mcp"] {
        let fake = Fake::default();
        assert!(matches!(run(discover(&fake, url)), Err(Error::Url { .. })), "{url}");
        assert!(fake.requests().is_empty());
    }
}

#[test]
fn a_server_on_this_machine_needs_no_tls() {
    let url = "http://127.0.0.1:9000/mcp";
    let place = "http://127.0.0.1:9000/.well-known/oauth-authorization-server";
    let fake = Fake::routes([(place, issued("http://127.0.0.1:9000"))]);
    let found = run(discover(&fake, url)).unwrap();
    assert_eq!(found.server.token_url(), Some("http://127.0.0.1:9000/token"));
}

#[test]
fn a_query_belongs_to_the_well_known_place_too() {
    let fake = Fake::default();
    let _ = run(discover(&fake, "https://mcp.example/mcp?tenant=t"));
    assert_eq!(fake.asked()[1], format!("GET {PROTECTED}/mcp?tenant=t"));
}
