//! JSON columns, written as the reference service writes what it has decoded.

use crate::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasher, RandomState},
    ops::Range,
};

/// Objects within objects that repeat a name are taken apart only so deep.
const REPEATED_NAMES_DEPTH: usize = 100;
/// Up to so many names are compared one by one.
const FEW_NAMES: usize = 12;

/// Appends JSON text without white space to `out`. Whole numbers keep all digits, other numbers become
/// doubles (`1.50` is `1.5`; what is too large for a double is `null`), of members with one name the
/// last counts, half surrogate pairs become U+FFFD. Depth is not limited. Invalid UTF-8 is left out.
///
/// # Errors
/// The text is not JSON; `out` is then as it was.
pub fn normalise_json(text: &[u8], out: &mut String) -> Result<(), serde_json::Error> {
    match std::str::from_utf8(text) {
        Ok(text) => normalise(text, out),
        Err(_) => {
            let valid: String = text.utf8_chunks().map(|chunk| chunk.valid()).collect();
            normalise(&valid, out)
        }
    }
}

fn normalise(text: &str, out: &mut String) -> Result<(), serde_json::Error> {
    // Checks the grammar, so that what follows need not.
    let checked: &RawValue = serde_json::from_str(text)?;
    let start = out.len();
    if compact(checked.get(), out) {
        return Ok(());
    }
    out.truncate(start);
    without_repeated_names(checked.get(), out, 0).inspect_err(|_| out.truncate(start))
}

/// An object or array that is not closed yet.
struct Open {
    is_object: bool,
    names: Vec<Range<usize>>,
    hashes: HashSet<u64>,
}

/// Copies valid JSON. `false` as soon as an object may name a member twice.
fn compact(text: &str, out: &mut String) -> bool {
    let bytes = text.as_bytes();
    let hasher = RandomState::new();
    let mut open: Vec<Open> = Vec::new();
    let mut name_is_next = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            b'"' => {
                at = end_of_text(bytes, at);
                let written = out.len();
                write_text(&text[start..at], out);
                if std::mem::take(&mut name_is_next)
                    && let Some(object) = open.last_mut()
                    && is_repeated(object, written..out.len(), out, &hasher)
                {
                    return false;
                }
            }
            b'-' | b'0'..=b'9' => {
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| {
                        matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
                    })
                    .count();
                write_number(&text[start..at], out);
            }
            b'a'..=b'z' => {
                at += bytes[at..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_lowercase())
                    .count();
                out.push_str(&text[start..at]);
            }
            _ => {
                match byte {
                    b'{' | b'[' => open.push(Open {
                        is_object: byte == b'{',
                        names: Vec::new(),
                        hashes: HashSet::new(),
                    }),
                    b'}' | b']' => drop(open.pop()),
                    _ => {}
                }
                name_is_next =
                    matches!(byte, b'{' | b',') && open.last().is_some_and(|open| open.is_object);
                out.push(char::from(byte));
                at += 1;
            }
        }
    }
    true
}

/// Where the text that begins at `start` ends.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether the object may have this name already. A name with an escape can be written in several
/// ways, so it always counts as repeated.
fn is_repeated(object: &mut Open, name: Range<usize>, out: &str, hasher: &RandomState) -> bool {
    let text = &out[name.clone()];
    if text.contains('\\') {
        return true;
    }
    let is_repeated = if object.names.len() < FEW_NAMES {
        object.names.iter().any(|known| out[known.clone()] == *text)
    } else {
        if object.hashes.is_empty() {
            let hashes = object
                .names
                .iter()
                .map(|known| hasher.hash_one(&out[known.clone()]));
            object.hashes = hashes.collect();
        }
        !object.hashes.insert(hasher.hash_one(text))
    };
    object.names.push(name);
    is_repeated
}

