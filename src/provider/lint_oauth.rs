//! What is unwise in the OAuth part of a definition: endpoints that no certificate vouches for,
//! parameters that would undo a protection of the flow, parts that refer to nothing.

use std::collections::BTreeMap;

use super::{
    Definition, Flow, OAuth, Revocation, RevocationAuth, RevocationBody, RevokedToken, Severity,
    base::{BASE_HOST, BASE_URL, BaseUrl, PLACEHOLDER},
    template::{Part, Template},
};

/// Parameters of the authorization request that the flow itself sets.
const AUTHORIZATION: &[&str] = &[
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_type",
    "state",
];
/// Parameters of token requests that the flow itself sets.
const TOKEN: &[&str] = &[
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "grant_type",
    "redirect_uri",
    "refresh_token",
];
/// Headers of token requests that the flow itself sets, or that frame the message.
const HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// Members of a token response that are read.
const MEMBERS: &[&str] = &["access_token", "refresh_token", "expires_in", "scope", "token_type"];
/// What a revocation request may hold.
const REVOCATION: &[&str] = &["token", "token_type_hint", "client_id"];

type Find<'a> = dyn FnMut(Severity, &'static str, String, String) + 'a;

/// Hands each finding on to `find`.
pub(super) fn check(definition: &Definition, find: &mut Find<'_>) {
    check_instance(definition, find);
    let Some(oauth) = &definition.oauth else { return };
    let base = definition.default_base_url();
    let bad = base.and_then(|base| BaseUrl::parse(base).err());
    if let Some(problem) = bad.filter(|_| definition.instance.is_none()) {
        error(find, format!("has a `base_url` that {problem}"), "such as https://example.com");
    }
    let own = definition.instance.as_ref().and_then(|instance| instance.revocation_url.as_deref());
    for (key, url) in oauth.urls().chain(own.map(|url| ("revocation_url", url))) {
        let known: &[&str] = if key == "revocation_url" { REVOCATION } else { &[] };
        if let Some((problem, hint)) = url_problem(url, known, base.is_some()) {
            error(find, format!("has the {key} `{url}`, {problem}"), hint);
        }
    }
    check_flow(oauth, find);
    check_fields(definition, oauth, find);
    check_parameters(oauth, find);
    check_scopes(oauth, find);
    check_revocation(oauth, own, find);
}

fn error(find: &mut Find<'_>, problem: String, hint: &str) {
    find(Severity::Error, "oauth", problem, hint.to_owned());
}

fn check_instance(definition: &Definition, find: &mut Find<'_>) {
    let Some(instance) = &definition.instance else { return };
    let mut wrong = |problem: String, hint: &str| {
        find(Severity::Error, "instance", problem, hint.to_owned());
    };
    match definition.default_base_url().map(BaseUrl::parse) {
        None => {
            let problem = "is for a base URL, and there is none".to_owned();
            wrong(problem, "give `oauth.base_url` its default");
        }
        Some(Err(problem)) => {
            wrong(format!("has a `base_url` that {problem}"), "such as https://example.com");
        }
        Some(Ok(_)) => {}
    }
    for host in &instance.hosts {
        if !host.settings().any(|name| name == BASE_HOST) {
            wrong(format!("has `{host}`, which is the same for all"), "write `{base_host}`");
        }
    }
}

