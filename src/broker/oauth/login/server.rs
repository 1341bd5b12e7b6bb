//! Whom a login is with: a provider that is defined, or a server that says itself how to log in.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        super::{Broker, connections::exists},
        BASE_URL, auth_error,
    },
    usage,
};
use crate::{
    auth::{Discovered, Http, Server, discover},
    protocol::{ErrorKind, ErrorReply, login::BeginLogin},
    provider::{Definition, Flow, parse_flow},
};

/// Where a login goes, as far as it is known before anything is asked.
pub(super) enum Plan {
    /// To a provider that is defined.
    Defined { definition: Arc<Definition>, flow: Flow },
    /// To whatever server stands behind this URL.
    Discover { url: String, name: String },
}

/// Where a login goes.
pub(super) struct Destination {
    pub(super) definition: Arc<Definition>,
    pub(super) server: Server,
    pub(super) flow: Flow,
    pub(super) scopes: Vec<String>,
    /// The server is known by discovery only, so it is kept with the connection.
    pub(super) discovered: bool,
    /// The text of a definition that is to be stored with the connection.
    pub(super) new_definition: Option<String>,
}

impl Plan {
    pub(super) fn provider(&self) -> &str {
        match self {
            Self::Defined { definition, .. } => &definition.name,
            Self::Discover { name, .. } => name,
        }
    }

    pub(super) fn display_name(&self) -> &str {
        match self {
            Self::Defined { definition, .. } => &definition.display_name,
            Self::Discover { name, .. } => name,
        }
    }
}

impl Broker {
    /// What `begin` asks for, checked as far as that needs no network.
    pub(super) fn plan(&self, begin: &BeginLogin) -> Result<Plan, ErrorReply> {
        let flow = begin.flow.as_deref().map(|text| {
            parse_flow(text).ok_or_else(|| usage(&format!("no flow is called {text:?}")))
        });
        let flow = flow.transpose()?;
        let plan = if begin.provider.contains("://") {
            let name = name_for(&begin.provider)?;
            match self.registry().get(&name).cloned() {
                // Logged in to before: its definition is there.
                Some(definition) => defined(definition, flow)?,
                None => Plan::Discover { url: begin.provider.clone(), name },
            }
        } else {
            defined(self.definition(&begin.provider)?, flow)?
        };
        if let Plan::Defined { definition, .. } = &plan {
            // Said now rather than when the user has been to the provider and back.
            definition.check_settings(&settings(begin)).map_err(|error| {
                ErrorReply::caused(ErrorKind::Usage, &error, error.hint().map(str::to_owned))
            })?;
        }
        let (provider, connection) = (plan.provider(), &begin.connection);
        if !begin.replace && self.snapshot().find(provider, Some(connection)).is_some() {
            return Err(exists(provider, connection));
        }
        Ok(plan)
    }
}

fn defined(definition: Arc<Definition>, flow: Option<Flow>) -> Result<Plan, ErrorReply> {
    let Some(oauth) = &definition.oauth else {
        return Err(ErrorReply {
            kind: ErrorKind::Usage,
            message: format!("{} takes a key, not a login by OAuth", definition.name),
            hint: Some(format!("authsome login {} --secret-stdin", definition.name)),
        });
    };
    let flow = flow.unwrap_or(oauth.flow);
    Ok(Plan::Defined { definition, flow })
}

