//! Tables that become stacks of cards on a narrow screen.
//!
//! CSS that changes `display` takes a table's meaning from some browsers, so the roles are written
//! out. On cards each cell shows its column's name from `data-label`.

use maud::{Markup, Render, html};

/// A table. The first cell of each row names the row.
#[derive(Debug)]
pub(in crate::dashboard) struct Table<'a> {
    /// What it is.
    pub(in crate::dashboard) caption: &'a str,
    /// Names of the columns.
    pub(in crate::dashboard) columns: &'a [&'a str],
    /// Its cells.
    pub(in crate::dashboard) rows: Vec<Vec<Markup>>,
    /// The id of its body, for the script that adds rows.
    pub(in crate::dashboard) body: Option<&'a str>,
}

impl Render for Table<'_> {
    fn render(&self) -> Markup {
        html! {
            div.sheet {
                table role="table" {
                    caption { (self.caption) }
                    thead role="rowgroup" {
                        tr role="row" {
                            @for column in self.columns {
                                th role="columnheader" scope="col" { (column) }
                            }
                        }
                    }
                    tbody role="rowgroup" id=[self.body] { @for row in &self.rows { (self.row(row)) } }
                }
            }
        }
    }
}

impl Table<'_> {
    fn row(&self, cells: &[Markup]) -> Markup {
        html! {
            tr role="row" {
                @for (at, (cell, column)) in cells.iter().zip(self.columns).enumerate() {
                    @if at == 0 {
                        th role="rowheader" scope="row" data-label=(column) { div { (cell) } }
                    } @else {
                        td role="cell" data-label=(column) { div { (cell) } }
                    }
                }
            }
        }
    }
}
