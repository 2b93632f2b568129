//! Dates: those of Elasticsearch's `strict_date_optional_time||epoch_millis` that have a day.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

/// The present moment as text, in UTC.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Milliseconds since 1970 of a date in a document: text, or a number of milliseconds.
pub(crate) fn millis_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => parse(text).or_else(|| text.parse().ok()),
        value => value.as_i64().or_else(|| Some(value.as_f64()? as i64)),
    }
}

/// Parses `yyyy-MM-dd`, or that with `THH:mm:ss`, a fraction of the second and a zone, to milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let midnight = format!("{text}T00:00:00Z");
    let in_utc = format!("{text}Z");
    let forms = [text, &midnight, &in_utc];
    let mut dates = forms.iter().map(|form| DateTime::parse_from_rfc3339(form));
    let date = dates.find_map(|date| date.ok())?;
    (!text.contains([' ', '_', 't', 'z'])).then_some(date.timestamp_millis())
}
