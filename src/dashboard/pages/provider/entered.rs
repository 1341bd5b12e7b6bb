//! What a person entered on a provider's page, but for secrets: to act on, and to show again.

use std::collections::BTreeMap;

use crate::dashboard::form::Form;

/// What the names of inputs for fields that are no secrets begin with.
pub(super) const FIELD: &str = "field.";
/// The field that says which server it is, of definitions that have a default for that.
pub(super) const BASE_URL: &str = "base_url";

/// Which of a page's forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The one with values.
    Key,
    /// The one that begins a login.
    Login,
}

/// What was entered, but for secrets.
#[derive(Clone, Debug, Default)]
pub(super) struct Entered {
    /// None: no form was sent yet.
    pub(super) sent: Option<Sent>,
    pub(super) connection: Option<String>,
    pub(super) replace: bool,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) flow: Option<String>,
    /// None: the box of scopes was left empty.
    pub(super) scopes: Option<String>,
}

impl Entered {
    /// Reads a form of this page.
    pub(super) fn of(form: &Form, sent: Sent) -> Self {
        let text = |name| form.text(name).map(str::to_owned);
        let fields = form.texts(FIELD).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            sent: Some(sent),
            connection: text("connection"),
            replace: form.has("replace"),
            fields: fields.collect(),
            flow: text("flow"),
            scopes: text("scopes"),
        }
    }

    /// The connection's name.
    pub(super) fn connection(&self) -> &str {
        self.connection.as_deref().unwrap_or("default")
    }

    /// The scopes, one by one.
    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        let separators = |c: char| c.is_whitespace() || c == ',';
        let scopes = self.scopes.as_deref()?.split(separators);
        Some(scopes.filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
    }
}
