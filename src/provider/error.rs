//! What can be wrong with a definition or with a value for one of its fields.

use std::path::PathBuf;

/// A definition that is not accepted, or a value that does not fit one.
///
/// Never holds a secret: of a value it names only the field.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is neither TOML nor JSON.
    #[error("{origin}:{line}: {problem}")]
    Syntax {
        /// File name, or what stands for one.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A key is missing, unknown, or has a value that means nothing.
    #[error("{origin}{}: `{key}` {problem}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Key {
        /// File name, or what stands for one.
        origin: String,
        /// Line, from 1, where it is known.
        line: Option<usize>,
        /// The key with its tables, such as `fields.pattern`.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// What would mend it.
        hint: Option<String>,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A connection's value is missing or does not fit.
    #[error("{provider}: field `{field}` {problem}")]
    Value {
        /// Provider name.
        provider: String,
        /// Field name.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// What would mend it.
        hint: Option<String>,
    },
}

impl Error {
    /// A sentence that says what would mend it, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Key { hint, .. } | Self::Value { hint, .. } => hint.as_deref(),
            Self::Syntax { .. } | Self::Read { .. } => None,
        }
    }

    /// The line of the definition it is about, from 1, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Syntax { line, .. } => Some(*line),
            Self::Key { line, .. } => *line,
            Self::Read { .. } | Self::Value { .. } => None,
        }
    }
}
