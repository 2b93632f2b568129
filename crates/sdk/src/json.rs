//! Writing JSON text straight into a buffer, without a tree.

use crate::{Error, ErrorKind, Result};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt::{self, Write as _};

/// The name of a field, escaped once and used for many documents.
#[derive(Clone, Debug)]
pub struct FieldName(Box<[u8]>);

impl FieldName {
    /// Names that belong to the engine ([`crate::Body::put`]) are a mistake of the source.
    pub fn new(name: &str) -> Result<Self> {
        if crate::document::is_owned(name) {
            return Err(Error::internal("this field belongs to the engine").with("field", name));
        }
        let mut key = Vec::with_capacity(name.len() + 3);
        JsonWriter(&mut key).text(name);
        key.push(b':');
        Ok(Self(key.into()))
    }

    pub(crate) fn as_key(&self) -> &[u8] {
        &self.0
    }
}

/// Writes exactly one JSON value. Whatever is handed in, the text stays valid JSON.
#[derive(Debug)]
pub struct JsonWriter<'a>(pub(crate) &'a mut Vec<u8>);

impl<'a> JsonWriter<'a> {
    /// Writes at the end of a buffer.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    /// `null`.
    pub fn null(self) {
        self.0.extend_from_slice(b"null");
    }

    /// `true` or `false`.
    pub fn boolean(self, value: bool) {
        self.0
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A whole number, all digits.
    pub fn integer(self, value: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        self.0.extend_from_slice(digits.format(value).as_bytes());
    }

    /// A double in the shortest form that reads back as the same number, laid out as the reference
    /// service writes it (`2.0`, `1e+16`, `1.5e-07`). JSON knows no NaN and no infinity: these become
    /// `null`, and the answer is `false`.
    pub fn double(self, value: f64) -> bool {
        if !value.is_finite() {
            self.null();
            return false;
        }
        let mut text = String::with_capacity(24);
        write_double(&mut text, value);
        self.0.extend_from_slice(text.as_bytes());
        true
    }

    /// A text.
    pub fn text(self, value: &str) {
        if needs_escapes(value.as_bytes()) {
            // Writing into a vector cannot fail, nor can the encoding of a text.
            let _ = serde_json::to_writer(&mut *self.0, value);
        } else {
            self.0.reserve(value.len() + 2);
            self.0.push(b'"');
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        }
    }

    /// A text of bytes that should be UTF-8; invalid ones are left out, as the reference service does.
    pub fn text_of_bytes(self, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => self.text(text),
            Err(_) => {
                let valid: String = value.utf8_chunks().map(|chunk| chunk.valid()).collect();
                self.text(&valid);
            }
        }
    }

    /// The text form of something, as a JSON text.
    pub fn display(self, value: impl std::fmt::Display) {
        let mut text = String::new();
        // Writing into a string fails only if the value's own `Display` does; then what it wrote stands.
        let _ = write!(text, "{value}");
        self.text(&text);
    }

    /// Any value that can be serialised; one that cannot becomes `null`.
    pub fn value<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        let start = self.0.len();
        serde_json::to_writer(&mut *self.0, value).map_err(|error| {
            self.0.truncate(start);
            self.0.extend_from_slice(b"null");
            Error::internal("a value cannot be written as JSON").caused_by(error)
        })
    }

    /// An array; `write` gets a writer for its elements.
    pub fn array(self, write: impl FnOnce(&mut JsonArray<'_>)) {
        self.0.push(b'[');
        let mut array = JsonArray {
            out: self.0,
            is_first: true,
        };
        write(&mut array);
        self.0.push(b']');
    }
}

/// The elements of an array.
#[derive(Debug)]
pub struct JsonArray<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl JsonArray<'_> {
    /// The next element: `write` writes its value. An element for which nothing is written is `null`.
    pub fn element(&mut self, write: impl FnOnce(JsonWriter<'_>)) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        write_value(self.out, write);
    }
}

/// Whether a text cannot stand in JSON as it is. In blocks without an early exit, which a processor
/// looks at many bytes at a time.
fn needs_escapes(text: &[u8]) -> bool {
    text.chunks(64).any(|block| {
        block.iter().fold(false, |found, byte| {
            found | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\')
        })
    })
}

/// Writes one value, and `null` if `write` wrote nothing.
pub(crate) fn write_value(out: &mut Vec<u8>, write: impl FnOnce(JsonWriter<'_>)) {
    let start = out.len();
    write(JsonWriter(out));
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
}

/// The shortest decimal form of a finite double that reads back the same, in the layout of the
/// reference service: an exponent (two digits at least, with its sign) below 1e-4 and from 1e16 on.
pub fn write_double(out: &mut String, value: f64) {
    // `{:e}` gives the shortest digits: `-1.2345e-7`.
    let mut scientific = String::with_capacity(24);
    let _ = write!(scientific, "{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
        return;
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits: String = digits.chars().filter(|digit| *digit != '.').collect();
    out.push_str(sign);
    let point = exponent + 1;
    match usize::try_from(point) {
        Err(_) | Ok(0) => {
            out.push_str("0.");
            (0..-point).for_each(|_| out.push('0'));
            out.push_str(&digits);
        }
        Ok(point) if point >= digits.len() => {
            out.push_str(&digits);
            (digits.len()..point).for_each(|_| out.push('0'));
            out.push_str(".0");
        }
        Ok(point) => {
            out.push_str(&digits[..point]);
            out.push('.');
            out.push_str(&digits[point..]);
        }
    }
}

/// The members of a JSON object, in order, values untouched; a name that stands twice comes twice.
/// Anything else is a `BadResponse`.
pub fn members(object: &RawValue) -> Result<Vec<(String, &RawValue)>> {
    let Members(members) = serde_json::from_str(object.get()).map_err(|error| {
        Error::new(ErrorKind::BadResponse, "expected a JSON object").caused_by(error)
    })?;
    Ok(members)
}

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
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(value: f64) -> String {
        let mut text = String::new();
        write_double(&mut text, value);
        text
    }

    #[test]
    fn doubles_look_as_in_the_reference() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (2.0, "2.0"),
            (12.3, "12.3"),
            (f64::from(1.1_f32), "1.100000023841858"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (123_456_789_012_345_680_000.0, "1.2345678901234568e+20"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (-1.5e-300, "-1.5e-300"),
            (1.234_567_890_123_456_8e29, "1.2345678901234568e+29"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(double(value), expected);
        }
    }

    #[test]
    fn a_value_that_is_not_written_is_null() {
        let mut out = Vec::new();
        JsonWriter(&mut out).array(|array| {
            array.element(|_| {});
            array.element(|value| value.text("a\"b\u{1}"));
            array.element(|value| {
                value.double(f64::NAN);
            });
        });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"[null,"a\"b\u0001",null]"#
        );
    }

    proptest! {
        #[test]
        fn doubles_read_back(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            let text = double(value);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }

        #[test]
        fn texts_read_back(text in any::<String>()) {
            let mut out = Vec::new();
            JsonWriter(&mut out).text(&text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn bytes_become_valid_text(bytes in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            JsonWriter(&mut out).text_of_bytes(&bytes);
            prop_assert!(serde_json::from_slice::<String>(&out).is_ok());
        }
    }
}
