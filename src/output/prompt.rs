//! Questions to the person at the terminal.
//!
//! Asked on standard error and answered on standard input, so that standard output stays clean.
//! Secrets are read from the terminal itself without echo.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use secrecy::SecretString;

use super::text::visible;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// End of input, or Ctrl-C.
    #[error("cancelled")]
    Cancelled,
    /// The terminal could not be read.
    #[error("cannot read from the terminal")]
    Read(#[source] io::Error),
}

/// Is there somebody to ask?
#[must_use]
pub fn can_prompt() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line.
///
/// # Errors
///
/// [`PromptError`] if there is no answer.
pub fn prompt_line(question: &str) -> Result<String, PromptError> {
    ask(question)?;
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) => Err(PromptError::Cancelled),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(PromptError::Read(error)),
    }
}

/// Asks for a secret; what is typed is not shown.
///
/// # Errors
///
/// [`PromptError`] if there is no answer.
pub fn prompt_secret(question: &str) -> Result<SecretString, PromptError> {
    match rpassword::prompt_password(format!("{}: ", visible(question))) {
        Ok(secret) => Ok(SecretString::from(secret)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted
            ) =>
        {
            Err(PromptError::Cancelled)
        }
        Err(error) => Err(PromptError::Read(error)),
    }
}

/// Asks a question that only `y` or `yes` answers with yes.
///
/// # Errors
///
/// [`PromptError`] if there is no answer.
pub fn confirm(question: &str) -> Result<bool, PromptError> {
    let answer = prompt_line(&format!("{question} [y/N]"))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn ask(question: &str) -> Result<(), PromptError> {
    let mut err = io::stderr().lock();
    write!(err, "{}: ", visible(question)).and_then(|()| err.flush()).map_err(PromptError::Read)
}
