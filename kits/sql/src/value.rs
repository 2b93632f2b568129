//! A value of a column, and the two forms in which it is written.

use crate::{
    Date, Decimal, Interval, Time, Timestamp, normalise_json,
    python::{write_bytes_literal, write_float},
    time::write_offset,
};
use serde_json::value::RawValue;
use tributary_sdk::JsonWriter;

/// A value that is not NULL. Borrows what the driver handed out.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number that has no sign.
    Unsigned(u64),
    /// A double; may be NaN or infinite.
    Float(f64),
    /// A decimal number, written as the double next to it.
    Decimal(Decimal<'a>),
    /// A decimal number, written with all its digits.
    Exact(Decimal<'a>),
    /// Text that should be UTF-8; invalid bytes are left out.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A day.
    Date(Date),
    /// A time of day, and minutes east of UTC.
    Time(Time, Option<i32>),
    /// A day and a time.
    Timestamp(Timestamp),
    /// A span of time.
    Interval(Interval),
    /// JSON text.
    Json(&'a [u8]),
}

impl Value<'_> {
    /// The JSON form (shared database sheet §F). What JSON cannot say, NaN and infinity, is `null`.
    /// `scratch` saves allocations from value to value.
    pub fn write_json(&self, out: JsonWriter<'_>, scratch: &mut String) {
        scratch.clear();
        match self {
            Self::Boolean(value) => out.boolean(*value),
            Self::Integer(value) => out.integer(*value),
            Self::Unsigned(value) => out.integer(*value),
            Self::Float(value) => write_json_double(out, *value),
            Self::Decimal(value) => match value.write_double(scratch) {
                Some(()) => raw(out, scratch),
                None => out.null(),
            },
            Self::Exact(value) => match value.write_exact(scratch) {
                Some(()) => raw(out, scratch),
                None => out.null(),
            },
            Self::Text(value) | Self::Bytes(value) => out.text_of_bytes(value),
            Self::Json(value) => match normalise_json(value, scratch) {
                Ok(()) => raw(out, scratch),
                // The database says that it is JSON and it is not: the text is better than nothing.
                Err(_) => out.text_of_bytes(value),
            },
            Self::Date(_) | Self::Time(..) | Self::Timestamp(_) | Self::Interval(_) => {
                match self {
                    Self::Timestamp(value) => value.write(scratch, 'T'),
                    Self::Interval(value) => value.write(scratch),
                    other => other.write_text(scratch),
                }
                out.text(scratch);
            }
        }
    }

    /// The form in a document id (shared database sheet §E); appended.
    pub fn write_text(&self, out: &mut String) {
        match self {
            Self::Boolean(value) => out.push_str(if *value { "True" } else { "False" }),
            Self::Integer(value) => push_integer(out, *value),
            Self::Unsigned(value) => push_integer(out, *value),
            Self::Float(value) => write_float(out, *value),
            Self::Decimal(value) | Self::Exact(value) => value.write_text(out),
            Self::Text(value) | Self::Json(value) => push_text(out, value),
            Self::Bytes(value) => write_bytes_literal(out, value),
            Self::Date(value) => value.write(out),
            Self::Time(value, offset) => {
                value.write(out);
                if let Some(offset) = offset {
                    write_offset(out, *offset);
                }
            }
            Self::Timestamp(value) => value.write(out, ' '),
            Self::Interval(value) => value.write_text(out),
        }
    }
}

fn push_integer(out: &mut String, value: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(value));
}

fn push_text(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
    }
}

fn write_json_double(out: JsonWriter<'_>, value: f64) {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&size) {
        // Here the common layout and that of the reference service are the same, and this one is
        // written without an allocation. A double in this range always has a JSON form.
        let _ = out.value(&value);
    } else {
        out.double(value);
    }
}

/// Writes JSON text of our own making.
fn raw(out: JsonWriter<'_>, text: &str) {
    match serde_json::from_str::<&RawValue>(text) {
        // Copying a text that was just checked cannot fail.
        Ok(value) => drop(out.value(value)),
        Err(_) => out.null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tributary_sdk::{Body, FieldName};

    fn forms(value: &Value<'_>) -> (String, String) {
        let mut body = Body::new();
        let name = FieldName::new("v").unwrap();
        let mut scratch = String::from("left over");
        body.put_with(&name, |out| value.write_json(out, &mut scratch));
        let json = String::from_utf8(body.into_text()).unwrap();
        let json = json
            .strip_prefix("{\"v\":")
            .unwrap()
            .strip_suffix('}')
            .unwrap();
        let mut text = String::new();
        value.write_text(&mut text);
        (json.to_owned(), text)
    }

    #[test]
    fn both_forms_are_those_of_the_reference() {
        let decimal = Decimal::Finite {
            negative: false,
            digits: "150",
            exponent: -2,
        };
        let moment = Timestamp::from_micros(1_672_628_645_000_000, Some(0));
        for (value, json, text) in [
            (Value::Boolean(true), "true", "True"),
            (Value::Integer(-1), "-1", "-1"),
            (
                Value::Unsigned(u64::MAX),
                "18446744073709551615",
                "18446744073709551615",
            ),
            (Value::Float(1.0), "1.0", "1.0"),
            (Value::Float(1e16), "1e+16", "1e+16"),
            (Value::Float(1e-5), "1e-05", "1e-05"),
            (Value::Float(f64::NAN), "null", "nan"),
            (Value::Decimal(decimal), "1.5", "1.50"),
            (Value::Exact(decimal), "1.50", "1.50"),
            (Value::Decimal(Decimal::NotANumber), "null", "NaN"),
            (Value::Text("Ünï_x".as_bytes()), "\"Ünï_x\"", "Ünï_x"),
            (Value::Text(b"a\xffb"), "\"ab\"", "ab"),
            (
                Value::Bytes(b"\x00\xffA\xc3\xa9"),
                "\"\\u0000Aé\"",
                r"b'\x00\xffA\xc3\xa9'",
            ),
            (Value::Date(Date::MAX), "\"9999-12-31\"", "9999-12-31"),
            (
                Value::Time(
                    Time {
                        micros: 3_720_000_000,
                    },
                    None,
                ),
                "\"01:02:00\"",
                "01:02:00",
            ),
            (
                Value::Time(Time::MAX, Some(120)),
                "\"23:59:59.999999+02:00\"",
                "23:59:59.999999+02:00",
            ),
            (
                Value::Timestamp(moment),
                "\"2023-01-02T03:04:05+00:00\"",
                "2023-01-02 03:04:05+00:00",
            ),
            (
                Value::Interval(Interval {
                    months: 0,
                    days: 1,
                    micros: 7_384_000_000,
                }),
                "\"1 day 02:03:04\"",
                "1 day, 2:03:04",
            ),
            (
                Value::Json(b" {\"a\" : 1.50} "),
                "{\"a\":1.5}",
                " {\"a\" : 1.50} ",
            ),
            (Value::Json(b"{not json"), "\"{not json\"", "{not json"),
        ] {
            assert_eq!(forms(&value), (json.to_owned(), text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn floats_have_one_layout(value: f64) {
            let mut reference = String::new();
            write_float(&mut reference, value);
            let (json, text) = forms(&Value::Float(value));
            prop_assert_eq!(&text, &reference);
            prop_assert_eq!(json, if value.is_finite() { reference } else { "null".into() });
        }

        #[test]
        fn json_stays_valid(bytes in any::<Vec<u8>>()) {
            for value in [Value::Text(&bytes), Value::Bytes(&bytes), Value::Json(&bytes)] {
                let (json, _) = forms(&value);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
            }
        }
    }
}
