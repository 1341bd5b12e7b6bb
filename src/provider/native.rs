//! Reads definitions in the product's own format. Unknown keys are errors: a misspelt one would
//! otherwise change, in silence, where a secret goes.

use http::{HeaderName, header};

use super::{
    API_KEY, AuthType, Definition, Derive, Error, Field, HostPattern, Inject, PathPrefix, Pattern,
    Slot, Template, default_field, inject::check_path_slot, instance, is_variable, oauth,
    placeholder, read_name, suggest, tree::Section,
};

/// Reads the top level.
pub(super) fn read(mut root: Section<'_>) -> Result<Definition, Error> {
    let name = read_name(&mut root)?;
    let display_name = root.required("display_name")?;
    let auth_type = auth_type(&mut root)?;
    let docs_url = root.text("docs_url")?;
    let login_hint = root.text("login_hint")?;
    let hosts = hosts(&mut root)?;
    let path_prefix = path_prefix(&mut root)?;
    let also_path_prefixes = also_path_prefixes(&mut root, path_prefix.as_ref())?;
    let instance = match root.section("instance")? {
        Some(mut section) => {
            let instance = instance::read(&mut section)?;
            section.finish()?;
            Some(instance)
        }
        None => None,
    };
    let alternative_to = root.texts("alternative_to")?;
    let mut fields = fields(&mut root, auth_type)?;
    let inject = injections(&mut root, &fields)?;
    let oauth = match root.section("oauth")? {
        Some(mut section) => {
            let oauth = oauth::read(&mut section, None)?;
            section.finish()?;
            Some(oauth)
        }
        None => None,
    };
    if auth_type == AuthType::OAuth2 && oauth.is_none() {
        return Err(root.missing("oauth", Some("add an `[oauth]` table".to_owned())));
    }
    instance::add_field(&mut fields, oauth.as_ref(), instance.as_ref());
    check_settings(&root, &hosts, &fields)?;
    root.finish()?;
    Ok(Definition {
        name,
        display_name,
        auth_type,
        docs_url,
        login_hint,
        hosts,
        path_prefix,
        also_path_prefixes,
        instance,
        alternative_to,
        fields,
        inject,
        oauth,
    })
}

fn auth_type(root: &mut Section<'_>) -> Result<AuthType, Error> {
    match root.required("auth_type")?.as_str() {
        "api_key" => Ok(AuthType::ApiKey),
        "oauth2" => Ok(AuthType::OAuth2),
        _ => {
            let hint = Some("`api_key` or `oauth2`".to_owned());
            Err(root.error("auth_type", "has an unknown value", hint))
        }
    }
}

fn hosts(root: &mut Section<'_>) -> Result<Vec<HostPattern>, Error> {
    let texts = root.texts("hosts")?;
    if texts.is_empty() {
        let hint = "name at least one, such as `hosts = [\"api.example.com\"]`".to_owned();
        return Err(root.missing("hosts", Some(hint)));
    }
    let parse = |text: &String| {
        HostPattern::parse(text).map_err(|(problem, hint)| root.error("hosts", problem, hint))
    };
    texts.iter().map(parse).collect()
}

fn path_prefix(root: &mut Section<'_>) -> Result<Option<PathPrefix>, Error> {
    let Some(text) = root.text("path_prefix")? else { return Ok(None) };
    PathPrefix::parse(&text).map_err(|problem| root.error("path_prefix", problem, None))
}

/// Beside a `path_prefix` only: without one the whole host is claimed already.
fn also_path_prefixes(
    root: &mut Section<'_>,
    first: Option<&PathPrefix>,
) -> Result<Vec<PathPrefix>, Error> {
    let key = "also_path_prefixes";
    let texts = root.texts(key)?;
    if first.is_none() && !texts.is_empty() {
        let hint = Some("name the first one in `path_prefix`".to_owned());
        return Err(root.error(key, "stands without a `path_prefix`", hint));
    }
    let parse = |text: &String| match PathPrefix::parse(text) {
        Ok(Some(prefix)) => Ok(prefix),
        Ok(None) => Err(root.error(key, "has an empty one", None)),
        Err(problem) => Err(root.error(key, problem, None)),
    };
    texts.iter().map(parse).collect()
}

