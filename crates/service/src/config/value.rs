//! From one node to one typed value. Errors are the end of a sentence that begins with the key.

use super::Environment;
use super::json::yaml_bool;
use super::settings::{LogLevel, Pem};
use super::tree::{Map, Node, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tributary_sdk::Secret;

/// Numbers from here on cannot be meant as MiB, so they are taken as bytes.
const NO_MEBIBYTES: f64 = 65_536.0;
const MEBIBYTE: u64 = 1024 * 1024;
/// A century; longer waits are slips of the pen, and sums of durations must not overflow.
const MAX_SECONDS: f64 = 100.0 * 365.25 * 86_400.0;
/// Enough of a value to recognise it in an error.
const SHOWN_CHARACTERS: usize = 60;

pub(super) type Read<T> = fn(&Node, &dyn Environment) -> Result<T, String>;

pub(super) fn text(node: &Node, _: &dyn Environment) -> Result<String, String> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text.clone()),
        _ => Err(wrong("a text", node)),
    }
}

pub(super) fn folder(
    node: &Node,
    environment: &dyn Environment,
) -> Result<Option<PathBuf>, String> {
    let text = text(node, environment)?;
    match text.trim().is_empty() {
        true => Ok(None),
        false => Ok(Some(PathBuf::from(text))),
    }
}

pub(super) fn flag(node: &Node, _: &dyn Environment) -> Result<bool, String> {
    scalar(node)
        .and_then(|text| match text {
            "1" => Some(true),
            "0" => Some(false),
            text => yaml_bool(text),
        })
        .ok_or_else(|| wrong("true or false", node))
}

/// Seconds as a number, or with a unit: `500ms`, `30s`, `5m`, `1h`.
pub(super) fn seconds(node: &Node, _: &dyn Environment) -> Result<Duration, String> {
    scalar(node)
        .and_then(|text| {
            let (number, unit) = split_unit(text)?;
            let factor = match unit.as_str() {
                "" | "s" => 1.0,
                "ms" => 0.001,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
            let seconds = number * factor;
            (0.0..=MAX_SECONDS)
                .contains(&seconds)
                .then(|| Duration::try_from_secs_f64(seconds).ok())?
        })
        .ok_or_else(|| wrong("a number of seconds", node))
}

/// Seconds, but not zero: for pauses of loops and limits of time.
pub(super) fn some_seconds(node: &Node, environment: &dyn Environment) -> Result<Duration, String> {
    seconds(node, environment)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| wrong("a number of seconds above 0", node))
}

pub(super) fn some_days(node: &Node, _: &dyn Environment) -> Result<Duration, String> {
    whole_number(node)
        .filter(|days| (1..=100_000).contains(days))
        .map(|days| Duration::from_secs(days * 24 * 60 * 60))
        .ok_or_else(|| wrong("a number of days above 0", node))
}

/// A time in which several heartbeats and a last request have room.
pub(super) fn lease(node: &Node, environment: &dyn Environment) -> Result<Duration, String> {
    seconds(node, environment)
        .ok()
        .filter(|duration| *duration >= Duration::from_secs(10))
        .ok_or_else(|| wrong("a number of seconds, at least 10", node))
}

pub(super) fn count<T: TryFrom<u64>>(node: &Node, _: &dyn Environment) -> Result<T, String> {
    whole_number(node)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong("a whole number", node))
}

pub(super) fn some_count<T: TryFrom<u64>>(node: &Node, _: &dyn Environment) -> Result<T, String> {
    whole_number(node)
        .filter(|number| *number > 0)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong("a whole number above 0", node))
}

/// Bytes as a number, or with a unit: `64 KiB`, `10 MiB`, `1 GiB`. `KB` and `K` mean the same as
/// `KiB`, and so on.
pub(super) fn bytes(node: &Node, _: &dyn Environment) -> Result<u64, String> {
    scalar(node)
        .and_then(|text| byte_count(text, 1))
        .ok_or_else(|| wrong("a number of bytes", node))
}

pub(super) fn some_bytes(node: &Node, environment: &dyn Environment) -> Result<u64, String> {
    bytes(node, environment)
        .ok()
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| wrong("a number of bytes above 0", node))
}

