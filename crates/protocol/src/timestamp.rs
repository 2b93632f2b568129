//! Times as the records hold them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde_json::Value;

/// A time as the reference service writes it: `2026-11-25T07:02:41.123456+00:00`, in microseconds.
pub fn to_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// Reads what the mapping of the protocol's indices accepts as a date: ISO 8601 as Java, JavaScript and
/// Python write it (with any number of decimals, with or without an offset, a date alone), and
/// milliseconds since 1970 as number or text. Without an offset it is UTC.
pub fn from_value(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(millis) => DateTime::from_timestamp_millis(millis.as_i64()?),
        Value::String(text) => from_text(text.trim()),
        _ => None,
    }
}

fn from_text(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z") {
        return Some(time.to_utc());
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
        return Some(time.and_utc());
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::from_timestamp_millis(text.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn written_in_microseconds_with_an_offset() {
        let time = DateTime::from_timestamp(1_795_590_161, 123_456_789).unwrap();
        assert_eq!(to_text(time), "2026-11-25T07:02:41.123456+00:00");
        let full_second = DateTime::from_timestamp(1_795_590_161, 0).unwrap();
        assert_eq!(to_text(full_second), "2026-11-25T07:02:41.000000+00:00");
    }

    #[test]
    fn every_writer_is_understood() {
        let expected = DateTime::from_timestamp(1_795_590_161, 120_000_000);
        for value in [
            json!("2026-11-25T07:02:41.120000+00:00"),
            json!("2026-11-25T07:02:41.12Z"),
            json!("2026-11-25T07:02:41.120000000Z"),
            json!("2026-11-25T08:02:41.120+0100"),
            json!("2026-11-25T08:02:41.120+01"),
            json!("2026-11-25T07:02:41.120"),
            json!(1_795_590_161_120_i64),
            json!("1795590161120"),
        ] {
            assert_eq!(from_value(&value), expected, "{value}");
        }
        assert_eq!(
            from_value(&json!("2026-11-25")).map(to_text).as_deref(),
            Some("2026-11-25T00:00:00.000000+00:00")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for value in [
            json!("yesterday"),
            json!(""),
            json!(1e300),
            json!(i64::MAX),
            json!([]),
            json!(true),
        ] {
            assert_eq!(from_value(&value), None, "{value}");
        }
    }
}
