//! Dates as Elasticsearch's `strict_date_optional_time||epoch_millis`, and date mathematics from `now`.

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
        value => value
            .as_i64()
            .or_else(|| value.as_f64().map(|millis| millis as i64)),
    }
}

/// Whether dynamic mapping takes a text for a date. Pure numbers are not dates.
pub(crate) fn looks_like_date(text: &str) -> bool {
    text.contains(['-', ':']) && parse(text).is_some()
}

/// Parses `yyyy[-MM[-dd]][THH[:mm[:ss[.fraction]]][zone]]` to milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let (clock, zone) = time.split_at(time.find(['Z', '+', '-']).unwrap_or(time.len()));
    if !matches!(date.len(), 4 | 7 | 10) || !matches!(clock.len(), 0 | 2 | 5 | 8..=18) {
        return None;
    }
    // What is left out begins at the beginning.
    let date = format!("{date}{}", "0000-01-01".get(date.len()..)?);
    let clock = format!(
        "{clock}{}",
        "00:00:00".get(clock.len()..).unwrap_or_default()
    );
    let zone = match (zone.get(..3), zone.get(3..)) {
        (Some(hours), Some(minutes)) => format!("{hours}:{:0<2}", minutes.trim_start_matches(':')),
        _ => "Z".to_owned(),
    };
    let moment = DateTime::parse_from_rfc3339(&format!("{date}T{clock}{zone}")).ok()?;
    Some(moment.timestamp_millis())
}

/// `now`, `now-7d`, `now+2h-5m`: milliseconds since 1970. Weeks are the largest unit; rounding is not known.
pub(crate) fn mathematics(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix("now")?;
    let mut millis = Utc::now().timestamp_millis();
    while !rest.is_empty() {
        let unit_at = rest
            .find(char::is_alphabetic)
            .filter(|_| rest.starts_with(['+', '-']))?;
        let amount: i64 = rest.get(..unit_at)?.parse().ok()?;
        let seconds = match rest.get(unit_at..=unit_at)? {
            "w" => 604_800,
            "d" => 86_400,
            "h" | "H" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        millis = millis.checked_add(amount.checked_mul(seconds * 1000)?)?;
        rest = rest.get(unit_at + 1..)?;
    }
    Some(millis)
}