/// MiB as a number, or bytes with a unit as for [`bytes`].
pub(super) fn mebibytes(node: &Node, _: &dyn Environment) -> Result<u64, String> {
    scalar(node)
        .and_then(|text| {
            let (number, unit) = split_unit(text)?;
            let is_bytes = unit.is_empty() && number >= NO_MEBIBYTES;
            byte_count(text, if is_bytes { 1 } else { MEBIBYTE })
        })
        .ok_or_else(|| wrong("a number of MiB", node))
}

pub(super) fn some_mebibytes(node: &Node, environment: &dyn Environment) -> Result<u64, String> {
    mebibytes(node, environment)
        .ok()
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| wrong("a number of MiB above 0", node))
}

pub(super) fn factor(node: &Node, _: &dyn Environment) -> Result<f64, String> {
    number(node)
        .filter(|number| (1.0..=1000.0).contains(number))
        .ok_or_else(|| wrong("a number from 1 to 1000", node))
}

pub(super) fn share(node: &Node, _: &dyn Environment) -> Result<f64, String> {
    number(node)
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| wrong("a number from 0 to 1", node))
}

/// A list of words; a text is split at its commas.
pub(super) fn words(node: &Node, environment: &dyn Environment) -> Result<Vec<String>, String> {
    let words = match &node.value {
        Value::Scalar { text, .. } => text.split(',').map(str::to_owned).collect(),
        Value::List(nodes) => nodes
            .iter()
            .map(|node| text(node, environment))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong("a list of words", node))?,
        Value::Map(_) => return Err(wrong("a list of words", node)),
    };
    Ok(words
        .into_iter()
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect())
}

pub(super) fn level(node: &Node, _: &dyn Environment) -> Result<LogLevel, String> {
    scalar(node)
        .and_then(|text| match text.to_ascii_lowercase().as_str() {
            "debug" | "trace" => Some(LogLevel::Debug),
            "info" => Some(LogLevel::Info),
            "warning" | "warn" => Some(LogLevel::Warning),
            "error" => Some(LogLevel::Error),
            "critical" | "fatal" => Some(LogLevel::Critical),
            _ => None,
        })
        .ok_or_else(|| wrong("one of DEBUG, INFO, WARNING, ERROR, CRITICAL", node))
}

/// An `http://` or `https://` address. The value is never shown: it may hold a password.
pub(super) fn address(node: &Node, _: &dyn Environment) -> Result<String, String> {
    let text = scalar(node).ok_or_else(|| wrong("an address such as https://host:9200", node))?;
    let url = url::Url::parse(text.trim()).ok();
    match url {
        Some(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => {
            if url.query().is_some() || url.fragment().is_some() {
                return Err("must not have `?` or `#` in it; a path is allowed".to_owned());
            }
            Ok(text.trim().trim_end_matches('/').to_owned())
        }
        _ => Err(
            "must begin with http:// or https:// and name a host, such as https://host:9200; \
             special characters in a password must be percent-encoded"
                .to_owned(),
        ),
    }
}

pub(super) fn secret_address(node: &Node, environment: &dyn Environment) -> Result<Secret, String> {
    address(node, environment).map(Secret::new)
}

/// `host:port`, or `off` (and what YAML makes of it).
pub(super) fn listener(node: &Node, _: &dyn Environment) -> Result<Option<String>, String> {
    let text = scalar(node).unwrap_or_default().trim();
    if yaml_bool(text) == Some(false) {
        return Ok(None);
    }
    text.rsplit_once(':')
        .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        .map(|_| Some(text.to_owned()))
        .ok_or_else(|| wrong("host:port such as 127.0.0.1:8585, or `off`", node))
}

/// A SHA-256 fingerprint in hex; colons and spaces are allowed.
pub(super) fn fingerprint(node: &Node, _: &dyn Environment) -> Result<String, String> {
    let text = scalar(node).unwrap_or_default();
    let digits = text.rsplit('=').next().unwrap_or(text);
    let only_hex = digits
        .chars()
        .all(|character| character.is_ascii_hexdigit() || character == ':' || character == ' ');
    let digit_count = digits.chars().filter(char::is_ascii_hexdigit).count();
    if only_hex && digit_count == 64 {
        Ok(text.to_owned())
    } else {
        Err(wrong(
            "a SHA-256 fingerprint: 64 hex digits, as `openssl x509 -noout -fingerprint -sha256` \
             prints it",
            node,
        ))
    }
}

/// A text, or `{file: path}` or `{command: line}` to take it from. The value is never shown.
pub(super) fn secret(node: &Node, environment: &dyn Environment) -> Result<Secret, String> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(Secret::new(text.clone())),
        Value::Map(map) => fetched(map, environment),
        Value::List(_) => Err(no_secret()),
    }
}

