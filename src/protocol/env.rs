//! Variables of an agent that a run was asked to set.

use serde::{Deserialize, Serialize};

/// `NAME=PROVIDER/CONNECTION[:FIELD]` of `--env`: a variable that is to hold a connection's placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvFrom {
    /// Name of the variable.
    pub name: String,
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Field of the connection; none: its first secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}
