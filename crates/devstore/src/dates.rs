//! Dates as Elasticsearch's `strict_date_optional_time||epoch_millis`.

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

/// Parses `yyyy[-MM[-dd]][THH[:mm[:ss[.fraction]]][zone]]` to milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let (clock, zone) = time.split_at(time.find(['Z', '+', '-']).unwrap_or(time.len()));
    if !matches!(date.len(), 4 | 7 | 10) || !matches!(clock.len(), 0 | 2 | 5 | 8..=18) {
        return None;
    }
    // What is left out begins at the beginning.
    let rest_of_date = "0000-01-01".get(date.len()..)?;
    let rest_of_clock = "00:00:00".get(clock.len()..).unwrap_or_default();
    let zone = match (zone.get(..3), zone.get(3..)) {
        (Some(hours), Some(minutes)) => format!("{hours}:{:0<2}", minutes.trim_start_matches(':')),
        _ => "Z".to_owned(),
    };
    let whole = format!("{date}{rest_of_date}T{clock}{rest_of_clock}{zone}");
    Some(
        DateTime::parse_from_rfc3339(&whole)
            .ok()?
            .timestamp_millis(),
    )
}
