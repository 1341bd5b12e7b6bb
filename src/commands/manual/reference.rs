//! What authsome(1) says of all verbs: exit status, environment, files.

use std::path::{Path, PathBuf};

use clap_mangen::roff::Roff;

use super::page::terms;
use crate::paths::Home;

/// Where the home is unless a variable says otherwise.
const HOME: &str = "~/.local/share/authsome";

const EXIT_STATUS: [(&str, &str); 12] = [
    ("0", "Done."),
    ("1", "Failed, as the error says."),
    ("2", "The command line or the configuration is not understood."),
    ("3", "No such provider, connection or request."),
    ("4", "The connection needs a login."),
    ("5", "Daemon or vault are not available."),
    ("7", "It exists already."),
    ("125", "run, shell: authsome failed before the agent started. There was no agent."),
    ("126", "run, shell: the agent cannot be executed."),
    ("127", "run, shell: the agent was not found."),
    ("128+n", "run, shell: signal n ended the agent."),
    ("other", "run, shell: the agent's own."),
];

const ENVIRONMENT: [(&str, &str); 8] = [
    ("AUTHSOME_HOME", "The directory for everything that authsome keeps, as an absolute path."),
    ("XDG_DATA_HOME", "Its directory authsome is the home where AUTHSOME_HOME is not set."),
    ("AUTHSOME_PROFILE", "The profile, where --profile names none."),
    ("AUTHSOME_LOG", "What the daemon logs, such as authsome=debug."),
    ("AUTHSOME_RUN", "Set for an agent: the id of its run."),
    ("NO_COLOR", "If set and not empty: no colours."),
    (
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "How the daemon reaches the world. An agent does not get them: it needs no proxy.",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "The roots that servers are verified with, in place of the system's.",
    ),
];

pub(super) fn add(roff: &mut Roff) {
    let named = |rows: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
        rows.iter().map(|(term, meaning)| ((*term).to_owned(), *meaning)).collect()
    };
    terms(roff, "EXIT STATUS", &named(&EXIT_STATUS));
    terms(roff, "ENVIRONMENT", &named(&ENVIRONMENT));
    terms(roff, "FILES", &files());
}

fn files() -> Vec<(String, &'static str)> {
    let home = Home::at(PathBuf::from(HOME));
    let files: [(&Path, &str); 9] = [
        (home.root(), "The home. Covered in a run."),
        (&home.config(), "Settings: see the keys in authsome-run(1)."),
        (&home.providers(), "Provider definitions of your own, one TOML or JSON file each."),
        (&home.policy(), "Rules in TOML, and policies in Cedar's language."),
        (&home.profiles(), "One directory a profile, with its encrypted vault."),
        (&home.master_key(), "The key of every vault, where it is kept in a file."),
        (&home.audit_log(), "What was asked and decided; see authsome-log(1)."),
        (&home.daemon_log(), "What a daemon in the background says."),
        (&home.daemon_socket(), "Where the daemon listens, for its user alone."),
    ];
    files.into_iter().map(|(path, meaning)| (path.display().to_string(), meaning)).collect()
}