impl Plan {
    /// Asks whatever there is to ask before a client is needed.
    pub(super) async fn resolve(
        self,
        http: &dyn Http,
        begin: &BeginLogin,
    ) -> Result<Destination, ErrorReply> {
        let scopes = begin.scopes.clone();
        match self {
            Self::Defined { definition, flow } => {
                let settings = settings(begin);
                let oauth = definition.oauth_at(&settings).ok_or_else(|| {
                    let message = format!("{} cannot be at that base URL", definition.name);
                    let hint = Some("such as https://git.example.com".to_owned());
                    ErrorReply { kind: ErrorKind::Usage, message, hint }
                })?;
                let server = Server::new(&oauth, None).map_err(|error| auth_error(&error))?;
                let server = server.complete(http).await.map_err(|error| auth_error(&error))?;
                if flow == Flow::DeviceCode && !server.has_device_flow() {
                    return Err(usage(&format!("{} has no device flow", definition.name)));
                }
                let scopes = scopes.unwrap_or(oauth.scopes);
                let discovered = oauth.issuer.is_some();
                let new_definition = None;
                Ok(Destination { definition, server, flow, scopes, discovered, new_definition })
            }
            Self::Discover { url, name } => {
                let found = discover(http, &url).await.map_err(|error| auth_error(&error))?;
                let text = definition_text(&name, &url, &found)?;
                let definition = Definition::parse_toml(&text, &name).map_err(|error| {
                    ErrorReply::caused(
                        ErrorKind::Failed,
                        &error,
                        Some("write a definition and `authsome register` it".to_owned()),
                    )
                })?;
                let flow = match begin.flow.as_deref().and_then(parse_flow) {
                    Some(flow) => flow,
                    None if found.server.can_register() => Flow::DcrPkce,
                    None => Flow::Pkce,
                };
                Ok(Destination {
                    definition: Arc::new(definition),
                    scopes: scopes.unwrap_or(found.scopes),
                    server: found.server,
                    flow,
                    discovered: true,
                    new_definition: Some(text),
                })
            }
        }
    }
}

/// The settings of the connection to be: what was given as fields, and the base URL.
pub(super) fn settings(begin: &BeginLogin) -> BTreeMap<String, String> {
    let mut settings = begin.fields.clone();
    if let Some(base_url) = &begin.base_url {
        settings.insert(BASE_URL.to_owned(), base_url.clone());
    }
    settings
}

/// The name of a provider that is known by its URL only: its host, with the path where there is one.
fn name_for(url: &str) -> Result<String, ErrorReply> {
    let bad = || usage("expected a provider's name, or the https URL of a server");
    let uri: http::Uri = url.parse().map_err(|_| bad())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(bad)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(bad());
    }
    let path = uri.path().trim_matches('/');
    let text = if path.is_empty() { host.to_owned() } else { format!("{host}-{path}") };
    let name: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(64)
        .collect();
    Ok(name.trim_matches(['-', '.']).to_owned())
}

/// A definition of what was discovered, so that the connection is found again without asking.
fn definition_text(name: &str, url: &str, found: &Discovered) -> Result<String, ErrorReply> {
    let unusable = || usage("the server's URL cannot be used");
    let uri: http::Uri = found.resource.parse().or_else(|_| url.parse()).map_err(|_| unusable())?;
    let host = uri.host().ok_or_else(unusable)?;
    let display = found.name.as_deref().unwrap_or(name);
    let mut oauth = toml::Table::new();
    oauth.insert("flow".to_owned(), "dcr_pkce".into());
    oauth.insert("resource".to_owned(), found.resource.clone().into());
    for (key, value) in [("issuer", found.server.issuer()), ("token_url", found.server.token_url())]
    {
        if let Some(value) = value {
            oauth.insert(key.to_owned(), value.to_owned().into());
        }
    }
    oauth.insert("scopes".to_owned(), found.scopes.clone().into());
    let mut table = toml::Table::new();
    table.insert("name".to_owned(), name.into());
    table.insert("display_name".to_owned(), display.into());
    table.insert("auth_type".to_owned(), "oauth2".into());
    table.insert("hosts".to_owned(), vec![host.to_ascii_lowercase()].into());
    let path = uri.path().trim_end_matches('/');
    if !path.is_empty() {
        table.insert("path_prefix".to_owned(), path.to_owned().into());
    }
    table.insert("oauth".to_owned(), oauth.into());
    toml::to_string(&table).map_err(|_| unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_definition_is_called_after_its_url() {
        assert_eq!(name_for("https://MCP.example.com/").unwrap(), "mcp.example.com");
        assert_eq!(name_for("https://example.com/a/mcp").unwrap(), "example.com-a-mcp");
        assert!(name_for("http://example.com").is_err());
        assert!(name_for("https://me@example.com").is_err());
    }
}
