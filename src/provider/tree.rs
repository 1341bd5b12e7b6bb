//! The text of a definition as a tree that remembers its lines, and a reader that hands its keys out
//! one by one.
//!
//! TOML and JSON become the same tree, so there is one reader for both. Whoever reads a [`Section`]
//! asks for every key it knows; what is left over is unknown, and the keys that were asked for are
//! what it could have meant.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::{Error, jsonc, suggest};

/// A parsed text.
pub(super) struct Document {
    origin: String,
    /// JSON has no lines in its tree: they are looked up in the text.
    json: Option<String>,
    root: Node,
}

struct Node {
    line: Option<usize>,
    value: Value,
}

enum Value {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// A type no key of a definition has.
    Other,
}

impl Node {
    fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    fn as_table(&self) -> Option<&[(String, Self)]> {
        if let Value::Table(entries) = &self.value { Some(entries) } else { None }
    }
}

impl Document {
    /// Parses TOML. `origin` names the text in errors.
    pub(super) fn toml(text: &str, origin: &str) -> Result<Self, Error> {
        let table = DeTable::parse(text).map_err(|error| Error::Syntax {
            origin: origin.to_owned(),
            line: error.span().map_or(1, |span| line_at(text, span.start)),
            problem: error.message().to_owned(),
        })?;
        let root = Node { line: Some(1), value: toml_table(text, table.get_ref()) };
        Ok(Self { origin: origin.to_owned(), json: None, root })
    }

    /// Parses JSON, with comments and trailing commas. `origin` names the text in errors.
    pub(super) fn json(text: &str, origin: &str) -> Result<Self, Error> {
        let plain = jsonc::to_json(text);
        let value = serde_json::from_str(&plain).map_err(|error| Error::Syntax {
            origin: origin.to_owned(),
            line: error.line().max(1),
            problem: error.to_string(),
        })?;
        Ok(Self { origin: origin.to_owned(), json: Some(plain), root: json_node(value) })
    }

    /// The top level.
    pub(super) fn root(&self) -> Result<Section<'_>, Error> {
        match self.root.as_table() {
            Some(entries) => Ok(Section::new(self, String::new(), Some(1), entries)),
            None => Err(Error::Syntax {
                origin: self.origin.clone(),
                line: 1,
                problem: "a provider definition is an object".to_owned(),
            }),
        }
    }

    /// Line of the only place where the JSON text has this key.
    fn json_line(&self, key: &str) -> Option<usize> {
        let text = self.json.as_deref()?;
        let quoted = format!("\"{key}\"");
        let mut places = text.match_indices(&quoted).map(|(at, _)| at);
        let first = places.next()?;
        places.next().is_none().then(|| line_at(text, first))
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn toml_table(text: &str, table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let line = Some(line_at(text, key.span().start));
        let node = Node { line, value: toml_value(text, value.get_ref()) };
        (key.get_ref().to_string(), node)
    });
    Value::Table(entries.collect())
}

fn toml_value(text: &str, value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(string) => Value::Text(string.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(array) => {
            let items = array.iter().map(|item| Node {
                line: Some(line_at(text, item.span().start)),
                value: toml_value(text, item.get_ref()),
            });
            Value::List(items.collect())
        }
        DeValue::Table(table) => toml_table(text, table),
        DeValue::Integer(number) => number.as_str().parse().map_or(Value::Other, Value::Number),
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
    }
}

fn json_node(value: serde_json::Value) -> Node {
    let value = match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(flag) => Value::Flag(flag),
        serde_json::Value::Number(number) => number.as_u64().map_or(Value::Other, Value::Number),
        serde_json::Value::String(string) => Value::Text(string),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(json_node).collect()),
        serde_json::Value::Object(map) => {
            Value::Table(map.into_iter().map(|(key, value)| (key, json_node(value))).collect())
        }
    };
    Node { line: None, value }
}

