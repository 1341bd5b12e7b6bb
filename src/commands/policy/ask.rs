//! A request that is only thought of, and what a policy decides about it.

use std::collections::BTreeMap;

use http::Uri;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    policy::{Decision, Policy, Query, Resource, agent_id, query_keys},
    provider::{Member, Registry, Route, Routes},
    request_path::canonical,
};

/// Connections are called so where nobody says otherwise.
const DEFAULT_CONNECTION: &str = "default";
/// What stands for a method where a connection is meant.
const CONNECT: &str = "connect";

/// A request, or a connection that stays encrypted.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) agent: String,
    pub(super) user: String,
    pub(super) profile: String,
    pub(super) run: String,
    /// `None`: a connection.
    pub(super) method: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    /// As an agent would write it, without the query.
    pub(super) path: String,
    pub(super) query_keys: Vec<String>,
    /// Provider and full name.
    pub(super) connection: Option<(String, String)>,
    pub(super) time: Timestamp,
}

/// What an [`Asked`] is made of, as people write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) agent: &'a str,
    pub(super) user: &'a str,
    pub(super) profile: &'a str,
    pub(super) method: Option<&'a str>,
    pub(super) url: &'a str,
    pub(super) connection: Option<&'a str>,
    pub(super) time: Option<Timestamp>,
}

impl Asked {
    /// Completes a wish as a run would: the provider is the one that claims the host. On failure says
    /// what is wrong with it.
    pub(super) fn of(wish: Wish<'_>, routes: &Routes) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{}` is no URL: {why}", wish.url);
        let whole = if wish.url.contains("://") {
            wish.url.to_owned()
        } else {
            format!("https://{}", wish.url)
        };
        let uri: Uri =
            whole.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let host =
            uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?;
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let port =
            uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let connection = match wish.connection {
            Some(name) => {
                let provider = name.split('/').next().unwrap_or(name);
                Some((provider.to_owned(), name.to_owned()))
            }
            None => claiming(routes, &host, uri.path()),
        };
        // What no provider claims stays encrypted: nobody sees a method.
        let method = match wish.method {
            Some(CONNECT) => None,
            Some(method) => Some(method.to_owned()),
            None => connection.is_some().then(|| "GET".to_owned()),
        };
        if method.is_none() && connection.is_some() {
            return Err("`connect` is for hosts that no provider claims".to_owned());
        }
        Ok(Self {
            agent: agent_id(wish.agent),
            user: wish.user.to_owned(),
            profile: wish.profile.to_owned(),
            run: String::new(),
            path: if method.is_some() { uri.path().to_owned() } else { String::new() },
            query_keys: query_keys(uri.query().unwrap_or_default()),
            method,
            host,
            port,
            connection,
            time: wish.time.unwrap_or_else(Timestamp::now),
        })
    }

    /// What the policy decides. On failure says why such a request is not sent at all.
    pub(super) fn decide(&self, policy: &Policy) -> Result<Decision, String> {
        let zone = TimeZone::system();
        let query = Query {
            agent: &self.agent,
            user: &self.user,
            profile: &self.profile,
            run: &self.run,
            method: self.method.as_deref(),
            host: &self.host,
            port: self.port,
            path: "",
            query_keys: &self.query_keys,
            resource: match &self.connection {
                Some((provider, connection)) => Resource::Connection { provider, connection },
                None => Resource::Host,
            },
            time: self.time,
            zone: &zone,
        };
        if self.method.is_none() {
            return Ok(policy.decide(&query));
        }
        let path = canonical(&self.path).map_err(|error| error.to_string())?;
        Ok(policy.decide_path(&query, &path))
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
        let method = self.method.as_deref().unwrap_or(CONNECT);
        format!("{method} {}{port}{}", self.host, self.path)
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "agent": self.agent,
            "user": self.user,
            "profile": self.profile,
            "method": self.method,
            "host": self.host,
            "port": self.port,
            "path": self.path,
            "connection": self.connection.as_ref().map(|(_, name)| name),
            "time": self.time.to_string(),
        })
    }
}

/// Routes as if every provider had its default connection.
pub(super) fn routes(registry: &Registry) -> Routes {
    let members: Vec<_> = registry
        .iter()
        .map(|definition| Member {
            definition: definition.clone(),
            connection: DEFAULT_CONNECTION.into(),
            settings: BTreeMap::new(),
        })
        .collect();
    Routes::build(&members)
}

/// The provider that claims the host, and its default connection.
pub(super) fn claiming(routes: &Routes, host: &str, path: &str) -> Option<(String, String)> {
    match routes.route(host, path) {
        Route::Provider(claim) => {
            let provider = claim.definition.name.clone();
            let connection = format!("{provider}/{DEFAULT_CONNECTION}");
            Some((provider, connection))
        }
        Route::Ambiguous(_) | Route::None => None,
    }
}