/// The path of a PEM file, or PEM text, or where to take the text from.
pub(super) fn pem(node: &Node, environment: &dyn Environment) -> Result<Pem, String> {
    match &node.value {
        Value::Scalar { text, .. } if text.contains("-----BEGIN") => {
            Ok(Pem::Text(Secret::new(text.clone())))
        }
        Value::Scalar { text, .. } => Ok(Pem::File(PathBuf::from(text))),
        Value::Map(map) => fetched(map, environment).map(Pem::Text),
        Value::List(_) => Err(no_secret()),
    }
}

/// For values that are read further by somebody else.
pub(super) fn raw(node: &Node, _: &dyn Environment) -> Result<Option<Node>, String> {
    Ok(Some(node.clone()))
}

fn fetched(map: &Map, environment: &dyn Environment) -> Result<Secret, String> {
    let mut entries = map.0.iter();
    let (Some((kind, (_, node))), None) = (entries.next(), entries.next()) else {
        return Err(no_secret());
    };
    let origin = scalar(node)
        .filter(|origin| !origin.is_empty())
        .ok_or_else(no_secret)?;
    let found = match kind.as_str() {
        "file" => environment
            .read_file(Path::new(origin))
            .map_err(|error| format!("cannot read the file {origin}: {error}"))?,
        // A command line may hold a password of its own, so it is not shown.
        "command" => environment
            .run_command(origin)
            .map_err(|error| format!("cannot take the value from its command: {error}"))?,
        _ => return Err(no_secret()),
    };
    let found = found.trim_end_matches(['\r', '\n']);
    if found.is_empty() {
        return Err(format!("the {kind} it is taken from gave nothing"));
    }
    Ok(Secret::new(found))
}

fn no_secret() -> String {
    "must be a text, or {file: path} or {command: line} to take it from".to_owned()
}

pub(super) fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

pub(super) fn wrong(expected: &str, node: &Node) -> String {
    let got = match &node.value {
        Value::Scalar { text, .. } if text.is_empty() => "nothing".to_owned(),
        Value::Scalar { text, .. } => {
            let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("'{}'", shown.escape_debug())
        }
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    };
    format!("must be {expected}, got {got}")
}

fn number(node: &Node) -> Option<f64> {
    let text = scalar(node)?.trim();
    // `parse` would take "inf" and "nan" too.
    text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        .then(|| text.replace('_', "").parse::<f64>().ok())?
        .filter(|number| number.is_finite())
}

fn whole_number(node: &Node) -> Option<u64> {
    let text = scalar(node)?.trim().replace('_', "");
    // What arithmetic in a template leaves behind: 10.0.
    let digits = text.strip_suffix(".0").unwrap_or(&text);
    digits.parse().ok()
}

/// The number and the unit behind it, in small letters.
fn split_unit(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text
        .find(|character: char| character.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let number: f64 = number.trim().replace('_', "").parse().ok()?;
    (number.is_finite() && number >= 0.0).then(|| (number, unit.to_ascii_lowercase()))
}

fn byte_count(text: &str, bare_unit: u64) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit.as_str() {
        "" => bare_unit,
        "b" | "byte" | "bytes" => 1,
        "k" | "kb" | "kib" => 1024,
        "m" | "mb" | "mib" => MEBIBYTE,
        "g" | "gb" | "gib" => 1024 * MEBIBYTE,
        _ => return None,
    };
    let bytes = number * factor as f64;
    // Above 2^53 a float no longer counts single bytes, and no size here is near it.
    (bytes <= 9_007_199_254_740_992.0).then_some(bytes.round() as u64)
}
