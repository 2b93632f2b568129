//! What people and scripts read: standard output, standard error, tables, JSON.

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;
use std::io::{self, IsTerminal, Write};

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Tables and sentences, for people.
    #[default]
    Text,
    /// JSON, for scripts.
    Json,
}

/// Writes a line to standard output. Whoever closed the other end does not want it; that is no error.
pub(crate) fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes JSON, indented.
pub(crate) fn say_json(value: &Value) {
    // A `Value` can always be written.
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Whether a person can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A table without lines: easy to read, easy to cut.
pub(crate) fn table<R>(head: &[&str], rows: impl IntoIterator<Item = R>) -> String
where
    R: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(|name| name.to_uppercase()));
    for row in rows {
        // Cells are single lines: a text of a record may hold anything.
        table.add_row(row.into_iter().map(|cell| one_line(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    trimmed(&table.to_string())
}

/// Names and values below each other; values that are empty are left out.
pub(crate) fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let lines = rows
        .iter()
        .map(|(name, value)| format!("{name:width$}  {}", one_line(value)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The text without line ends and other control characters, which could garble the terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn trimmed(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_of_single_lines() {
        let rows = [
            ["c1".to_owned(), "two\nlines".to_owned()],
            ["longer".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(&["id", "name"], rows),
            "ID      NAME\nc1      two lines\nlonger  x"
        );
    }

    #[test]
    fn facts_leave_out_what_is_empty() {
        let rows = [
            ("id", "c1".to_owned()),
            ("error", String::new()),
            ("index", "books".to_owned()),
        ];
        assert_eq!(facts(rows), "id     c1\nindex  books");
    }
}
