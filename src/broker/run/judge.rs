//! What the user's policy says about this run's requests and connections.
//!
//! Asked before a credential is looked at. A server may take the method from a header, and may read a
//! path in several ways: the policy is asked about each, and the strictest answer holds.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method, request::Parts};
use jiff::{Timestamp, tz::TimeZone};

use super::{Asked, RunGate};
use crate::{
    broker::asks::CONNECT,
    gate::{Denial, RequestFacts, Ruling, Target},
    policy::{Decision, Policy, Query, Resource, Verdict, query_keys},
    request_path::Canonical,
};

/// Headers that some servers take a POST's method from.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// What the policy says.
#[derive(Debug)]
pub(super) enum Said {
    Allow,
    Deny(Denial),
    /// A person is to say it.
    Ask(Asked),
}

/// What is asked about, beside who asks.
struct Matter<'a> {
    target: &'a Target,
    connection: Option<&'a Arc<str>>,
    /// None: a connection that would be passed through unread.
    request: Option<(&'a Canonical, &'a [String])>,
}

impl RunGate {
    /// What the policy says about a request that would carry `connection`'s credential, or none.
    pub(super) fn judge(
        &self,
        facts: &RequestFacts,
        head: &Parts,
        connection: Option<&Arc<str>>,
    ) -> Ruling<Said> {
        let policy = match self.broker.common.policy().current() {
            Ok(policy) if policy.is_open() => return Said::Allow.into(),
            Ok(policy) => policy,
            Err(problem) => return Said::Deny(problem.denial()).into(),
        };
        let keys = query_keys(head.uri.query().unwrap_or_default());
        let matter =
            Matter { target: &facts.target, connection, request: Some((&facts.path, &keys)) };
        let method = facts.method.as_str();
        let mut decision = self.decision(&policy, &matter, Some(method));
        let overrides = overrides(head, method);
        for other in &overrides {
            let next = self.decision(&policy, &matter, Some(other));
            if next.verdict > decision.verdict {
                decision = next;
            }
        }
        // What a server may take it for is what is told, and what a person is asked about.
        let named = match overrides.as_slice() {
            [] => None,
            others => Some(format!("{method} as {}", others.join(" or "))),
        };
        let mut ruling =
            said(decision, named.as_deref().unwrap_or(method), facts.path.as_str(), &matter);
        if let Said::Ask(asked) = &mut ruling.says {
            asked.method = named;
        }
        ruling
    }

    /// What the policy says about a connection that would be passed through unread.
    pub(super) fn judge_connection(&self, target: &Target) -> Ruling<Said> {
        let policy = match self.broker.common.policy().current() {
            Ok(policy) if policy.is_open() => return Said::Allow.into(),
            Ok(policy) => policy,
            Err(problem) => return Said::Deny(problem.denial()).into(),
        };
        let matter = Matter { target, connection: None, request: None };
        said(self.decision(&policy, &matter, None), CONNECT, "", &matter)
    }

    fn decision(&self, policy: &Policy, matter: &Matter<'_>, method: Option<&str>) -> Decision {
        let principal = self.principal();
        let connection =
            matter.connection.and_then(|name| Some((name.split_once('/')?.0, &**name)));
        let zone = TimeZone::system();
        let query = Query {
            agent: &principal.agent,
            user: &principal.user,
            profile: &principal.profile,
            run: &self.run,
            method,
            host: &matter.target.host,
            port: matter.target.port,
            path: "",
            query_keys: matter.request.map(|(_, keys)| keys).unwrap_or_default(),
            resource: match connection {
                Some((provider, connection)) => Resource::Connection { provider, connection },
                None => Resource::Host,
            },
            time: Timestamp::now(),
            zone: &zone,
        };
        match matter.request {
            Some((path, _)) => policy.decide_path(&query, path),
            None => policy.decide(&query),
        }
    }
}

fn said(decision: Decision, method: &str, path: &str, matter: &Matter<'_>) -> Ruling<Said> {
    let Decision { verdict, policy, reason, ask_seconds } = decision;
    let says = match verdict {
        Verdict::Allow => Said::Allow,
        Verdict::Deny => {
            let target = matter.target;
            let rule = policy.as_deref().unwrap_or("the policy");
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Said::Deny(Denial {
                code: "policy-denied",
                reason: format!("{rule} denies {method} {target}{path}{why}"),
                hint: Some("authsome policy show".to_owned()),
                status: 403,
            })
        }
        Verdict::Ask => Said::Ask(Asked {
            method: None,
            connection: matter.connection.cloned(),
            policy: policy.clone(),
            reason,
            limit: ask_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        }),
    };
    Ruling { says, policy, connection: matter.connection.cloned() }
}

/// The methods that override headers name, if they are not the request's own; usually none. What is
/// none is one without a name.
fn overrides(head: &Parts, own: &str) -> Vec<String> {
    let values = OVERRIDES.iter().flat_map(|name| head.headers.get_all(name));
    let mut methods: Vec<String> = values
        .map(|value| {
            let text = value.to_str().unwrap_or_default().trim().to_ascii_uppercase();
            Method::from_bytes(text.as_bytes()).map_or_else(|_| "OTHER".to_owned(), |_| text)
        })
        .filter(|method| method != own)
        .collect();
    methods.sort();
    methods.dedup();
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_that_may_name_a_method_is_heard() {
        let request = http::Request::builder()
            .header("X-HTTP-Method-Override", " delete ")
            .header("x-http-method", "PUT")
            .header("x-method-override", "GET, DELETE")
            .header("x-method-override", "get")
            .body(())
            .unwrap();
        assert_eq!(overrides(&request.into_parts().0, "GET"), ["DELETE", "OTHER", "PUT"]);
    }
}