/// What is wrong with an endpoint, and the mend. `known` placeholders may stand in path and query.
fn url_problem(url: &str, known: &[&str], has_base: bool) -> Option<(&'static str, &'static str)> {
    if url.contains(PLACEHOLDER) && !has_base {
        return Some(("and there is no default for it", "give `oauth.base_url` its default"));
    }
    // An instance at a path of its own shows what the placeholder stands for best.
    let filled = match url.strip_prefix(PLACEHOLDER) {
        Some(rest) => format!("https://base.example.com/path{rest}"),
        None => url.to_owned(),
    };
    let Ok(template) = Template::parse(&filled) else {
        return Some(("whose braces do not match", "a placeholder is written `{token}`"));
    };
    if template.fields().any(|name| !known.contains(&name)) {
        let hint = "`{base_url}` at the start, in a revocation URL also `{token}`, \
                    `{token_type_hint}` and `{client_id}`";
        return Some(("with a placeholder that is not known there", hint));
    }
    let Some(Part::Literal(start)) = template.parts().first() else {
        return Some(("which does not begin with a host", "write an https URL"));
    };
    // Placeholders come after a slash that ends the host.
    let after = start.strip_prefix("https://").and_then(|rest| rest.split_once('/'));
    if after.is_none() && template.parts().len() > 1 {
        return Some(("whose host is not fixed", "write an https URL"));
    }
    let start = start.split_once('?').map_or(start.as_str(), |(path, _)| path);
    BaseUrl::parse(start)
        .err()
        .map(|_| ("which is no https URL of a host of the DNS", "write an https URL"))
}

/// Has each flow what it needs?
fn check_flow(oauth: &OAuth, find: &mut Find<'_>) {
    let discovered = oauth.issuer.is_some();
    let token = oauth.token_url.is_some() || discovered;
    let browser = token && (oauth.authorization_url.is_some() || discovered);
    let device = token && (oauth.device_authorization_url.is_some() || discovered);
    let registers = oauth.registration_endpoint.is_some() || discovered || oauth.resource.is_some();
    let (complete, missing) = match oauth.flow {
        Flow::Pkce => (browser, "`authorization_url` and `token_url`"),
        Flow::DeviceCode => (device, "`device_authorization_url` and `token_url`"),
        Flow::DcrPkce => (registers && (browser || oauth.resource.is_some()), "`resource`"),
        Flow::ClientCredentials => (token, "`token_url`"),
    };
    if !complete {
        let problem = format!("has the flow `{}` without {missing}", oauth.flow.as_str());
        error(find, problem, "name them, or an `issuer` that does");
    }
    if oauth.supports_device_code && !device {
        let problem = "supports the device flow without `device_authorization_url`".to_owned();
        error(find, problem, "name it, or take out `supports_device_code`");
    }
    if oauth.supports_dcr && !registers {
        let problem = "supports registration without `registration_endpoint`".to_owned();
        error(find, problem, "name it, or take out `supports_dcr`");
    }
}

/// Do the fields it names exist, and may they hold what they are given?
fn check_fields(definition: &Definition, oauth: &OAuth, find: &mut Find<'_>) {
    if let Some(name) = &oauth.field
        && definition.field(name).is_none_or(|field| !field.secret)
    {
        let problem = format!("puts the token into `{name}`, which is no secret field");
        error(find, problem, "name a secret field in `field`");
    }
    for name in oauth.settings_from_response.keys() {
        match definition.field(name) {
            Some(field) if !field.secret && name != BASE_URL => {}
            Some(_) | None => {
                let problem = format!("fills `{name}` from a response: it is no setting");
                error(find, problem, "name a field with `secret = false`");
            }
        }
        // Whoever answers in the provider's place would choose where the token goes.
        let routed = definition.hosts.iter().any(|host| host.settings().any(|used| used == name));
        let free = definition.field(name).is_some_and(|field| field.pattern.is_none());
        if routed && free {
            let problem = format!("lets a response choose the host `{name}` freely");
            error(find, problem, "give the field a `pattern` that ends in the provider's domain");
        }
    }
    let paths = oauth.token_response.iter().chain(&oauth.settings_from_response);
    for (_, path) in paths.filter(|(_, path)| path.split('.').any(str::is_empty)) {
        error(
            find,
            format!("has `{path}`, which is no path"),
            "such as `authed_user.access_token`",
        );
    }
    if let Some(member) = unknown(&oauth.token_response, MEMBERS) {
        let problem = format!("has `{member}` in `token_response`, which is not read");
        error(find, problem, "one of access_token, refresh_token, expires_in, scope, token_type");
    }
}

fn unknown<'a>(map: &'a BTreeMap<String, String>, known: &[&str]) -> Option<&'a str> {
    map.keys().map(String::as_str).find(|name| !known.contains(name))
}

