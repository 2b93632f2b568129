//! `${NAME}` and `$NAME` in values.
//!
//! | written | variable set | not set |
//! |---|---|---|
//! | `${NAME}` | its value | an error that names the variable |
//! | `${NAME:-word}`, `${NAME\|word}` | its value (for `:-`, if not empty) | `word` |
//! | `$NAME` | its value | stays as it is, so that passwords may hold a `$` |
//! | `$$`, `$5`, `$` alone, `${` without a name and `}` | stays as it is | stays as it is |
//! | `$${` | a literal `${` | a literal `${` |
//!
//! `$$` is never the start of a variable: `pa$$word` stays `pa$$word`. A value is read once, so
//! what a variable holds is not looked at again. For a literal `$NAME` of a variable that happens
//! to be set, write `${DOLLAR:-$}NAME` or take the secret from a file.

use super::environment::Environment;
use super::error::ConfigError;
use super::tree::{Map, Node, Value, join};

/// Puts variables into all scalar values below. Keys are left alone.
pub(super) fn substitute(
    map: &mut Map,
    path: &str,
    environment: &dyn Environment,
    errors: &mut Vec<ConfigError>,
) {
    for (key, (_, node)) in &mut map.0 {
        substitute_node(node, &join(path, key), environment, errors);
    }
}

fn substitute_node(
    node: &mut Node,
    path: &str,
    environment: &dyn Environment,
    errors: &mut Vec<ConfigError>,
) {
    let place = node.place;
    match &mut node.value {
        Value::Map(map) => substitute(map, path, environment, errors),
        Value::List(nodes) => {
            for (index, node) in nodes.iter_mut().enumerate() {
                substitute_node(node, &format!("{path}[{index}]"), environment, errors);
            }
        }
        Value::Scalar { text, .. } if text.contains('$') => {
            let mut missing = Vec::new();
            *text = expand(text, environment, &mut missing);
            for name in missing {
                errors.push(ConfigError::new(
                    path,
                    Some(place),
                    format!(
                        "the environment variable {name} is not set; set it, or give a default: \
                         ${{{name}:-value}}"
                    ),
                ));
            }
        }
        Value::Scalar { .. } => {}
    }
}

/// The text with variables put in; names of variables that are demanded but not set go to
/// `missing`.
fn expand(text: &str, environment: &dyn Environment, missing: &mut Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after_second) = after.strip_prefix('$') {
            out.push_str(if after_second.starts_with('{') {
                "$"
            } else {
                "$$"
            });
            // The brace after `$$` is text now, so it is taken along.
            rest = match after_second.strip_prefix('{') {
                Some(inside) => {
                    out.push('{');
                    inside
                }
                None => after_second,
            };
            continue;
        }
        if let Some(inside) = after.strip_prefix('{')
            && let Some((reference, after_brace)) = inside.split_once('}')
            && let Some(reference) = Reference::parse(reference)
        {
            match reference.value(environment) {
                Some(value) => out.push_str(&value),
                None => missing.push(reference.name.to_owned()),
            }
            rest = after_brace;
            continue;
        }
        let name = name_at_start(after);
        match (!name.is_empty())
            .then(|| environment.variable(name))
            .flatten()
        {
            Some(value) => out.push_str(&value),
            None => {
                out.push('$');
                out.push_str(name);
            }
        }
        rest = after.get(name.len()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

struct Reference<'a> {
    name: &'a str,
    fallback: Option<&'a str>,
    /// `:-` takes the fallback for an empty variable too, as in the shell.
    empty_counts_as_unset: bool,
}

impl<'a> Reference<'a> {
    fn parse(inside: &'a str) -> Option<Self> {
        let name = name_at_start(inside);
        let rest = inside.get(name.len()..)?;
        let (fallback, empty_counts_as_unset) =
            match (rest.strip_prefix(":-"), rest.strip_prefix('|')) {
                (Some(fallback), _) => (Some(fallback), true),
                (None, Some(fallback)) => (Some(fallback), false),
                (None, None) if rest.is_empty() => (None, false),
                (None, None) => return None,
            };
        (!name.is_empty()).then_some(Self {
            name,
            fallback,
            empty_counts_as_unset,
        })
    }

    fn value(&self, environment: &dyn Environment) -> Option<String> {
        environment
            .variable(self.name)
            .filter(|value| !(self.empty_counts_as_unset && value.is_empty()))
            .or_else(|| self.fallback.map(str::to_owned))
    }
}

fn name_at_start(text: &str) -> &str {
    let is_name = |(index, character): (usize, char)| {
        character == '_'
            || character.is_ascii_alphabetic()
            || (index > 0 && character.is_ascii_digit())
    };
    let length = text
        .char_indices()
        .take_while(|pair| is_name(*pair))
        .count();
    // All characters of a name are ASCII, so the count is the length in bytes.
    text.get(..length).unwrap_or_default()
}
