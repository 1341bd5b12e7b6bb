//! `authsome inspect`: a provider's definition and its connections.

use serde_json::{Value, json};

use super::{Context, Error, connections, definition, full_name, hosts, login_kind};
use crate::cli::InspectArgs;

pub(super) fn inspect(args: &InspectArgs, context: &Context) -> Result<(), Error> {
    let registry = context.registry();
    let definition = definition(&registry, &args.provider)?;
    let connections = connections(&mut context.client()?, Some(&definition.name))?;
    let custom = registry.file(&definition.name);
    let mut provider = serde_json::to_value(&**definition)
        .map_err(|error| Error::caused("cannot write the definition", &error))?;
    if let Value::Object(members) = &mut provider {
        let source = if custom.is_some() { "custom" } else { "bundled" };
        members.insert("source".to_owned(), json!(source));
    }
    let members = json!({ "provider": provider, "connections": connections });
    Ok(context.output.result(members, |text| {
        let source = match &custom {
            Some(path) => path.display().to_string(),
            None => "bundled".to_owned(),
        };
        let mut pairs = vec![
            ("provider", format!("{} ({})", definition.name, definition.display_name)),
            ("login", login_kind(definition).to_owned()),
            ("source", source),
            ("hosts", hosts(definition).join(", ")),
        ];
        for field in &definition.fields {
            let secret = if field.secret { ", secret" } else { "" };
            let variables = field.env.join(", ");
            let variables = if variables.is_empty() { "no variable" } else { &variables };
            pairs.push(("field", format!("{} ({variables}{secret})", field.name)));
        }
        if let Some(url) = &definition.docs_url {
            pairs.push(("docs", url.clone()));
        }
        for view in &connections {
            let default = if view.default { ", default" } else { "" };
            let status = view.status.replace('_', " ");
            pairs.push(("connection", format!("{} ({status}{default})", full_name(view))));
            let sources = view.sources.iter();
            pairs.extend(sources.map(|(field, source)| ("", format!("{field} from {source}"))));
            let why = view.reason.iter().filter(|_| view.status == "source_failed");
            pairs.extend(why.map(|why| ("", why.clone())));
        }
        text.pairs(pairs);
        if connections.is_empty() {
            text.blank();
            text.dim(format!("Not connected: authsome login {}", definition.name));
        }
    })?)
}
