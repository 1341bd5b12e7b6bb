//! TOML values into types, with the place of what means nothing.

use std::{borrow::Cow, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Error, error::Place};

pub(super) type Key<'i> = Spanned<Cow<'i, str>>;
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Reads one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl<'a> Reader<'a> {
    /// The file's top table.
    pub(super) fn document(&self) -> Result<Spanned<DeTable<'a>>, Error> {
        DeTable::parse(self.text).map_err(|error| {
            // Cargo's parser speaks of several lines at times.
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            self.invalid(error.span().unwrap_or(0..0), message, None)
        })
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables<'v, 'i>(
        &self,
        key: &Key<'_>,
        value: &'v Value<'i>,
    ) -> Result<Vec<(Place, &'v DeTable<'i>)>, Error> {
        let wrong = || self.wrong(key, value, format!("write [[{}]]", key.get_ref()));
        let DeValue::Array(items) = value.get_ref() else { return Err(wrong()) };
        items
            .iter()
            .map(|item| {
                let DeValue::Table(table) = item.get_ref() else { return Err(wrong()) };
                Ok((self.place(item.span().start), table))
            })
            .collect()
    }

    /// One string, or number or date as it is written.
    pub(super) fn one<T>(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        let parsed = if let DeValue::String(text) = value.get_ref() {
            parse(text)
        } else if let DeValue::Integer(number) = value.get_ref() {
            parse(number.as_str())
        } else if let DeValue::Datetime(time) = value.get_ref() {
            parse(&time.to_string())
        } else {
            Err("expected a string".to_owned())
        };
        parsed.map_err(|mend| self.wrong(key, value, mend))
    }

    /// One value, or a list of some.
    pub(super) fn list<T>(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        let DeValue::Array(items) = value.get_ref() else {
            return Ok(vec![self.one(key, value, parse)?]);
        };
        if items.is_empty() {
            // None would mean any, which nobody who writes it means.
            return Err(self.wrong(key, value, "without the key, any is meant".to_owned()));
        }
        items.iter().map(|item| self.one(key, item, &parse)).collect()
    }

    pub(super) fn wrong(&self, key: &Key<'_>, value: &Value<'_>, mend: String) -> Error {
        let message = format!("bad value for `{}`", key.get_ref());
        self.invalid(value.span(), message, Some(mend))
    }

    pub(super) fn unknown(&self, key: &Key<'_>, known: &[&str]) -> Error {
        let name = key.get_ref();
        let close = known
            .iter()
            .filter(|known| strsim::damerau_levenshtein(known, name) <= 2)
            .min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let mend = match close {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.invalid(key.span(), format!("unknown key `{name}`"), Some(mend))
    }

    pub(super) fn invalid(
        &self,
        span: Range<usize>,
        message: String,
        mend: Option<String>,
    ) -> Error {
        Error::Invalid { place: self.place(span.start), message, mend }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        Place::of(self.path, self.text, offset)
    }
}