fn fields(root: &mut Section<'_>, auth_type: AuthType) -> Result<Vec<Field>, Error> {
    let mut fields: Vec<Field> = Vec::new();
    for mut section in root.sections("fields")? {
        let field = field(&mut section)?;
        if fields.iter().any(|other| other.name == field.name) {
            return Err(section.error("name", "names a field that is already there", None));
        }
        if let Some(derive) = &field.derive
            && !fields.iter().any(|other| other.name == derive.from)
        {
            let hint = Some("a field is derived from one above it".to_owned());
            return Err(section.error("derive", "names an unknown field", hint));
        }
        section.finish()?;
        fields.push(field);
    }
    if fields.is_empty() {
        fields.push(default_field(auth_type));
    }
    if !fields.iter().any(|field| field.secret) {
        return Err(root.error("fields", "has no secret one", None));
    }
    Ok(fields)
}

fn field(section: &mut Section<'_>) -> Result<Field, Error> {
    let name = section.text("name")?.unwrap_or_else(|| API_KEY.to_owned());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) {
        let hint = Some("lower-case letters, digits and `_`".to_owned());
        return Err(section.error("name", "is no field name", hint));
    }
    let label = section.text("label")?.unwrap_or_else(|| name.clone());
    let mut field = Field::new(&name, &label);
    field.secret = section.flag("secret")?.unwrap_or(true);
    field.optional = section.flag("optional")?.unwrap_or_default();
    field.env = variables(section, "env")?;
    field.env_remove = variables(section, "env_remove")?;
    field.pattern = pattern(section, "pattern")?;
    field.pattern_hint = section.text("pattern_hint")?;
    field.placeholder = section.text("placeholder")?;
    if let Some(shape) = &field.placeholder {
        placeholder::check_shape(shape)
            .map_err(|problem| section.error("placeholder", problem, None))?;
    }
    field.derive = derive(section)?;
    Ok(field)
}

fn variables(section: &mut Section<'_>, key: &'static str) -> Result<Vec<String>, Error> {
    let names = section.texts(key)?;
    match names.iter().find(|name| !is_variable(name)) {
        Some(name) => {
            Err(section.error(key, format!("has `{name}`, which is no variable name"), None))
        }
        None => Ok(names),
    }
}

/// Reads a regular expression for a value.
pub(super) fn pattern(
    section: &mut Section<'_>,
    key: &'static str,
) -> Result<Option<Pattern>, Error> {
    let Some(text) = section.text(key)? else { return Ok(None) };
    Pattern::parse(&text).map(Some).map_err(|problem| {
        let hint =
            "the syntax is that of https://docs.rs/regex: no look-around, no back-references";
        section.error(key, format!("is no valid expression: {problem}"), Some(hint.to_owned()))
    })
}

fn derive(section: &mut Section<'_>) -> Result<Option<Derive>, Error> {
    let Some(mut table) = section.section("derive")? else { return Ok(None) };
    let from = table.required("from")?;
    let capture = table.required("capture")?;
    let groups = regex::Regex::new(&capture).map(|regex| regex.captures_len());
    if !matches!(groups, Ok(2..)) {
        return Err(table.error("capture", "must be an expression with a group", None));
    }
    table.finish()?;
    Ok(Some(Derive { from, capture }))
}

fn injections(root: &mut Section<'_>, fields: &[Field]) -> Result<Vec<Inject>, Error> {
    let mut injections = Vec::new();
    for mut section in root.sections("inject")? {
        let slot = slot(&mut section, fields)?;
        let also_remove = section
            .texts("also_remove")?
            .iter()
            .map(|name| header_name(&section, "also_remove", name))
            .collect::<Result<_, _>>()?;
        section.finish()?;
        injections.push(Inject { slot, also_remove });
    }
    if injections.is_empty() {
        let field = main_field(fields).to_owned();
        injections.push(Inject { slot: Slot::Bearer { field }, also_remove: Vec::new() });
    }
    Ok(injections)
}

