//! What the daemon says of its audit log.

use serde::{Deserialize, Serialize};

/// How the audit log is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditView {
    /// Ed25519 public key its heads are signed with, hexadecimal; sealed in the vault, so that nobody
    /// who may only write files can put another in its place.
    pub public_key: String,
    /// Number of the last line that was signed.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// Can it be written?
    pub writable: bool,
    /// Why not, or why its head cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Events lost since the daemon started, because they could not be written.
    pub lost: u64,
    /// What happens to requests while it cannot be written: `deny` or `allow`.
    pub when_unwritable: String,
    /// What was not as the signed head said when the daemon started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
}
