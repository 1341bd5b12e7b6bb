//! What the agent's container sees of a sidecar: roots, and variables with placeholders.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::RESTART;
use crate::{
    daemon::client::Client,
    doctor::Finding,
    paths::Home,
    protocol::RunOptions,
    sidecar::{certificate, variables, written},
    trust::SHARED_CERTIFICATES,
};

/// May everybody read it, and does it hold this sidecar's authority?
pub(super) fn directory(directory: &Path, home: &Home) -> Finding {
    const NAME: &str = "shared directory";
    let shown = directory.display();
    let fail = |detail: String, mend: String| Finding::fail(NAME, detail, Some(mend));
    if let Some(wrong) = closed_to_others(directory) {
        return fail(wrong, format!("chmod -R a+rX {shown}"));
    }
    let Some(own) = certificate(home) else {
        return fail("the sidecar's authority cannot be read".to_owned(), RESTART.to_owned());
    };
    for name in SHARED_CERTIFICATES {
        let path = directory.join(name);
        match fs::read_to_string(&path) {
            Ok(text) if holds(&text, &own) => {}
            Ok(_) => {
                let detail = format!("{} is without this sidecar's authority", path.display());
                return fail(detail, RESTART.to_owned());
            }
            Err(error) => return fail(format!("{}: {error}", path.display()), RESTART.to_owned()),
        }
    }
    Finding::ok(NAME, format!("{shown} holds the authority, for everybody to read"))
}

/// What of the directory others cannot read, if something.
fn closed_to_others(directory: &Path) -> Option<String> {
    let unless = |path: &Path, wanted: u32| -> io::Result<Option<String>> {
        let found = path.metadata()?;
        let closed = found.mode() & wanted != wanted;
        Ok(closed.then(|| format!("{} is not readable for others", path.display())))
    };
    let look = || -> io::Result<Option<String>> {
        if let Some(wrong) = unless(directory, 0o005)? {
            return Ok(Some(wrong));
        }
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // A volume has directories of its own (`lost+found`).
            if entry.file_type()?.is_dir() {
                continue;
            }
            if let Some(wrong) = unless(&entry.path(), 0o004)? {
                return Ok(Some(wrong));
            }
        }
        Ok(None)
    };
    look().unwrap_or_else(|error| Some(format!("{}: {error}", directory.display())))
}

/// Is the certificate among these? Lines may be broken elsewhere.
fn holds(bundle: &str, certificate: &str) -> bool {
    let bare = |text: &str| text.split_ascii_whitespace().collect::<String>();
    bare(bundle).contains(&bare(certificate))
}

/// Are the variables that were written those that an agent would be given now?
pub(super) fn placeholders(directory: &Path, options: RunOptions, client: Client) -> Finding {
    const NAME: &str = "placeholders";
    let Some(written) = written(directory) else {
        let detail = format!("{} cannot be read", directory.join("env").display());
        return Finding::fail(NAME, detail, Some(RESTART.to_owned()));
    };
    let wanted = match variables(options, client) {
        Ok(wanted) => wanted,
        Err(error) => return Finding::failed(NAME, error),
    };
    let stale: Vec<&str> = wanted
        .iter()
        .filter(|(name, value)| written.get(*name) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    if stale.is_empty() {
        return Finding::ok(NAME, format!("{} variable(s), as they were shared", wanted.len()));
    }
    // What an agent sends in its place is no credential: nothing gets out, and nothing is answered.
    Finding::warn(
        NAME,
        format!("not as the agent was given them: {}", stale.join(", ")),
        format!("{RESTART}; then start the agent again with its variables (authsome trust)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_found_however_its_lines_are_broken() {
        let one = "-----BEGIN CERTIFICATE-----\nQUJDREVG\n-----END CERTIFICATE-----\n";
        let broken = one.replace("QUJD", "QUJD\n");
        assert!(holds(&format!("{}{broken}", one.replace("QUJD", "WFla")), one));
        assert!(!holds(&one.replace("QUJD", "WFla"), one));
    }
}