fn slot(section: &mut Section<'_>, fields: &[Field]) -> Result<Slot, Error> {
    let kind = section.required("kind")?;
    Ok(match kind.as_str() {
        "bearer" => Slot::Bearer { field: field_name(section, fields)? },
        "header" => {
            let name = section.required("name")?;
            Slot::Header {
                name: header_name(section, "name", &name)?,
                template: match template(section, "template", fields)? {
                    Some(template) => template,
                    None => Template::field(main_field(fields)),
                },
            }
        }
        "basic" => {
            let username = template(section, "username", fields)?;
            let password = template(section, "password", fields)?;
            let (Some(username), Some(password)) = (username, password) else {
                let hint = "both are given; an empty one as \"\"".to_owned();
                return Err(section.error("password", "or `username` is missing", Some(hint)));
            };
            Slot::Basic { username, password }
        }
        "query" => {
            Slot::Query { name: section.required("name")?, field: field_name(section, fields)? }
        }
        "cookie" => {
            Slot::Cookie { name: section.required("name")?, field: field_name(section, fields)? }
        }
        "path" => {
            let prefix = section.required("prefix")?;
            check_path_slot(&prefix).map_err(|problem| section.error("prefix", problem, None))?;
            Slot::Path { prefix, field: field_name(section, fields)? }
        }
        _ => {
            let known = ["bearer", "header", "basic", "query", "cookie", "path"];
            let hint = match suggest::closest(&kind, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("one of {}", known.join(", ")),
            };
            return Err(section.error("kind", "has an unknown value", Some(hint)));
        }
    })
}

/// Headers that frame or route a message: none of them can carry a credential.
const UNTOUCHABLE: &[HeaderName] = &[
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];

fn header_name(section: &Section<'_>, key: &str, name: &str) -> Result<HeaderName, Error> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if !UNTOUCHABLE.contains(&name) => Ok(name),
        _ => {
            let problem = format!("has `{name}`, which is no header for a credential");
            Err(section.error(key, problem, None))
        }
    }
}

fn template(
    section: &mut Section<'_>,
    key: &'static str,
    fields: &[Field],
) -> Result<Option<Template>, Error> {
    let Some(text) = section.text(key)? else { return Ok(None) };
    let template = Template::parse(&text).map_err(|problem| section.error(key, problem, None))?;
    for name in template.fields() {
        known_field(section, key, name, fields)?;
    }
    Ok(Some(template))
}

fn field_name(section: &mut Section<'_>, fields: &[Field]) -> Result<String, Error> {
    let Some(name) = section.text("field")? else { return Ok(main_field(fields).to_owned()) };
    known_field(section, "field", &name, fields)?;
    Ok(name)
}

/// The field meant where none is named.
fn main_field(fields: &[Field]) -> &str {
    let named = fields.iter().find(|field| field.name == API_KEY);
    let main = named.or_else(|| fields.iter().find(|field| field.secret));
    main.map_or(API_KEY, |field| field.name.as_str())
}

fn known_field(
    section: &Section<'_>,
    key: &str,
    name: &str,
    fields: &[Field],
) -> Result<(), Error> {
    if fields.iter().any(|field| field.name == name) {
        return Ok(());
    }
    let names = fields.iter().map(|field| field.name.as_str());
    let hint = suggest::closest(name, names).map(|meant| format!("did you mean `{meant}`?"));
    Err(section.error(key, format!("refers to the field `{name}`, which is not there"), hint))
}

/// Labels of a host come from settings: never from a secret, always from something that is there.
fn check_settings(
    root: &Section<'_>,
    hosts: &[HostPattern],
    fields: &[Field],
) -> Result<(), Error> {
    for name in hosts.iter().flat_map(HostPattern::settings) {
        known_field(root, "hosts", name, fields)?;
        if fields.iter().any(|field| field.name == name && (field.secret || field.optional)) {
            let hint = format!("give the field `{name}` the line `secret = false`");
            let problem = format!("takes a label from `{name}`, which is secret or optional");
            return Err(root.error("hosts", problem, Some(hint)));
        }
    }
    Ok(())
}