/// Does an added parameter take the place of one that the flow sets?
fn check_parameters(oauth: &OAuth, find: &mut Find<'_>) {
    let hint = "take it out: the flow sets it";
    let set = |name: &str| {
        AUTHORIZATION.contains(&name)
            || name == oauth.scope_param
            || (name == "resource" && oauth.resource.is_some())
    };
    for name in oauth.authorization_params.keys().filter(|name| set(name)) {
        error(find, format!("overrides `{name}` in `authorization_params`"), hint);
    }
    for name in oauth.token_params.keys().filter(|name| TOKEN.contains(&name.as_str())) {
        error(find, format!("overrides `{name}` in `token_params`"), hint);
    }
    for (name, value) in &oauth.token_headers {
        let valid = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && http::HeaderValue::from_str(value).is_ok();
        if !valid || HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            error(find, format!("has `{name}` in `token_headers`, which may not be set"), hint);
        }
    }
}

fn check_scopes(oauth: &OAuth, find: &mut Find<'_>) {
    if oauth.scope_separator.is_empty() || oauth.scope_param.is_empty() {
        let problem = "has an empty `scope_separator` or `scope_param`".to_owned();
        error(find, problem, "take it out: the default is RFC 6749's");
        return;
    }
    let split = |scope: &str| {
        scope.is_empty()
            || scope.contains(oauth.scope_separator.as_str())
            || scope.chars().any(char::is_whitespace)
    };
    for scope in oauth.scopes.iter().filter(|scope| split(scope)) {
        let problem = format!("has the scope `{scope}`, which is several, or none");
        error(find, problem, "write one string for each scope");
    }
}

fn check_revocation(oauth: &OAuth, own: Option<&str>, find: &mut Find<'_>) {
    let revocation = &oauth.revocation;
    let urls = [oauth.revocation_url.as_deref(), own];
    let discovered = oauth.issuer.is_some();
    let mut urls = urls.into_iter().flatten().peekable();
    if urls.peek().is_none() {
        if !is_standard(revocation) && !discovered {
            let problem = "says how to revoke a token, and not where".to_owned();
            error(find, problem, "name the `revocation_url`");
        }
        return;
    }
    let in_body = revocation.body != RevocationBody::None
        && revocation.params.values().any(|value| value.contains("{token}"));
    let named = in_body || revocation.auth == RevocationAuth::Bearer;
    if !named && urls.any(|url| !url.contains("{token}")) {
        let problem = "has a revocation that does not say which token".to_owned();
        error(find, problem, "put `{token}` into its URL or its `params`");
    }
    for value in revocation.params.values() {
        let fields = Template::parse(value);
        if fields.is_ok_and(|text| text.fields().any(|name| !REVOCATION.contains(&name))) {
            let problem = format!("has `{value}` in `revocation.params`, which is not known there");
            error(find, problem, "`{token}`, `{token_type_hint}` or `{client_id}`");
        }
    }
}

/// Is it what RFC 7009 has, and so what a definition has that does not speak of it?
fn is_standard(revocation: &Revocation) -> bool {
    let standard = Revocation::default();
    revocation.method == standard.method
        && revocation.token == RevokedToken::default()
        && revocation.auth == standard.auth
        && revocation.body == standard.body
        && revocation.params == standard.params
        && revocation.ok == standard.ok
}

#[cfg(test)]
mod tests {
    use super::super::lint;
    use super::*;

    fn problems(top: &str, oauth: &str) -> Vec<String> {
        let text = format!(
            "name = \"x\"\ndisplay_name = \"x\"\nauth_type = \"oauth2\"\nhosts = [\"x.com\"]\n{top}\n\
             [oauth]\nauthorization_url = \"https://x.com/a\"\n{oauth}\n"
        );
        let definition = Definition::parse_toml(&text, "x.toml").unwrap();
        lint(&definition).into_iter().map(|finding| finding.problem).collect()
    }

    const TOKEN_URL: &str = "token_url = \"https://x.com/t\"\n";