/// Copies a text with its quotation marks; half of a surrogate pair becomes U+FFFD.
fn write_text(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find("\\") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match surrogate(rest) {
            None => 2.min(rest.len()),
            Some(0xD800..=0xDBFF)
                if matches!(rest.get(6..).and_then(surrogate), Some(0xDC00..=0xDFFF)) =>
            {
                12
            }
            Some(_) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
}

/// The surrogate that an escape at the beginning of `text` stands for.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

fn write_number(text: &str, out: &mut String) {
    if text == "-0" {
        out.push('0');
    } else if !text.contains(['.', 'e', 'E']) {
        out.push_str(text);
    } else if write_double(text, out).is_none() {
        out.push_str("null");
    }
}

fn write_double(text: &str, out: &mut String) -> Option<()> {
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    // The common cases need no search for the shortest digits: few digits and no exponent.
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    match (text.split_once('.'), text.contains(['e', 'E'])) {
        (Some((_, fraction)), false) => Decimal::Finite {
            negative: text.starts_with('-'),
            digits: &digits,
            exponent: -i32::try_from(fraction.len()).ok()?,
        }
        .write_double(out),
        _ => {
            tributary_sdk::json::write_double(out, value);
            Some(())
        }
    }
}

/// Slower: takes every object apart.
fn without_repeated_names(
    text: &str,
    out: &mut String,
    depth: usize,
) -> Result<(), serde_json::Error> {
    let deeper = depth + 1;
    if deeper > REPEATED_NAMES_DEPTH {
        return Err(serde::de::Error::custom("nested too deep"));
    }
    match text.trim_start().as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text)?;
            out.push('{');
            for (position, (name, value)) in members.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(name)?);
                out.push(':');
                without_repeated_names(value.get(), out, deeper)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push('[');
            for (position, value) in elements.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                without_repeated_names(value.get(), out, deeper)?;
            }
            out.push(']');
        }
        _ => drop(compact(text, out)),
    }
    Ok(())
}

/// The members of an object; one that is named again keeps its place and takes the new value.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                let mut positions: HashMap<String, usize> = HashMap::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    match positions.get(&name) {
                        Some(&position) => members[position].1 = value,
                        None => {
                            positions.insert(name.clone(), members.len());
                            members.push((name, value));
                        }
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The name of a member, in which half a surrogate pair is no error.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl Visitor<'_> for Collect {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.to_owned()))
            }
            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name, E> {
                Ok(Name(String::from_utf8_lossy(name).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalised(text: &str) -> String {
        let mut out = String::new();
        normalise_json(text.as_bytes(), &mut out).unwrap();
        out
    }

    #[test]
    fn json_is_written_as_in_the_reference() {
        for (text, expected) in [
            ("1.50", "1.5"),
            (" \"s\" ", "\"s\""),
            ("null", "null"),
            (
                "[1.0, 1e3, -0, -0.0, 1E-5, 12345678901234567890123]",
                "[1.0,1000.0,0,-0.0,1e-05,12345678901234567890123]",
            ),
            ("1e400", "null"),
            ("-123456789.123456789123456789", "-123456789.12345679"),
            ("{ \"b\" : [ ] , \"a\" : { } }", "{\"b\":[],\"a\":{}}"),
            (
                r#"{"a":1,"b":{"c":1,"c":[2.50]},"a":2}"#,
                r#"{"a":2,"b":{"c":[2.5]}}"#,
            ),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            (
                r#""\ud83d\ude00 \ud83d x \ude00 \\ud800 \n""#,
                r#""\ud83d\ude00 \ufffd x \ufffd \\ud800 \n""#,
            ),
            (r#"["{,\"", {"x": "\\"}]"#, r#"["{,\"",{"x":"\\"}]"#),
            ("true", "true"),
        ] {
            assert_eq!(normalised(text), expected);
        }
    }

    #[test]
    fn deep_nesting_is_no_matter() {
        let deep = format!("{}1.50{}", "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(normalised(&deep).len(), deep.len() - 1);
    }

    #[test]
    fn many_names_are_compared_too() {
        let members: Vec<String> = (0..100)
            .map(|at| format!("\"n{}\":{at}", at % 50))
            .collect();
        let parsed: serde_json::Value =
            serde_json::from_str(&normalised(&format!("{{{}}}", members.join(",")))).unwrap();
        assert_eq!(parsed.as_object().unwrap().len(), 50);
        assert_eq!(parsed["n0"], 50);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "{", "[1,]", "1 2", "nul", "{\"a\"}", "\"\u{1}\""] {
            let mut out = String::from("before");
            assert!(normalise_json(text.as_bytes(), &mut out).is_err(), "{text}");
            assert_eq!(out, "before");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            // The parser of the test reads only numbers of few digits exactly.
            any::<i32>().prop_map(|value| (f64::from(value) / 8.0).into()),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| members
                    .into_iter()
                    .collect::<serde_json::Map<_, _>>()
                    .into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn means_the_same(value in any_json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let again: serde_json::Value = serde_json::from_str(&normalised(&text)).unwrap();
            prop_assert_eq!(again, value);
        }

        #[test]
        fn nothing_panics(text in "[\\[\\]{}:,\"\\\\0-9eE.+\\-a-u \u{e9}]{0,40}") {
            let mut out = String::new();
            if normalise_json(text.as_bytes(), &mut out).is_ok() {
                prop_assert!(serde_json::from_str::<&RawValue>(&out).is_ok());
            }
        }
    }
}
