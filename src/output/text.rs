//! Text for people: lines, tables, and nothing that steers a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// Makes visible what a terminal would obey or hide: control characters (C0, DEL, C1), line breaks
/// included, and the marks that reorder or hide text.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if steers(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The same for encoded JSON, where such characters can only stand inside a string.
pub(super) fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if steers(character) && character != '\n' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _: std::fmt::Result = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Composes what a person reads. Whatever is added is made [`visible`] first.
#[derive(Debug)]
pub struct Text {
    buffer: String,
    color: bool,
}

impl Text {
    pub(super) fn new(color: bool) -> Self {
        Self { buffer: String::new(), color }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.buffer
    }

    /// Adds a line.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.buffer.push_str(&visible(line.as_ref()));
        self.buffer.push('\n');
    }

    /// Adds an empty line.
    pub fn blank(&mut self) {
        self.buffer.push('\n');
    }

    /// Adds a line that matters less than the others.
    pub fn dim(&mut self, line: impl AsRef<str>) {
        self.styled("2", line.as_ref());
    }

    /// Adds a line of output that was written by a program for a terminal, line breaks kept.
    pub fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }

    /// Adds `name  value` pairs, values aligned.
    pub fn pairs<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, String)>) {
        let pairs: Vec<_> = pairs.into_iter().collect();
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in pairs {
            self.line(format!("{name:width$}  {value}"));
        }
    }

    /// Adds a table, columns aligned.
    pub fn table(&mut self, table: &Table) {
        let widths = table.widths();
        self.styled("1", &row(&table.head, &widths));
        for cells in &table.rows {
            let line = row(cells, &widths);
            self.buffer.push_str(&line);
            self.buffer.push('\n');
        }
    }

    fn styled(&mut self, code: &str, line: &str) {
        let line = visible(line);
        let _: std::fmt::Result = if self.color {
            writeln!(self.buffer, "\x1b[{code}m{line}\x1b[0m")
        } else {
            writeln!(self.buffer, "{line}")
        };
    }
}

/// Rows below a head.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these column heads.
    #[must_use]
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { head: head.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.rows.push(cells.iter().map(|cell| visible(cell).into_owned()).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.head.len()];
        for cells in std::iter::once(&self.head).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

/// One line of a table; no blanks at its end.
fn row(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _: std::fmt::Result = write!(line, "{cell:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(visible("a\x1b[2Jb\u{9b}c\r\n"), "a\\u{1b}[2Jb\\u{9b}c\\r\\n");
    }

    #[test]
    fn marks_that_reorder_text_become_visible() {
        assert_eq!(visible("api\u{202e}moc.live"), "api\\u{202e}moc.live");
    }

    #[test]
    fn ordinary_text_is_untouched() {
        assert_eq!(visible("Zürich — 東京"), "Zürich — 東京");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({ "a": "x\u{9b}\u{7f}\u{202e}\u{e0041}y" });

        let escaped = escape_json(&value.to_string());

        assert!(escaped.is_ascii());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn tables_are_aligned_without_trailing_blanks() {
        let mut table = Table::new(["NAME", "STATUS"]);
        table.row(["a-long-name", "connected"]);
        table.row(["b", ""]);
        let mut text = Text::new(false);

        text.table(&table);

        assert_eq!(text.as_str(), "NAME         STATUS\na-long-name  connected\nb\n");
    }

    #[test]
    fn a_cell_cannot_break_out_of_its_row() {
        let mut table = Table::new(["NAME"]);
        table.row(["x\nfake row"]);
        let mut text = Text::new(false);

        text.table(&table);

        assert_eq!(text.as_str().lines().count(), 2);
    }
}
