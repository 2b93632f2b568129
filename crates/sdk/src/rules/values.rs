//! Values of documents and of rules, read as what they may be.

use std::{borrow::Cow, cmp::Ordering};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value;

/// A document's value as text: text as it is, everything else as compact JSON.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

pub(super) fn boolean_from_word(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" => Some(true),
        "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// A number without loss: neighbours above 2^53 stay different.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(whole) = text.parse() {
            return Some(Self::Whole(whole));
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Self::Float(float))
    }

    pub(super) fn from_json(number: &serde_json::Number) -> Option<Self> {
        let whole = number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from));
        match whole {
            Some(whole) => Some(Self::Whole(whole)),
            None => number
                .as_f64()
                .filter(|float| float.is_finite())
                .map(Self::Float),
        }
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Whole(a), Self::Float(b)) => compare_whole_with_float(a, b),
            (Self::Float(a), Self::Whole(b)) => compare_whole_with_float(b, a).reverse(),
            // `total_cmp` would tell -0 from 0. Neither side is ever NaN.
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        }
    }
}

fn compare_whole_with_float(whole: i128, float: f64) -> Ordering {
    // Both bounds are powers of two, so the cast inside them is exact.
    if float >= i128::MAX as f64 {
        return Ordering::Less;
    }
    if float < i128::MIN as f64 {
        return Ordering::Greater;
    }
    let truncated = float.trunc();
    let rest = float - truncated;
    whole
        .cmp(&(truncated as i128))
        .then_with(|| 0.0.partial_cmp(&rest).unwrap_or(Ordering::Equal))
}

/// An ISO date or date-time, with a `T` or a space between; without an offset it is UTC.
pub(super) fn date_from_text(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let looks_right = (10..=40).contains(&bytes.len())
        && text.is_ascii()
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-';
    if !looks_right {
        return None;
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    let mut text = Cow::Borrowed(text);
    if text.as_bytes().get(10) == Some(&b' ') {
        text.to_mut().replace_range(10..11, "T");
    }
    if let Ok(date) = DateTime::parse_from_rfc3339(&text) {
        return Some(date.to_utc());
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"] {
        if let Ok(date) = DateTime::parse_from_str(&text, format) {
            return Some(date.to_utc());
        }
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok())
        .map(|date| date.and_utc())
}
