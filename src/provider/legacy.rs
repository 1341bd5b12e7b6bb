//! Reads the provider files of the Python product, in the spellings of all its versions: `host_url`
//! or `api_url` (one or several), `docs` or `docs_url`, `supports_device_flow` or
//! `supports_device_code`, `export.env` or a flat `export`.
//!
//! What those versions ignored is ignored here too, with two exceptions: a file that mixes the two
//! formats, and one whose host rule cannot be kept, are refused.

use http::{HeaderName, header};

use super::{
    AuthType, Definition, Error, Field, HostPattern, Inject, PathPrefix, Slot, Template,
    default_field, instance, is_variable, native, oauth, read_name, tree::Section,
};

/// Keys that only those files have.
const MARKS: &[&str] =
    &["schema_version", "flow", "api_url", "host_url", "docs", "api_key", "export", "registration"];
/// Keys that those files never have.
const NATIVE: &[&str] = &["hosts", "path_prefix", "fields", "inject"];

/// Is it such a file?
pub(super) fn is_legacy(root: &Section<'_>) -> bool {
    MARKS.iter().any(|key| root.has(key))
}

/// Reads the top level.
pub(super) fn read(mut root: Section<'_>) -> Result<Definition, Error> {
    if let Some(key) = NATIVE.iter().find(|key| root.has(key)) {
        let mark = MARKS.iter().find(|key| root.has(key)).copied().unwrap_or_default();
        let hint = Some(format!("take out `{mark}`, or write `hosts` as `api_url`"));
        return Err(root.error(key, format!("stands beside `{mark}`, of the older format"), hint));
    }
    let name = read_name(&mut root)?;
    let display_name = root.text("display_name")?.unwrap_or_else(|| name.clone());
    let flow = root.text("flow")?;
    let auth_type = auth_type(&mut root, flow.as_deref())?;
    let docs_url = match root.text("docs_url")? {
        Some(url) => Some(url),
        None => root.text("docs")?,
    };
    let (hosts, path_prefix) = hosts(&mut root)?;

    let mut field = default_field(auth_type);
    let slot = api_key(&mut root, &mut field)?;
    field.env.extend(exported(&mut root, auth_type)?);
    field.env.sort();
    field.env.dedup();

    let oauth = match root.section("oauth")? {
        Some(mut section) => {
            let flow = flow.as_deref().and_then(oauth::parse_flow);
            let mut oauth = oauth::read(&mut section, flow)?;
            if let Some(mut registration) = root.section("registration")? {
                oauth.registration_endpoint = registration.text("registration_endpoint")?;
            }
            Some(oauth)
        }
        None => None,
    };
    if auth_type == AuthType::OAuth2 && oauth.is_none() {
        return Err(root.error("oauth", "is missing", None));
    }
    let mut fields = vec![field];
    instance::add_field(&mut fields, oauth.as_ref(), None);
    Ok(Definition {
        name,
        display_name,
        auth_type,
        docs_url,
        login_hint: root.text("description")?,
        hosts,
        path_prefix,
        also_path_prefixes: Vec::new(),
        instance: None,
        alternative_to: Vec::new(),
        fields,
        inject: vec![Inject { slot, also_remove: Vec::new() }],
        oauth,
    })
}

fn auth_type(root: &mut Section<'_>, flow: Option<&str>) -> Result<AuthType, Error> {
    let given = root.text("auth_type")?;
    match (given.as_deref(), flow) {
        (Some("api_key"), _) | (None, Some("api_key")) => Ok(AuthType::ApiKey),
        (Some("oauth2"), _) | (None, Some("pkce" | "device_code" | "dcr_pkce")) => {
            Ok(AuthType::OAuth2)
        }
        (Some("browser"), _) => {
            let hint = "browser sessions are not read; use an API key or OAuth".to_owned();
            Err(root.error("auth_type", "is `browser`, which is not supported", Some(hint)))
        }
        _ => {
            let hint = Some("`api_key` or `oauth2`".to_owned());
            Err(root.error("auth_type", "is missing or unknown", hint))
        }
    }
}

