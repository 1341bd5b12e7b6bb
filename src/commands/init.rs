//! `authsome init`: makes the home and shows what is where.

use serde_json::json;

use super::{Context, Error};

pub(super) fn init(context: &Context) -> Result<(), Error> {
    let home = &context.home;
    let existed = home.root().is_dir();
    home.ensure()?;
    context.config()?;
    let places = [
        ("home", home.root().display().to_string()),
        ("config", home.config().display().to_string()),
        ("providers", home.providers().display().to_string()),
        ("audit_log", home.audit_log().display().to_string()),
        ("daemon_log", home.daemon_log().display().to_string()),
    ];
    let mut members = serde_json::Map::new();
    members.insert("status".into(), json!(if existed { "exists" } else { "initialized" }));
    members.extend(places.iter().map(|(name, path)| ((*name).to_owned(), json!(path))));
    Ok(context.output.result(members.into(), |text| {
        let what = if existed { "Nothing to do: the home exists." } else { "Made the home." };
        text.line(what);
        text.blank();
        text.pairs(places.iter().map(|(name, path)| (*name, path.clone())));
        text.blank();
        text.line("Next: authsome login PROVIDER, or authsome scan");
    })?)
}
