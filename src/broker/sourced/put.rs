//! Storing a connection that points at its values.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::SecretString;

use super::{
    super::{
        Broker,
        connections::{check_name, exists, failed, placeholders},
        entry::{Entry, Stored},
    },
    fetch::{self, Fetched},
    guard,
};
use crate::{
    protocol::{
        ErrorKind, ErrorReply, Secret,
        source::{PutSourced, Sourced},
    },
    provider::{Definition, Values},
    source::Source,
};

/// How long a fetch may take at a login: a person may be asked for a password.
const LOGIN_LIMIT: Duration = Duration::from_secs(120);

impl Broker {
    /// Stores a connection some of whose fields are fetched when they are needed. Fetches them once, to
    /// see whether that works, unless it is told not to. On disk when this returns.
    ///
    /// # Errors
    /// No such provider, sources that mean nothing or do not give what the provider can have, a connection
    /// that exists, the vault's.
    pub async fn put_sourced(self: &Arc<Self>, put: PutSourced) -> Result<Sourced, ErrorReply> {
        let broker = Arc::clone(self);
        let done = self.oauth.runtime.spawn_blocking(move || broker.put_sources(put)).await;
        done.unwrap_or_else(|_| Err(failed("the connection could not be stored")))
    }

    fn put_sources(&self, put: PutSourced) -> Result<Sourced, ErrorReply> {
        let PutSourced { provider, connection, fields, sources, replace, check } = put;
        let definition = self.definition(&provider)?;
        check_name(&connection)?;
        let sources = parsed(&definition, &sources, &fields)?;
        let draft = draft(&definition, &connection, fields, sources);
        let name = Arc::clone(&draft.full_name);
        let fetched = if check {
            let gathered = fetch::gather(&draft.sources, None, LOGIN_LIMIT);
            Some(gathered.map_err(|failure| failure.reply(&name))?)
        } else {
            None
        };
        let values = match &fetched {
            Some(fetched) => {
                fetch::complete(&draft, fetched).map_err(|failure| failure.reply(&name))?
            }
            None => unchecked(&draft)?,
        };

        let changing = self.lock();
        let existing = self.snapshot().find(&provider, Some(&connection)).cloned();
        let stored = stored(&draft, &values);
        if let Some(existing) = &existing {
            if existing.sources == draft.sources && existing.has_values(&stored) {
                let connection = existing.view();
                return Ok(Sourced { status: "unchanged".to_owned(), connection });
            }
            if !replace {
                return Err(exists(&provider, &connection));
            }
        }
        let fields = stored.into_iter().map(|(name, value)| (name, Secret(value))).collect();
        let mut record =
            Stored::new(&provider, &connection, fields, placeholders(&definition, &values)?);
        record.sources = draft.sources.clone();
        let held = fetched.map(|fetched| hold(&record, &definition, fetched)).transpose()?;
        self.keep(&changing, record, definition, operation(&draft.sources))?;
        if let (Some(held), Some(entry)) =
            (held, self.snapshot().find(&provider, Some(&connection)))
        {
            entry.live().prime(Arc::new(held));
        }
        let status = if existing.is_some() { "replaced" } else { "stored" }.to_owned();
        Ok(Sourced { status, connection: self.view(&provider, &connection)? })
    }
}

/// What the fetched values mean, with the placeholders that are going to be stored.
fn hold(
    record: &Stored,
    definition: &Arc<Definition>,
    fetched: BTreeMap<String, Fetched>,
) -> Result<fetch::Held, ErrorReply> {
    let entry = Entry::new(record.clone(), Arc::clone(definition), false);
    fetch::hold(&entry, fetched, None).map_err(|failure| failure.reply(&entry.full_name))
}

/// Sources as they are written, each of a secret field that nobody has given otherwise.
fn parsed(
    definition: &Definition,
    sources: &BTreeMap<String, String>,
    fields: &BTreeMap<String, Secret>,
) -> Result<BTreeMap<String, Source>, ErrorReply> {
    let user_home = guard::user_home();
    let mut parsed = BTreeMap::new();
    for (name, text) in sources {
        let source = Source::parse(text)
            .map_err(|error| ErrorReply::caused(ErrorKind::Usage, &error, error.hint()))?;
        let field = definition.field(name);
        if field.is_none_or(|field| !field.secret || field.derive.is_some())
            || fields.contains_key(name)
        {
            return Err(usage(format!("{name} is no field that a source can give")));
        }
        if !source.is_anchored() {
            return Err(usage(format!("{} source without a whole path", source.kind())));
        }
        guard::check_directory(&source, user_home.as_deref())?;
        parsed.insert(name.clone(), source);
    }
    if parsed.is_empty() {
        return Err(usage("there is no source".to_owned()));
    }
    Ok(parsed)
}

/// The connection before its values are known.
fn draft(
    definition: &Arc<Definition>,
    connection: &str,
    fields: BTreeMap<String, Secret>,
    sources: BTreeMap<String, Source>,
) -> Entry {
    let mut record = Stored::new(&definition.name, connection, fields, BTreeMap::new());
    record.sources = sources;
    Entry::new(record, Arc::clone(definition), false)
}

/// Values for a connection whose sources are not to be asked: empty ones in their place.
fn unchecked(draft: &Entry) -> Result<Values, ErrorReply> {
    let definition = &draft.definition;
    for field in &definition.fields {
        let derived = field.derive.as_ref().is_some_and(|derive| {
            draft.sources.contains_key(&derive.from) && !draft.values.contains_key(&field.name)
        });
        let given =
            draft.values.contains_key(&field.name) || draft.sources.contains_key(&field.name);
        if derived || (!given && !field.optional && field.derive.is_none()) {
            let message = format!("{}: the {} must be known", definition.name, field.label);
            let hint = if derived {
                "leave out --no-check: it is found in the value".to_owned()
            } else {
                format!("authsome inspect {} shows its fields", definition.name)
            };
            return Err(ErrorReply { kind: ErrorKind::Usage, message, hint: Some(hint) });
        }
    }
    definition.check_settings(&draft.settings()).map_err(|error| {
        ErrorReply::caused(ErrorKind::Usage, &error, error.hint().map(str::to_owned))
    })?;
    let mut values = draft.values.clone();
    values.extend(draft.sources.keys().map(|name| (name.clone(), SecretString::from(""))));
    Ok(values)
}

/// What of these values is stored: not what a source gives, nor a secret found in such a value.
fn stored(draft: &Entry, values: &Values) -> Values {
    let kept = values.iter().filter(|(name, _)| {
        let field = draft.definition.field(name);
        !draft.sources.contains_key(*name)
            && field.is_none_or(|field| !field.secret || field.derive.is_none())
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// As the audit log calls it.
fn operation(sources: &BTreeMap<String, Source>) -> &'static str {
    let mut kinds = sources.values().map(Source::kind);
    let first = kinds.next();
    match first.filter(|first| kinds.all(|kind| kind == *first)) {
        Some("env") => "put-env",
        Some("file") => "put-file",
        Some("command") => "put-command",
        Some("keyring") => "put-keyring",
        Some(_) | None => "put-sources",
    }
}

fn usage(message: String) -> ErrorReply {
    ErrorReply { kind: ErrorKind::Usage, message, hint: Some("authsome login --help".to_owned()) }
}
