//! What of a definition depends on where a connection's instance of the service is: hosts, path
//! prefix, endpoints.
//!
//! A connection has a base URL in the setting `base_url`; without one, the definition's default holds
//! and the vendor's own hosts. A base URL that is no such URL claims nothing and has no endpoints.

use std::collections::BTreeMap;

use http::Uri;
use serde::Serialize;

use super::{
    Definition, Error, Field, HostPattern, OAuth, PathPrefix,
    base::{BASE_HOST, BASE_URL, BaseUrl, PLACEHOLDER},
    host::Resolved,
    suggest,
    tree::Section,
};

/// What a connection claims whose base URL is not the definition's default.
#[derive(Clone, Debug, Serialize)]
pub struct Instance {
    /// The default base URL, for a definition whose OAuth part has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Names it claims in place of the definition's; `{base_host}` is the host of its base URL.
    pub hosts: Vec<HostPattern>,
    /// Part of those hosts it claims, below the path of its base URL; none: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<PathPrefix>,
    /// Where its tokens are revoked, if that is not below the base URL as the definition has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
}

/// Reads the `instance` table.
pub(super) fn read(section: &mut Section<'_>) -> Result<Instance, Error> {
    let texts = section.texts("hosts")?;
    if texts.is_empty() {
        let hint = format!("name them, such as `hosts = [\"{{{BASE_HOST}}}\"]`");
        return Err(section.missing("hosts", Some(hint)));
    }
    let mut hosts = Vec::new();
    for text in texts {
        let host = HostPattern::parse(&text)
            .map_err(|(problem, hint)| section.error("hosts", problem, hint))?;
        if let Some(other) = host.settings().find(|name| *name != BASE_HOST) {
            let hint = suggest::closest(other, [BASE_HOST]);
            let hint = hint.map(|meant| format!("did you mean `{meant}`?"));
            let problem = format!("refers to `{other}`; only `{BASE_HOST}` stands here");
            return Err(section.error("hosts", problem, hint));
        }
        hosts.push(host);
    }
    let path_prefix = match section.text("path_prefix")? {
        Some(text) => PathPrefix::parse(&text)
            .map_err(|problem| section.error("path_prefix", problem, None))?,
        None => None,
    };
    Ok(Instance {
        base_url: section.text("base_url")?,
        hosts,
        path_prefix,
        revocation_url: section.text("revocation_url")?,
    })
}

/// Adds the field for a base URL to those of a definition that has a default for it.
pub(super) fn add_field(
    fields: &mut Vec<Field>,
    oauth: Option<&OAuth>,
    instance: Option<&Instance>,
) {
    let Some(default) = default_of(oauth, instance) else { return };
    if fields.iter().any(|field| field.name == BASE_URL) {
        return;
    }
    let mut field = Field::new(BASE_URL, &format!("Base URL, if not {default}"));
    field.secret = false;
    field.optional = true;
    fields.push(field);
}

fn default_of<'a>(oauth: Option<&'a OAuth>, instance: Option<&'a Instance>) -> Option<&'a str> {
    let oauth = oauth.and_then(|oauth| oauth.base_url.as_deref());
    oauth.or_else(|| instance?.base_url.as_deref())
}

/// What a connection claims, its settings filled in.
pub(super) struct Claimed {
    pub(super) hosts: Vec<Resolved>,
    pub(super) path_prefixes: Vec<Option<PathPrefix>>,
}

impl Definition {
    /// The base URL in force for a connection with these settings: its own, or the default. None if
    /// the definition has none.
    #[must_use]
    pub fn base_url<'a>(&'a self, settings: &'a BTreeMap<String, String>) -> Option<&'a str> {
        let default = self.default_base_url()?;
        Some(settings.get(BASE_URL).map_or(default, String::as_str))
    }

    /// The base URL of a connection that has none of its own.
    pub(super) fn default_base_url(&self) -> Option<&str> {
        default_of(self.oauth.as_ref(), self.instance.as_ref())
    }