    #[test]
    fn a_sound_part_is_not_complained_about() {
        assert_eq!(problems("", TOKEN_URL), [""; 0]);
        let revocation = "revocation_url = \"https://x.com/r/{token}\"\n\
                          [oauth.revocation]\nmethod = \"DELETE\"\nbody = \"none\"";
        assert_eq!(problems("", &format!("{TOKEN_URL}{revocation}")), [""; 0]);
        let base = "base_url = \"https://x.com\"\ntoken_url = \"{base_url}/t\"";
        assert_eq!(problems("[instance]\nhosts = [\"{base_host}\"]", base), [""; 0]);
    }

    #[test]
    fn endpoints_that_no_certificate_vouches_for_are_found() {
        for url in [
            "http://x.com/t",
            "https://127.0.0.1/t",
            "https://localhost/t",
            "https://user@x.com/t",
            "{base_url}/t",
            "https://{tenant}.x.com/t",
            "https://x.com{token}/t",
            "https://x.com/{token}",
            "https://x.com/{",
        ] {
            let found = problems("", &format!("token_url = \"{url}\""));
            assert_eq!(found.len(), 1, "{url}: {found:?}");
        }
    }

    #[test]
    fn parameters_that_undo_the_flow_are_found() {
        for extra in [
            "authorization_params = { state = \"x\" }",
            "authorization_params = { code_challenge_method = \"plain\" }",
            "authorization_params = { redirect_uri = \"https://evil.io\" }",
            "authorization_params = { scope = \"all\" }",
            "scope_param = \"user_scope\"\nauthorization_params = { user_scope = \"all\" }",
            "token_params = { grant_type = \"password\" }",
            "token_headers = { Authorization = \"Basic eA==\" }",
            "token_headers = { \"a b\" = \"x\" }",
        ] {
            let found = problems("", &format!("{TOKEN_URL}{extra}"));
            assert_eq!(found.len(), 1, "{extra}: {found:?}");
        }
    }

    #[test]
    fn parts_that_refer_to_nothing_are_found() {
        for extra in [
            "field = \"nothing\"",
            "field = \"plain\"",
            "token_response = { acess_token = \"a\" }",
            "token_response = { access_token = \"a..b\" }",
            "settings_from_response = { access_token = \"a\" }",
            "settings_from_response = { nothing = \"a\" }",
            "supports_device_code = true",
            "supports_dcr = true",
            "flow = \"device_code\"",
            "scopes = [\"a b\"]",
            "scope_separator = \",\"\nscopes = [\"a,b\"]",
            "[oauth.revocation]\nmethod = \"DELETE\"",
            "revocation_url = \"https://x.com/r\"\n[oauth.revocation]\nbody = \"none\"",
            "revocation_url = \"https://x.com/r\"\n[oauth.revocation]\n\
             params = { token = \"{token}\", x = \"{secret}\" }",
        ] {
            let fields = "[[fields]]\nname = \"access_token\"\n\
                          [[fields]]\nname = \"plain\"\nsecret = false";
            let found = problems(fields, &format!("{TOKEN_URL}{extra}"));
            assert_eq!(found.len(), 1, "{extra}: {found:?}");
        }
    }

    #[test]
    fn a_response_that_chooses_any_host_is_found() {
        let text = "name = \"x\"\ndisplay_name = \"x\"\nauth_type = \"oauth2\"\nhosts = [\"{at}\"]\n\
                    [[fields]]\nname = \"access_token\"\n[[fields]]\nname = \"at\"\nsecret = false\n\
                    [oauth]\nflow = \"client_credentials\"\ntoken_url = \"https://x.com/t\"\n\
                    settings_from_response = { at = \"url\" }\n";
        let definition = Definition::parse_toml(text, "x.toml").unwrap();
        assert_eq!(lint(&definition).len(), 1, "{:?}", lint(&definition));
    }

    #[test]
    fn an_instance_without_a_base_url_is_found() {
        assert_eq!(problems("[instance]\nhosts = [\"{base_host}\"]", TOKEN_URL).len(), 1);
        let base = format!("base_url = \"https://x.com\"\n{TOKEN_URL}");
        assert_eq!(problems("[instance]\nhosts = [\"y.com\"]", &base).len(), 1);
    }
}
