//! Adds a connector to the list in `config.yml`, and leaves every other line as it is.
//!
//! The file is edited as text, because comments and order are its user's. Whether the edit was right
//! is checked by reading the result: it must say what it said before, and the new connector.

use crate::{
    failure::{Failure, Result},
    settings,
};
use anyhow::Context;
use std::{fs, io::Write, path::Path};
use tributary_protocol::Connector;
use tributary_service::{
    Config,
    config::{ConnectorConfig, SystemEnvironment},
};

const KEY: &str = "connectors";

/// The lines to add by hand.
pub(super) fn sample(connector: &Connector) -> String {
    let entry = ConnectorConfig {
        connector_id: connector.id.clone(),
        service_type: connector.service_type.clone().unwrap_or_default(),
        api_key: None,
    };
    format!("{KEY}:\n{}", lines(&entry, "  ").join("\n"))
}

/// Whether the file can be read and understood at all.
pub(super) fn check(path: &Path) -> Result<()> {
    parse(path, &read(path)?).map(drop)
}

/// Adds the connector.
pub(super) fn add(path: &Path, entry: &ConnectorConfig) -> Result<()> {
    let text = read(path)?;
    let before = parse(path, &text)?;
    let by_hand = || {
        let shown = path.display();
        Failure::configuration(format!(
            "the list `{KEY}` in {shown} cannot be edited safely; nothing was changed"
        ))
        .hint(format!(
            "add the connector '{}' by hand",
            entry.connector_id
        ))
    };
    let edited = with_entry(&text, entry).ok_or_else(by_hand)?;
    let after = Config::parse(&edited, &SystemEnvironment)
        .map_err(|_| by_hand())?
        .config;
    let mut expected = before;
    expected.connectors.push(entry.clone());
    if after != expected {
        return Err(by_hand());
    }
    replace(path, &edited)
}

fn read(path: &Path) -> Result<String> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Config> {
    let parsed = Config::parse(text, &SystemEnvironment);
    parsed
        .map(|parsed| parsed.config)
        .map_err(|errors| settings::invalid(path, &errors))
}

/// `None`: the list is written in a way that this does not know.
fn with_entry(text: &str, entry: &ConnectorConfig) -> Option<String> {
    let all: Vec<&str> = text.lines().collect();
    let mut edited: Vec<String> = all.iter().map(|line| (*line).to_owned()).collect();
    let position = all.iter().position(|line| {
        line.strip_prefix(KEY)
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
    });
    match position {
        None => {
            edited.push(String::new());
            edited.push(format!("{KEY}:"));
            edited.extend(lines(entry, "  "));
        }
        Some(key) => match value(all[key]) {
            "" => {
                let block = block(&all[key + 1..]);
                let items = block.iter().find(|line| line.trim_start().starts_with('-'));
                let indent =
                    items.map_or("  ", |line| &line[..line.len() - line.trim_start().len()]);
                let at = key + 1 + block.len();
                edited.splice(at..at, lines(entry, indent));
            }
            "[]" => {
                edited[key] = format!("{KEY}:");
                edited.splice(key + 1..key + 1, lines(entry, "  "));
            }
            _ => return None,
        },
    }
    Some(edited.join("\n") + "\n")
}

/// What stands behind the colon, without a comment.
fn value(line: &str) -> &str {
    let rest = line.split_once(':').map_or("", |(_, rest)| rest).trim();
    if rest.starts_with('#') {
        return "";
    }
    rest.split(" #").next().unwrap_or_default().trim()
}

/// The lines of the list: up to the next key, without the blank and comment lines before that.
fn block<'a>(lines: &'a [&'a str]) -> &'a [&'a str] {
    let is_filler = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let is_inside = |line: &str| is_filler(line) || line.starts_with([' ', '-']);
    let length = lines
        .iter()
        .position(|line| !is_inside(line))
        .unwrap_or(lines.len());
    let filled = lines[..length].iter().rposition(|line| !is_filler(line));
    &lines[..filled.map_or(0, |last| last + 1)]
}

fn lines(entry: &ConnectorConfig, indent: &str) -> Vec<String> {
    let mut lines = vec![
        format!("{indent}- connector_id: {}", quoted(&entry.connector_id)),
        format!("{indent}  service_type: {}", quoted(&entry.service_type)),
    ];
    if let Some(key) = &entry.api_key {
        lines.push(format!("{indent}  api_key: {}", quoted(key.expose())));
    }
    lines
}

/// A text as YAML: JSON is YAML, and plain words need no quotes.
fn quoted(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_word);
    match is_plain {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

/// Writes a new file beside the old one and puts it in its place, so that no moment sees half a file.
fn replace(path: &Path, text: &str) -> Result<()> {
    let shown = path.display();
    let cannot = || format!("cannot write {shown}");
    // A link stays a link.
    let real = path.canonicalize().with_context(cannot)?;
    let permissions = fs::metadata(&real).with_context(cannot)?.permissions();
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let new = real.with_file_name(name);
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&new)?;
        file.set_permissions(permissions)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &real)
    };
    let written = write();
    if written.is_err() {
        // The old file is untouched; what is left of the new one is of no use.
        let _ = fs::remove_file(&new);
    }
    written.with_context(cannot)?;
    Ok(())
}

#[cfg(test)]
mod tests;