    /// The OAuth part for a connection with these settings: `{base_url}` filled in everywhere, and
    /// `base_url` the one in force. None if there is no OAuth part, or the base URL is none.
    #[must_use]
    pub fn oauth_at(&self, settings: &BTreeMap<String, String>) -> Option<OAuth> {
        let mut oauth = self.oauth.clone()?;
        let Some(base) = self.base_url(settings) else { return Some(oauth) };
        let base = BaseUrl::parse(base).ok()?.url;
        if let Some(instance) = &self.instance
            && self.own_base(settings).ok()?.is_some()
            && instance.revocation_url.is_some()
        {
            oauth.revocation_url.clone_from(&instance.revocation_url);
        }
        for url in oauth.urls_mut() {
            *url = url.replace(PLACEHOLDER, &base);
        }
        oauth.base_url = Some(base);
        Some(oauth)
    }

    /// Host (lower case, no port) and path of each endpoint where a connection with these settings
    /// gets its tokens: code exchange, device polls and refresh. None of them if they are found by
    /// discovery only.
    #[must_use]
    pub fn token_endpoints(&self, settings: &BTreeMap<String, String>) -> Vec<(String, String)> {
        let Some(oauth) = self.oauth_at(settings) else { return Vec::new() };
        let mut endpoints = Vec::new();
        let urls = [&oauth.token_url, &oauth.refresh_url].into_iter().flatten();
        for url in urls.chain(&oauth.token_aliases) {
            let Ok(uri) = url.parse::<Uri>() else { continue };
            let Some(host) = uri.host() else { continue };
            let endpoint = (host.to_ascii_lowercase(), uri.path().to_owned());
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }

    /// The settings that a token response brings (`oauth.settings_from_response`): of a URL its host.
    /// What does not fit its field is left out, so that a response leads no token to a host that the
    /// field does not allow.
    #[must_use]
    pub fn settings_from_response(&self, response: &serde_json::Value) -> BTreeMap<String, String> {
        let paths = self.oauth.iter().flat_map(|oauth| &oauth.settings_from_response);
        paths
            .filter_map(|(name, path)| {
                let field = self.field(name).filter(|field| !field.secret)?;
                let text = path.split('.').try_fold(response, |at, key| at.get(key))?.as_str()?;
                let value = BaseUrl::parse(text).map_or_else(|_| text.to_owned(), |url| url.host);
                let fits = field.pattern.as_ref().is_none_or(|pattern| pattern.matches(&value));
                fits.then(|| (name.clone(), value))
            })
            .collect()
    }

    /// What a connection with these settings claims.
    pub(super) fn claimed(&self, settings: &BTreeMap<String, String>) -> Result<Claimed, Error> {
        let own = self.own_base(settings)?;
        let (patterns, path_prefixes, settings) = match (&self.instance, own) {
            (Some(instance), Some(base)) => {
                let path_prefixes = vec![base.below(instance.path_prefix.as_ref())];
                let settings = BTreeMap::from([(BASE_HOST.to_owned(), base.host)]);
                (&instance.hosts, path_prefixes, &{ settings })
            }
            _ => {
                let path_prefixes = self.path_prefixes();
                let path_prefixes = path_prefixes.into_iter().map(Option::<&_>::cloned).collect();
                (&self.hosts, path_prefixes, settings)
            }
        };
        let hosts = patterns.iter().map(|host| {
            host.resolve(settings)
                .map_err(|(field, problem)| self.value_error(&field, problem, None))
        });
        Ok(Claimed { hosts: hosts.collect::<Result<_, _>>()?, path_prefixes })
    }

    /// The connection's own base URL, if it has one that is not the default.
    pub(super) fn own_base(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Option<BaseUrl>, Error> {
        let (Some(default), Some(own)) = (self.default_base_url(), settings.get(BASE_URL)) else {
            return Ok(None);
        };
        let own = BaseUrl::parse(own).map_err(|problem| {
            let hint = "such as https://git.example.com".to_owned();
            self.value_error(BASE_URL, problem, Some(hint))
        })?;
        let is_default = BaseUrl::parse(default).is_ok_and(|default| default == own);
        Ok((!is_default).then_some(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGE: &str = r#"
        name = "forge"
        display_name = "Forge"
        auth_type = "oauth2"
        hosts = ["api.forge.com"]
        [instance]
        hosts = ["{base_host}"]
        path_prefix = "/api"
        revocation_url = "{base_url}/api/grant"
        [oauth]
        base_url = "https://forge.com"
        authorization_url = "{base_url}/authorize"
        token_url = "{base_url}/token"
        refresh_url = "https://api.forge.com/refresh"
        revocation_url = "https://api.forge.com/grant"
    "#;

    fn forge() -> Definition {
        Definition::parse_toml(FORGE, "forge.toml").unwrap()
    }

    fn at(base: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(BASE_URL.to_owned(), base.to_owned())])
    }

    #[test]
    fn without_a_base_url_the_default_holds() {
        let forge = forge();
        let oauth = forge.oauth_at(&BTreeMap::new()).unwrap();
        assert_eq!(oauth.authorization_url.as_deref(), Some("https://forge.com/authorize"));
        assert_eq!(oauth.revocation_url.as_deref(), Some("https://api.forge.com/grant"));
        assert!(matches!(
            forge.claimed(&at("https://Forge.com/")).unwrap().hosts.as_slice(),
            [Resolved::Exact(host)] if host == "api.forge.com"
        ));
    }

    #[test]
    fn an_instance_has_its_own_hosts_prefix_and_endpoints() {
        let forge = forge();
        let settings = at("https://git.example.com/forge");
        let claimed = forge.claimed(&settings).unwrap();
        assert!(matches!(
            claimed.hosts.as_slice(),
            [Resolved::Exact(host)] if host == "git.example.com"
        ));
        assert_eq!(claimed.path_prefixes[0].as_ref().unwrap().to_string(), "/forge/api");
        let oauth = forge.oauth_at(&settings).unwrap();
        let revocation = oauth.revocation_url.as_deref();
        assert_eq!(revocation, Some("https://git.example.com/forge/api/grant"));
    }

    #[test]
    fn a_base_url_that_is_none_claims_nothing() {
        let forge = forge();
        for base in ["http://git.example.com", "git.example.com", "https://127.0.0.1"] {
            assert!(forge.claimed(&at(base)).is_err(), "{base}");
            assert!(forge.oauth_at(&at(base)).is_none(), "{base}");
            assert!(forge.token_endpoints(&at(base)).is_empty(), "{base}");
        }
    }

    #[test]
    fn token_endpoints_are_those_of_the_instance() {
        let endpoints = forge().token_endpoints(&at("https://Git.example.com"));
        let expected = [("git.example.com", "/token"), ("api.forge.com", "/refresh")];
        let expected = expected.map(|(host, path)| (host.to_owned(), path.to_owned()));
        assert_eq!(endpoints, expected);
    }

    #[test]
    fn a_response_sets_only_what_the_field_allows() {
        let text = r#"
            name = "crm"
            display_name = "CRM"
            auth_type = "oauth2"
            hosts = ["{host}"]
            [[fields]]
            name = "access_token"
            [[fields]]
            name = "host"
            secret = false
            pattern = '[a-z0-9-]+\.crm\.com'
            [oauth]
            token_url = "https://login.crm.com/token"
            settings_from_response = { host = "instance_url", access_token = "instance_url" }
        "#;
        let crm = Definition::parse_toml(text, "crm.toml").unwrap();
        let from =
            |url: &str| crm.settings_from_response(&serde_json::json!({"instance_url": url}));
        let expected = BTreeMap::from([("host".to_owned(), "acme.crm.com".to_owned())]);
        assert_eq!(from("https://acme.crm.com/"), expected);
        assert_eq!(from("https://evil.io"), BTreeMap::new());
    }
}
