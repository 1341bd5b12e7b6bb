//! The actions of the schema: methods in two groups, and `connect`.

/// Methods that only look, as the schema has them.
const READ: &[&str] = &["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "SEARCH", "PROPFIND", "REPORT"];
/// Methods that do more.
const WRITE: &[&str] = &[
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "COPY",
    "MOVE",
    "MKCOL",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    OTHER,
];
/// A method without a name of its own.
const OTHER: &str = "OTHER";

/// What is done, as policies speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Action {
    /// Name in the schema.
    pub(super) name: &'static str,
    /// Group it is in.
    pub(super) group: Option<&'static str>,
}

/// The connection that is passed through undecrypted.
pub(super) const CONNECT: &str = "connect";

impl Action {
    /// The action of a method; `None`: of a connection. A method that is not known, one in lower case
    /// included, counts as one that writes.
    pub(super) fn of(method: Option<&str>) -> Self {
        let Some(method) = method else { return Self { name: CONNECT, group: None } };
        let find = |names: &[&'static str]| names.iter().find(|name| **name == method).copied();
        match find(READ) {
            Some(name) => Self { name, group: Some("read") },
            None => Self { name: find(WRITE).unwrap_or(OTHER), group: Some("write") },
        }
    }

    /// An action or group by the name a rule has for it, methods in either case.
    pub(super) fn named(text: &str) -> Option<&'static str> {
        let groups = ["read", "write", CONNECT];
        let names = READ.iter().chain(WRITE);
        groups
            .into_iter()
            .find(|name| *name == text)
            .or_else(|| names.copied().find(|name| name.eq_ignore_ascii_case(text)))
    }
}

/// Does the name stand for one action, and that for one method?
pub(super) fn is_single(name: &str) -> bool {
    name != OTHER && (name == CONNECT || READ.iter().chain(WRITE).any(|known| *known == name))
}

/// Is it the name of a group?
pub(super) fn is_group(name: &str) -> bool {
    matches!(name, "read" | "write")
}

/// Every action of the schema.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    READ.iter().chain(WRITE).copied().chain([CONNECT])
}
