//! Connections that point at their values, as the commands and the daemon speak of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConnectionView, Secret};

/// Stores a connection some of whose fields lie elsewhere.
#[derive(Debug, Serialize, Deserialize)]
pub struct PutSourced {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Values of the other fields, by name.
    pub fields: BTreeMap<String, Secret>,
    /// Where the values of these fields lie, written as `env:NAME` and so on.
    pub sources: BTreeMap<String, String>,
    /// Replace an existing connection.
    pub replace: bool,
    /// Fetch the values once, and refuse what does not work.
    pub check: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sourced {
    /// `stored`, `replaced` or `unchanged`.
    pub status: String,
    /// The connection.
    pub connection: ConnectionView,
}