/// `api_url` is a host, a URL whose path is a prefix, or `regex:` and an expression. The port was
/// always ignored.
fn hosts(root: &mut Section<'_>) -> Result<(Vec<HostPattern>, Option<PathPrefix>), Error> {
    let key = if root.has("api_url") { "api_url" } else { "host_url" };
    let mut hosts = Vec::new();
    let mut prefixes: Vec<Option<PathPrefix>> = Vec::new();
    for text in root.texts(key)? {
        let (host, path) = split_url(&text);
        let host =
            HostPattern::parse(&host).map_err(|(problem, hint)| root.error(key, problem, hint))?;
        let prefix = PathPrefix::parse(&path).map_err(|problem| root.error(key, problem, None))?;
        hosts.push(host);
        prefixes.push(prefix);
    }
    prefixes.dedup();
    if prefixes.len() > 1 {
        let hint = "write one definition for each path".to_owned();
        return Err(root.error(key, "has several paths", Some(hint)));
    }
    Ok((hosts, prefixes.pop().flatten()))
}

fn split_url(text: &str) -> (String, String) {
    if text.starts_with("regex:") {
        return (text.to_owned(), String::new());
    }
    let (_, rest) = text.split_once("://").unwrap_or(("", text));
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    (host.trim_end_matches('.').to_ascii_lowercase(), path)
}

/// Reads the `api_key` table into the field and the slot.
fn api_key(root: &mut Section<'_>, field: &mut Field) -> Result<Slot, Error> {
    let bearer = Slot::Bearer { field: field.name.clone() };
    let Some(mut section) = root.section("api_key")? else { return Ok(bearer) };
    field.pattern = native::pattern(&mut section, "key_pattern")?;
    field.pattern_hint = section.text("key_pattern_hint")?;
    if let Some(variable) = section.text("env_var")? {
        if !is_variable(&variable) {
            return Err(section.error("env_var", "is no variable name", None));
        }
        field.env.push(variable);
    }
    let name = section.text("header_name")?.unwrap_or_else(|| "Authorization".to_owned());
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(section.error("header_name", "is no header name", None));
    };
    let raw = section.is_null("header_prefix");
    let prefix = section.text("header_prefix")?;
    let prefix = if raw { "" } else { prefix.as_deref().unwrap_or("Bearer").trim() };
    if name == header::AUTHORIZATION && prefix == "Bearer" {
        return Ok(bearer);
    }
    let text = if prefix.is_empty() {
        format!("{{{}}}", field.name)
    } else {
        format!("{prefix} {{{}}}", field.name)
    };
    let template =
        Template::parse(&text).map_err(|problem| section.error("header_prefix", problem, None))?;
    Ok(Slot::Header { name, template })
}

/// Variables that get the credential. The older form maps a source to a name, the newer one a name to
/// a source; a refresh token is exported by neither here, nor is a URL.
fn exported(root: &mut Section<'_>, auth_type: AuthType) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let flat = root.strings("export")?;
    if let Some(mut export) = root.section("export")? {
        for (source, name) in export.strings("env")? {
            let wanted = match auth_type {
                AuthType::ApiKey => source == "api_key",
                AuthType::OAuth2 => source == "access_token",
            };
            if wanted {
                names.push(name);
            }
        }
    }
    let is_credential = |source: &str| matches!(source, "ACCESS_TOKEN" | "API_TOKEN" | "API_KEY");
    names
        .extend(flat.into_iter().filter(|(_, source)| is_credential(source)).map(|(name, _)| name));
    match names.iter().find(|name| !is_variable(name)) {
        Some(name) => {
            Err(root.error("export", format!("has `{name}`, which is no variable name"), None))
        }
        None => Ok(names),
    }
}
