//! A query, prepared once for being compared with many statements.

use std::borrow::Cow;

use jiff::civil::DateTime;

use super::query::Query;

/// A path with its segments.
#[derive(Debug)]
pub(super) struct Path<'a> {
    pub(super) text: &'a str,
    /// Those behind its first slash; none: it does not begin with one.
    pub(super) segments: Vec<&'a str>,
}

impl<'a> Path<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let segments = text.strip_prefix('/').map(|rest| rest.split('/').collect());
        Self { text, segments: segments.unwrap_or_default() }
    }
}

/// What conditions of rules are about.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) path: Path<'a>,
    /// The path in lower case.
    pub(super) lower: Path<'a>,
    /// Local time.
    pub(super) local: DateTime,
}

impl<'a> Facts<'a> {
    /// `lower` is what [`lower`] makes of the query's path.
    pub(super) fn new(query: &'a Query<'a>, lower: &'a str) -> Self {
        Self {
            query,
            path: Path::new(query.path),
            lower: Path::new(lower),
            local: query.zone.to_datetime(query.time),
        }
    }

    /// Minutes since midnight.
    pub(super) fn minute(&self) -> i16 {
        i16::from(self.local.hour()) * 60 + i16::from(self.local.minute())
    }

    /// From 1, Monday.
    pub(super) fn weekday(&self) -> u8 {
        self.local.weekday().to_monday_one_offset().unsigned_abs()
    }
}

/// The path in lower case. Few have capitals.
pub(super) fn lower(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}
