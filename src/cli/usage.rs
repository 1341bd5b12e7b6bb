//! What clap found wrong, in the words of every other error.
//!
//! An argument that was not understood may be a secret typed in the wrong place (`login openai sk-…`),
//! so `login` and `vault` repeat none of them; elsewhere clap's own sentence stands.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind as Kind};

use crate::{commands::Error, protocol::ErrorKind};

/// Hint that goes with every refusal to take a secret as an argument.
pub const SECRET_HINT: &str =
    "give it when asked, or with --secret-stdin, --secret-env VAR or --secret-file PATH";

/// Flags that may stand before the verb with a value of their own.
const WITH_VALUE: [&str; 2] = ["--profile", "--identity"];

/// Turns clap's error into one of ours. `args` are all arguments, the program's name first.
///
/// Not for the kinds that are no errors: help and version.
#[must_use]
pub fn error(error: &clap::Error, args: &[OsString]) -> Error {
    let secret_hint = match verb(args) {
        Some("login") => Some(SECRET_HINT),
        Some("vault") => Some(super::PASSPHRASE_HINT),
        Some("sidecar") => super::sidecar::connect_hint(args),
        _ => None,
    };
    if let Some(hint) = secret_hint
        && may_repeat_a_secret(error.kind())
    {
        let message = "an argument was not understood (not repeated here: it may be a secret)";
        let hint = suggestion(error).unwrap_or_else(|| hint.to_owned());
        return Error::new(ErrorKind::Usage, message).hint(hint);
    }
    let rendered = error.render().to_string();
    let message = rendered.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let hint = suggestion(error).unwrap_or_else(|| match verb(args) {
        Some(verb) => format!("authsome {verb} --help"),
        None => "authsome --help".to_owned(),
    });
    Error::new(ErrorKind::Usage, message).hint(hint)
}

/// Did the arguments, which could not be parsed, ask for JSON?
#[must_use]
pub fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

fn may_repeat_a_secret(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::MissingRequiredArgument | Kind::ArgumentConflict | Kind::MissingSubcommand
    )
}

fn verb(args: &[OsString]) -> Option<&str> {
    let mut words = args.iter().skip(1).filter_map(|arg| arg.to_str());
    let mut verb = words.next()?;
    while verb.starts_with('-') {
        if WITH_VALUE.contains(&verb) {
            words.next()?;
        }
        verb = words.next()?;
    }
    let known = <crate::cli::Cli as clap::CommandFactory>::command()
        .get_subcommands()
        .any(|command| command.get_name() == verb);
    known.then_some(verb)
}

fn suggestion(error: &clap::Error) -> Option<String> {
    [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(|kind| {
            let value = error.get(kind)?;
            if let ContextValue::Strings(words) = value {
                return words.first().cloned();
            }
            if let ContextValue::String(word) = value { Some(word.clone()) } else { None }
        })
        .map(|word| format!("did you mean `{word}`?"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn refused(args: &[&str]) -> Error {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        error(&Cli::try_parse_from(&args).unwrap_err(), &args)
    }

    #[test]
    fn login_is_known_behind_flags_with_values() {
        for flag in WITH_VALUE {
            let error = refused(&["authsome", flag, "list", "login", "openai", "--secret", "sk-x"]);
            assert!(error.message.contains("not repeated here"), "{flag}: {}", error.message);
        }
    }

    #[test]
    fn login_repeats_no_argument_it_does_not_understand() {
        const SECRET: &str = "sk-very-secret-0123456789";
        let joined = |flag: &str| format!("{flag}={SECRET}");
        for args in [
            vec!["--secret".to_owned(), SECRET.to_owned()],
            vec![joined("--api-key")],
            vec![joined("--secret-stdin")],
            vec![joined("--connection"), joined("--force")],
            vec!["--field".to_owned(), SECRET.to_owned()],
            vec!["--connection".to_owned(), format!("{SECRET}/+")],
            vec![format!("-{SECRET}")],
        ] {
            let all: Vec<&str> = ["authsome", "login", "openai"]
                .into_iter()
                .chain(args.iter().map(|a| &**a))
                .collect();

            let error = refused(&all);

            assert!(!format!("{error:?}").contains("very-secret"), "{args:?}: {error:?}");
        }
    }

    #[test]
    fn a_misspelt_verb_gets_a_suggestion() {
        let error = refused(&["authsome", "lits"]);

        assert_eq!(error.message, "unrecognized subcommand 'lits'");
        assert_eq!(error.hint.as_deref(), Some("did you mean `list`?"));
    }

    #[test]
    fn a_misspelt_flag_of_login_gets_a_suggestion() {
        let error = refused(&["authsome", "login", "openai", "--conection", "x"]);

        assert_eq!(error.hint.as_deref(), Some("did you mean `--connection`?"));
    }

    #[test]
    fn a_missing_argument_is_named_and_help_is_one_command_away() {
        let error = refused(&["authsome", "get"]);

        assert!(error.message.contains("<PROVIDER>"), "{}", error.message);
        assert_eq!(error.hint.as_deref(), Some("authsome get --help"));
    }

    #[test]
    fn a_flag_of_the_agent_does_not_ask_for_json() {
        let args = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();

        assert!(wants_json(&args(&["authsome", "list", "--json", "--x"])));
        assert!(!wants_json(&args(&["authsome", "run", "--x", "--", "gh", "--json"])));
    }
}