/// One table while it is being read.
pub(super) struct Section<'a> {
    document: &'a Document,
    /// Dotted path of the table, empty at the top.
    path: String,
    line: Option<usize>,
    entries: BTreeMap<&'a str, &'a Node>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    fn new(
        document: &'a Document,
        path: String,
        line: Option<usize>,
        entries: &'a [(String, Node)],
    ) -> Self {
        let entries = entries.iter().map(|(key, node)| (key.as_str(), node)).collect();
        Self { document, path, line, entries, asked: Vec::new() }
    }

    /// Is the key there? Does not count as asking for it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Is the key there with the value null?
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|node| matches!(node.value, Value::Null))
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        match self.ask(key).map(|node| &node.value) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(key, "must be a string", None)),
        }
    }

    /// A string that has to be there.
    pub(super) fn required(&mut self, key: &'static str) -> Result<String, Error> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => Err(self.missing(key, None)),
        }
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        match self.ask(key).map(|node| &node.value) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.error(key, "must be true or false", None)),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u64>, Error> {
        match self.ask(key).map(|node| &node.value) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.error(key, "must be a whole number", None)),
        }
    }

    /// One string or a list of strings.
    pub(super) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, Error> {
        let problem = "must be a list of strings";
        match self.ask(key).map(|node| &node.value) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Text(text)) => Ok(vec![text.clone()]),
            Some(Value::List(items)) => items
                .iter()
                .map(|item| {
                    let text = item.as_text().map(str::to_owned);
                    text.ok_or_else(|| self.error(key, problem, None))
                })
                .collect(),
            Some(_) => Err(self.error(key, problem, None)),
        }
    }

    /// A table of strings, whatever its keys; values of other types are left out.
    pub(super) fn strings(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, Error> {
        match self.ask(key).map(|node| &node.value) {
            None | Some(Value::Null) => Ok(BTreeMap::new()),
            Some(Value::Table(entries)) => Ok(entries
                .iter()
                .filter_map(|(name, node)| Some((name.clone(), node.as_text()?.to_owned())))
                .collect()),
            Some(_) => Err(self.error(key, "must be a table", None)),
        }
    }

    /// A table.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Option<Self>, Error> {
        let Some(node) = self.ask(key) else { return Ok(None) };
        if matches!(node.value, Value::Null) {
            return Ok(None);
        }
        match node.as_table() {
            Some(entries) => Ok(Some(self.below(key, node, entries))),
            None => Err(self.error(key, "must be a table", None)),
        }
    }

    /// A list of tables.
    pub(super) fn sections(&mut self, key: &'static str) -> Result<Vec<Self>, Error> {
        let problem = "must be a list of tables";
        let hint = || Some(format!("write `[[{key}]]` above it"));
        let Some(node) = self.ask(key) else { return Ok(Vec::new()) };
        let Value::List(items) = &node.value else {
            return Err(self.error(key, problem, hint()));
        };
        items
            .iter()
            .map(|item| match item.as_table() {
                Some(entries) => Ok(self.below(key, item, entries)),
                None => Err(self.error(key, problem, hint())),
            })
            .collect()
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        let unknown = self.entries.keys().find(|key| !self.asked.contains(*key));
        let Some(unknown) = unknown.copied() else { return Ok(()) };
        let hint = match suggest::closest(unknown, self.asked.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: {}", self.asked.join(", ")),
        };
        Err(self.error(unknown, "is not known", Some(hint)))
    }

    /// An error about a key of this table.
    pub(super) fn error(
        &self,
        key: &str,
        problem: impl Into<String>,
        hint: Option<String>,
    ) -> Error {
        let own =
            self.entries.get(key).map(|node| node.line.or_else(|| self.document.json_line(key)));
        Error::Key {
            origin: self.document.origin.clone(),
            line: own.unwrap_or(self.line),
            key: self.full(key),
            problem: problem.into(),
            hint,
        }
    }

    /// An error about a key that is not there. Points at one that may have been meant to be it.
    pub(super) fn missing(&self, key: &str, hint: Option<String>) -> Error {
        match self.nearest_leftover(key) {
            Some(given) => {
                let line = self.entries.get(given).and_then(|node| node.line);
                Error::Key {
                    origin: self.document.origin.clone(),
                    line: line.or_else(|| self.document.json_line(given)).or(self.line),
                    key: self.full(key),
                    problem: "is missing".to_owned(),
                    hint: Some(format!("rename `{given}` to `{key}`")),
                }
            }
            None => self.error(key, "is missing", hint),
        }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        self.entries.get(key).copied()
    }

    fn below(&self, key: &str, node: &Node, entries: &'a [(String, Node)]) -> Self {
        let path = self.full(key);
        let line = node.line.or_else(|| self.document.json_line(key));
        Self::new(self.document, path, line, entries)
    }

    /// A key that is there and looks like the one that is missing.
    fn nearest_leftover(&self, missing: &str) -> Option<&'a str> {
        let leftover = self.entries.keys().copied().filter(|key| !self.asked.contains(key));
        suggest::closest(missing, leftover)
    }
}
