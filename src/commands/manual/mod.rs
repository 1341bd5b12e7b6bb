//! `authsome manual`: one manual page a verb, from the definitions of the command line.
//!
//! The same release writes the same bytes, whenever and wherever: there is no date in them.

mod page;
mod reference;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use clap::{Command, CommandFactory as _};
use serde_json::json;

use super::{Error, count};
use crate::{
    cli::{Cli, ManualArgs},
    output::Output,
};

pub(super) fn manual(args: &ManualArgs, output: Output) -> Result<(), Error> {
    let directory = &args.directory;
    let failed = |what: &Path, error: &io::Error| {
        Error::caused(format_args!("cannot write {}", what.display()), error)
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut names = Vec::new();
    for (name, text) in pages() {
        let path = directory.join(&name);
        File::create(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&path, &error))?;
        names.push(name);
    }
    let members = json!({ "directory": directory.display().to_string(), "pages": names });
    Ok(output.result(members, |text| {
        text.line(format!("Wrote {} to {}.", count(names.len(), "page"), directory.display()));
    })?)
}

/// File name and text of every page.
fn pages() -> Vec<(String, String)> {
    let mut program = Cli::command().disable_help_subcommand(true);
    // Gives each verb its full name and the flags of all.
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut pages);
    pages
}

fn collect(command: &Command, pages: &mut Vec<(String, String)>) {
    pages.push(page::page(command));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        collect(verb, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_that_help_shows_has_a_page() {
        let names: Vec<_> = pages().into_iter().map(|(name, _)| name).collect();

        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = format!("authsome-{}.1", verb.get_name());
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        assert!(names.contains(&"authsome.1".to_owned()));
        assert!(names.contains(&"authsome-daemon-serve.1".to_owned()));
        assert!(!names.contains(&"authsome-manual.1".to_owned()));
    }

    #[test]
    fn every_page_has_the_sections_that_manuals_begin_with() {
        for (name, text) in pages() {
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"] {
                let quoted = format!("\n.SH \"{section}\"\n");
                let plain = format!("\n.SH {section}\n");
                assert!(text.contains(&quoted) || text.contains(&plain), "{name}: {section}");
            }
        }
    }
}
