//! One page: what `clap_mangen` makes of a verb's definition, and the rest of its help in sections.

use clap::Command;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::reference;

const SOURCE: &str = concat!("authsome ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "authsome manual";
const SECTION: &str = "1";
const NOTES: &str = "NOTES";
const EXAMPLES: &str = "EXAMPLES";
const EXIT_STATUS: &str = "EXIT STATUS";
const OUTPUT: &str = "JSON OUTPUT";

/// How a paragraph of the help begins that has a section of its own.
const MARKERS: [(&str, &str); 5] = [
    ("Examples:", EXAMPLES),
    ("Example:", EXAMPLES),
    ("JSON:", OUTPUT),
    ("Exit codes:", EXIT_STATUS),
    ("Exit code ", EXIT_STATUS),
];
/// In which order they stand, as man-pages(7) has it.
const ORDER: [&str; 4] = [NOTES, EXIT_STATUS, OUTPUT, EXAMPLES];

/// File name and text of a verb's page.
pub(super) fn page(command: &Command) -> (String, String) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let is_program = !name.contains('-');
    let man = Man::new(command.clone());
    // By hand, because the empty date has to stay there. Options and paths are not to be broken at
    // hyphens, nor lines stretched.
    let title = name.to_ascii_uppercase();
    let mut page =
        format!(".TH {title} {SECTION} \"\" \"{SOURCE}\" \"{MANUAL}\"\n.nh\n.ad l\n").into_bytes();
    // Writing to memory does not fail.
    let _: std::io::Result<()> = (|| {
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if command.get_subcommands().any(|verb| !verb.is_hide_set()) {
            man.render_subcommands_section(&mut page)?;
        }
        let mut rest = Roff::new();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for (section, lines) in sections(&help) {
            if !(is_program && section == EXIT_STATUS) {
                rest.control("SH", [section]);
                set(&mut rest, section, &lines);
            }
        }
        if is_program {
            reference::add(&mut rest);
        }
        rest.control("SH", ["SEE ALSO"]);
        rest.text([roman(see_also(&name).join(", "))]);
        rest.to_writer(&mut page)
    })();
    (format!("{name}.{SECTION}"), String::from_utf8_lossy(&page).into_owned())
}

/// The help below the options, by section.
fn sections(help: &str) -> Vec<(&'static str, Vec<&str>)> {
    let mut found: Vec<(&'static str, Vec<&str>)> =
        ORDER.iter().map(|section| (*section, Vec::new())).collect();
    let mut section = NOTES;
    for line in help.lines() {
        let marker = MARKERS.iter().find(|(marker, _)| line.starts_with(marker));
        let mut line = line;
        if let Some((marker, own)) = marker {
            section = own;
            if marker.ends_with(':') {
                line = line.strip_prefix(marker).unwrap_or(line).trim_start();
            }
        }
        if let Some((_, lines)) = found.iter_mut().find(|(name, _)| *name == section) {
            lines.push(line);
        }
        if line.is_empty() && marker.is_none() {
            section = NOTES;
        }
    }
    found.retain(|(_, lines)| lines.iter().any(|line| !line.is_empty()));
    found
}

/// Sets lines: those that are indented as they are, the others as paragraphs.
fn set(roff: &mut Roff, section: &str, lines: &[&str]) {
    let is_literal = |line: &str| section != OUTPUT && line.starts_with(' ');
    let parts = lines.chunk_by(|one, next| {
        one.is_empty() == next.is_empty() && is_literal(one) == is_literal(next)
    });
    let parts = parts.filter(|part| part.iter().any(|line| !line.is_empty()));
    for (number, part) in parts.enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        let literal = part.iter().all(|line| is_literal(line));
        if literal {
            roff.control("nf", []);
        }
        for line in part {
            roff.text([roman(if literal { line } else { line.trim() })]);
        }
        if literal {
            roff.control("fi", []);
        }
    }
}

/// The pages beside and above one.
fn see_also(name: &str) -> Vec<String> {
    let mut pages: Vec<&str> = Vec::new();
    match name.rsplit_once('-') {
        None => pages.extend(["authsome-run", "authsome-login", "authsome-doctor"]),
        Some((above, _)) => {
            pages.push("authsome");
            if above != "authsome" {
                pages.push(above);
            }
        }
    }
    pages.into_iter().map(|page| format!("{page}({SECTION})")).collect()
}

/// A list of terms, each with what it means.
pub(super) fn terms(roff: &mut Roff, section: &str, terms: &[(String, &str)]) {
    roff.control("SH", [section]);
    for (term, meaning) in terms {
        roff.control("TP", []);
        roff.text([bold(term.as_str())]);
        roff.text([roman(*meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn text(verb: &str) -> String {
        let mut program = crate::cli::Cli::command();
        program.build();
        page(program.find_subcommand(verb).unwrap()).1
    }

    #[test]
    fn help_is_split_where_its_marks_are() {
        let help =
            "One.\nTwo.\n\nExamples:\n  authsome x\n\nThree.\nExit code 3 if not.\nJSON: {v}";
        assert_eq!(
            sections(help),
            [
                (NOTES, vec!["One.", "Two.", "", "Three."]),
                (EXIT_STATUS, vec!["Exit code 3 if not."]),
                (OUTPUT, vec!["{v}"]),
                (EXAMPLES, vec!["", "  authsome x", ""]),
            ]
        );
    }

    #[test]
    fn examples_keep_their_lines() {
        let page = text("run");
        let examples = page.split(".SH EXAMPLES").nth(1).unwrap();
        assert!(examples.contains(".nf\n  authsome run \\-\\- claude\n"), "{examples}");
        assert!(examples.contains(".fi\n"), "{examples}");
    }

    #[test]
    fn a_page_of_a_verb_within_a_verb_leads_up() {
        assert_eq!(see_also("authsome-vault-rotate"), ["authsome(1)", "authsome-vault(1)"]);
    }
}
