//! Where a passphrase comes from: never from an argument, never from a variable.

use std::{fs::File, io, io::Read as _};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    cli::{PASSPHRASE_HINT, PassphraseArgs},
    commands::Error,
    output,
    protocol::ErrorKind,
    vault::PASSPHRASE_MAX,
};

/// A passphrase that opens something.
pub(super) fn given(args: &PassphraseArgs, question: &str) -> Result<SecretString, Error> {
    match read(args)? {
        Some(passphrase) => Ok(passphrase),
        None => Ok(output::prompt_secret(question)?),
    }
}

/// A passphrase that is to protect something: a person types it twice.
pub(super) fn new(args: &PassphraseArgs, question: &str) -> Result<SecretString, Error> {
    if let Some(passphrase) = read(args)? {
        return Ok(passphrase);
    }
    let passphrase = output::prompt_secret(question)?;
    crate::vault::check_passphrase(&passphrase).map_err(|error| {
        let refused = Error::new(ErrorKind::Usage, error.to_string());
        match error.hint() {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })?;
    let again = output::prompt_secret("The same again")?;
    if passphrase.expose_secret() == again.expose_secret() {
        Ok(passphrase)
    } else {
        Err(Error::new(ErrorKind::Usage, "the two were not the same"))
    }
}

/// The passphrase that the flags name; none: a person is to be asked.
fn read(args: &PassphraseArgs) -> Result<Option<SecretString>, Error> {
    if args.passphrase_stdin {
        return line(io::stdin().lock(), "standard input").map(Some);
    }
    if let Some(path) = &args.passphrase_file {
        let file = File::open(path)
            .map_err(|error| Error::caused("cannot read the file of --passphrase-file", &error))?;
        return line(file, "the file of --passphrase-file").map(Some);
    }
    if output::can_prompt() {
        return Ok(None);
    }
    let message = "there is no terminal to ask for the passphrase on";
    Err(Error::new(ErrorKind::Usage, message).hint(PASSPHRASE_HINT))
}

/// All of `input` but the line feed at its end: blanks may be part of a passphrase.
fn line(input: impl io::Read, what: &str) -> Result<SecretString, Error> {
    // Large enough from the start, so that growing leaves no copies behind.
    let mut text = String::with_capacity(PASSPHRASE_MAX + 3);
    input
        .take(PASSPHRASE_MAX as u64 + 2)
        .read_to_string(&mut text)
        .map_err(|error| Error::caused(format_args!("cannot read {what}"), &error))?;
    let text = SecretString::from(text);
    let inner = text.expose_secret();
    let inner = inner.strip_suffix('\n').unwrap_or(inner);
    let inner = inner.strip_suffix('\r').unwrap_or(inner);
    let usage = |message: &str| Error::new(ErrorKind::Usage, message).hint(PASSPHRASE_HINT);
    if inner.is_empty() {
        return Err(usage("the passphrase is empty"));
    }
    if inner.len() > PASSPHRASE_MAX || inner.contains('\n') {
        return Err(usage("a passphrase is one line of at most 1024 bytes"));
    }
    Ok(SecretString::from(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_line_is_not_part_of_it() {
        for text in [" two words \n", " two words ", " two words \r\n"] {
            assert_eq!(line(text.as_bytes(), "it").unwrap().expose_secret(), " two words ");
        }
    }

    #[test]
    fn what_is_no_passphrase_is_refused_and_not_repeated() {
        for text in ["", "\n", "hunter2-hunter2\nhunter3\n", &"hunter".repeat(400)] {
            let error = line(text.as_bytes(), "it").unwrap_err();
            assert!(!format!("{error:?}").contains("hunter"), "{error:?}");
        }
    }
}
