//! Budgets on disk: `limits.json`, mode 0600, replaced whole.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::rule::Scope;
use crate::paths;

/// Format of the file.
const VERSION: u32 = 1;
/// A longer file is none of ours.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Why it is not known what has been used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written, or others could have changed it.
    #[error(transparent)]
    Path(#[from] paths::Error),
    /// It cannot be read.
    #[error("cannot read the budgets in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says something that means nothing to this version.
    #[error("{} does not hold budgets that this version knows", path.display())]
    Meaning {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// What would mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Path(error) => error.hint(),
            Self::Read { path, .. } | Self::Meaning { path } => Some(format!(
                "budgets begin anew after: authsome daemon stop; rm {}",
                path.display()
            )),
        }
    }
}

/// What has been used of one budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Budget {
    pub(super) scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) connection: Option<Arc<str>>,
    /// Which period it was, counted from 1970.
    pub(super) number: u64,
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct File {
    v: u32,
    budgets: Vec<Budget>,
}

/// Reads the file; one that does not exist says nothing.
pub(super) fn read(path: &Path) -> Result<Vec<Budget>, Error> {
    let Some(file) = paths::open_private(path)? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    match serde_json::from_slice(&bytes) {
        Ok(File { v: VERSION, budgets }) => Ok(budgets),
        Ok(_) | Err(_) => Err(Error::Meaning { path: path.to_owned() }),
    }
}

/// Replaces the file.
pub(super) fn write(path: &Path, budgets: Vec<Budget>) -> Result<(), Error> {
    let file = File { v: VERSION, budgets };
    // Strings and numbers always become JSON.
    let bytes = serde_json::to_vec(&file).unwrap_or_default();
    Ok(paths::write_private(path, &bytes)?)
}
