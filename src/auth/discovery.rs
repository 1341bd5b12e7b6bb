//! From a resource to who guards it, as servers of the Model Context Protocol have it: the resource
//! names its metadata (RFC 9728), the metadata names the authorization server, and that one's metadata
//! (RFC 8414) its endpoints.

use ::http::{HeaderValue, StatusCode, header::ACCEPT};
use oauth2::url::Url;
use serde_json::Value;

use super::{
    Endpoint, Error, Http, Server, address, answer::Members, challenge, challenge::Challenge,
    metadata, refusal, request::Request,
};

/// What the resource is asked for: what a client of the protocol would ask for.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
/// Longest name for people, in characters.
const NAME: usize = 100;
/// How many of the authorization servers that a resource names are tried.
const SERVERS: usize = 4;

/// Who guards a resource.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// Its authorization server.
    pub server: Server,
    /// The resource as it names itself; what was asked for where it does not.
    pub resource: String,
    /// Scopes it wants: those of its challenge, else those of its metadata.
    pub scopes: Vec<String>,
    /// Its name for people (`resource_name`).
    pub name: Option<String>,
}

/// Finds out who guards the resource at `url`.
///
/// Servers from before RFC 9728 say nothing; their own origin is the issuer then.
///
/// # Errors
///
/// See [`Error::kind`]; also if there is metadata of another resource or issuer.
pub async fn discover(http: &dyn Http, url: &str) -> Result<Discovered, Error> {
    let resource = address::check("resource", url)?;
    let challenge = ask(http, url).await;
    let Some(members) = protected(http, &resource, &challenge).await? else {
        let issuer = address::origin(&resource);
        let server = of_issuer(http, &issuer, true).await?;
        let scopes = challenge.scopes;
        return Ok(Discovered { server, resource: url.to_owned(), scopes, name: None });
    };
    let named = members.get("resource").and_then(Value::as_str).unwrap_or_default();
    let issuers = texts(&members, "authorization_servers");
    let mut server = first_server(http, &resource, &issuers).await?;
    server.resource = Some(named.to_owned());
    let scopes = match challenge.scopes {
        scopes if scopes.is_empty() => texts(&members, "scopes_supported"),
        scopes => scopes,
    };
    let name = members.get("resource_name").and_then(Value::as_str);
    let name = name.map(|name| refusal::clean(name, &[], NAME)).filter(|name| !name.is_empty());
    Ok(Discovered { server, resource: named.to_owned(), scopes, name })
}

/// What the resource says to one who shows no token. One that does not answer such a request in time
/// may still have metadata.
async fn ask(http: &dyn Http, url: &str) -> Challenge {
    let mut request = Request::get(Endpoint::Resource, url);
    request.header(ACCEPT, ACCEPTED);
    match request.send(http).await {
        Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
            challenge::read(answer.headers())
        }
        _ => Challenge::default(),
    }
}

/// The metadata of a resource: where its challenge says, else at the well-known places; none where
/// there is none.
async fn protected(
    http: &dyn Http,
    resource: &Url,
    challenge: &Challenge,
) -> Result<Option<Members>, Error> {
    if let Some(url) = &challenge.metadata {
        address::check("resource metadata", url)?;
        let members = metadata::get(http, url).await?;
        return of_resource(resource, members).map(Some);
    }
    for url in well_known(resource) {
        match metadata::get(http, &url).await {
            Ok(members) => return of_resource(resource, members).map(Some),
            Err(error @ Error::Network { .. }) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// RFC 9728 §3.1.
fn well_known(resource: &Url) -> Vec<String> {
    const PLACE: &str = "/.well-known/oauth-protected-resource";
    let origin = address::origin(resource);
    let path = resource.path().trim_end_matches('/');
    let query = resource.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut urls = vec![format!("{origin}{PLACE}{path}{query}")];
    let root = format!("{origin}{PLACE}");
    if !urls.contains(&root) {
        urls.push(root);
    }
    urls
}

/// Refuses metadata of another resource (RFC 9728 §3.3): a token for that one would get here. A server
/// may name a part of its own origin that `resource` is in, as most do.
fn of_resource(resource: &Url, members: Members) -> Result<Members, Error> {
    let named = members.get("resource").and_then(Value::as_str).map(address::parse);
    let same = match named {
        Some(Ok(named)) => {
            let path = named.path().trim_end_matches('/');
            let below = resource.path().strip_prefix(path);
            named.origin() == resource.origin()
                && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        }
        _ => false,
    };
    let host = address::host(resource.as_str());
    if same { Ok(members) } else { Err(Error::OtherResource { host }) }
}

/// The first of the named servers that can be used; the resource's own origin where none is named.
async fn first_server(
    http: &dyn Http,
    resource: &Url,
    issuers: &[String],
) -> Result<Server, Error> {
    let mut first = None;
    for issuer in issuers.iter().take(SERVERS) {
        match of_issuer(http, issuer, false).await {
            Ok(server) => return Ok(server),
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) => Err(error),
        None => of_issuer(http, &address::origin(resource), true).await,
    }
}

async fn of_issuer(http: &dyn Http, issuer: &str, guessed: bool) -> Result<Server, Error> {
    let mut server = Server::of_issuer(issuer)?;
    let members = metadata::fetch(http, issuer, guessed).await?;
    // As it spells itself.
    server.issuer = None;
    metadata::fill(server, &members)
}

fn texts(members: &Members, name: &str) -> Vec<String> {
    let list = members.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}
