//! Options of a source as JSON. Plain words get the type that PyYAML would give them.

use super::tree::{Map, Node, Value};
use serde_json::{Map as JsonMap, Number, Value as Json};

pub(super) fn json_map(map: &Map) -> JsonMap<String, Json> {
    map.0
        .iter()
        .map(|(key, (_, node))| (key.clone(), json(node)))
        .collect()
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Map(map) => Json::Object(json_map(map)),
        Value::List(nodes) => Json::Array(nodes.iter().map(json).collect()),
        Value::Scalar { plain: false, text } => Json::String(text.clone()),
        Value::Scalar { plain: true, .. } if node.is_null() => Json::Null,
        Value::Scalar { plain: true, text } => yaml_bool(text)
            .map(Json::Bool)
            .or_else(|| yaml_number(text).map(Json::Number))
            // Dates, infinities and numbers that JSON cannot hold stay the text they were.
            .unwrap_or_else(|| Json::String(text.clone())),
    }
}

/// The words that YAML 1.1, and so PyYAML, takes for a boolean.
pub(super) fn yaml_bool(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn yaml_number(text: &str) -> Option<Number> {
    if let Some(number) = yaml_integer(text) {
        return i64::try_from(number)
            .map(Number::from)
            .or_else(|_| u64::try_from(number).map(Number::from))
            .ok();
    }
    yaml_float(text).and_then(Number::from_f64)
}

/// Decimal, `0x`, `0b`, octal with a leading 0, underscores, and base 60 (`12:30:45`).
fn yaml_integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude = if let Some(hex) = digits.strip_prefix("0x") {
        parse_digits(hex, 16)?
    } else if let Some(binary) = digits.strip_prefix("0b") {
        parse_digits(binary, 2)?
    } else if digits.contains(':') {
        base_sixty(&digits)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        parse_digits(&digits, 8)?
    } else {
        parse_digits(&digits, 10)?
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn parse_digits(digits: &str, radix: u32) -> Option<i128> {
    // `from_str_radix` would take a second sign.
    digits
        .chars()
        .all(|digit| digit.is_digit(radix))
        .then(|| i128::from_str_radix(digits, radix).ok())?
}

fn base_sixty(text: &str) -> Option<i128> {
    if text.starts_with('0') {
        return None;
    }
    let mut total: i128 = 0;
    for (index, part) in text.split(':').enumerate() {
        let value = parse_digits(part, 10)?;
        if index > 0 && (part.len() > 2 || value >= 60) {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(value)?;
    }
    Some(total)
}

/// PyYAML wants a point, and a sign after `e`: `1e3` is text there, `1.0e+3` is a number.
fn yaml_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits_only = |part: &str| {
        part.chars()
            .all(|digit| digit.is_ascii_digit() || digit == '_')
    };
    // `.5` is a number and `-.5` is text.
    let has_digits = whole.starts_with(|first: char| first.is_ascii_digit())
        || (mantissa.len() == text.len()
            && fraction.starts_with(|first: char| first.is_ascii_digit()));
    let exponent_ok = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|digits| !digits.is_empty() && digits_only(digits))
    });
    if !(has_digits && digits_only(whole) && digits_only(fraction) && exponent_ok) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Place;
    use serde_json::json as expected;

    fn plain(text: &str) -> Json {
        json(&Node {
            place: Place::START,
            value: Value::Scalar {
                text: text.to_owned(),
                plain: true,
            },
        })
    }

    #[test]
    fn types_words_as_pyyaml_does() {
        // The right-hand side is what `yaml.safe_load` of PyYAML 6 gives, dates aside.
        for (text, value) in [
            ("yes", expected!(true)),
            ("NO", expected!(false)),
            ("on", expected!(true)),
            ("y", expected!("y")),
            ("~", Json::Null),
            ("", Json::Null),
            ("17", expected!(17)),
            ("+17", expected!(17)),
            ("-3", expected!(-3)),
            ("017", expected!(15)),
            ("08", expected!("08")),
            ("0x1F", expected!(31)),
            ("0b101", expected!(5)),
            ("1_000", expected!(1000)),
            ("12:30:45", expected!(45045)),
            ("1.5", expected!(1.5)),
            (".5", expected!(0.5)),
            ("-.5", expected!("-.5")),
            ("1.", expected!(1.0)),
            ("1e3", expected!("1e3")),
            ("1.0e+3", expected!(1000.0)),
            ("1.0e3", expected!("1.0e3")),
            ("18446744073709551615", expected!(18446744073709551615u64)),
            ("184467440737095516150", expected!("184467440737095516150")),
            (".inf", expected!(".inf")),
            ("2024-05-01", expected!("2024-05-01")),
            ("--5", expected!("--5")),
            ("1.2.3", expected!("1.2.3")),
            ("word", expected!("word")),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }
}
