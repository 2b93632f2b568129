//! Dates as Elasticsearch's `strict_date_optional_time||epoch_millis`, and date mathematics from `now`.

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, SecondsFormat, Utc};
use serde_json::Value;

/// The present moment as text, in UTC.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Milliseconds since 1970 of a date as it stands in a document: text, or a number of milliseconds.
pub(crate) fn millis_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => parse(text).or_else(|| text.parse().ok()),
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|millis| millis as i64)),
        _ => None,
    }
}

/// Whether dynamic mapping takes a text for a date. Pure numbers are not dates.
pub(crate) fn looks_like_date(text: &str) -> bool {
    text.contains(['-', ':']) && parse(text).is_some()
}

/// Parses `yyyy[-MM[-dd]][THH[:mm[:ss[.fraction]]][zone]]` to milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    if parts.next().is_some() {
        return None;
    }
    let midnight =
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?.and_hms_opt(0, 0, 0)?;
    let mut millis = midnight.and_utc().timestamp_millis();
    if let Some(time) = time.filter(|time| !time.is_empty()) {
        millis += time_of_day(time)?;
    }
    Some(millis)
}

fn time_of_day(text: &str) -> Option<i64> {
    let zone_at = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let (clock, fraction) = clock
        .split_once(['.', ','])
        .map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = parts
        .next()
        .map_or(Some(0), |part| digits(part, 2))
        .filter(|minute| *minute < 60)?;
    let second = parts
        .next()
        .map_or(Some(0), |part| digits(part, 2))
        .filter(|second| *second < 60)?;
    if parts.next().is_some() {
        return None;
    }
    let mut millis = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1000;
    if let Some(fraction) = fraction {
        if fraction.is_empty()
            || fraction.len() > 9
            || !fraction.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        millis += format!("{fraction:0<3}").get(..3)?.parse::<i64>().ok()?;
    }
    if zone.is_empty() || zone == "Z" {
        return Some(millis);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let offset = zone.get(1..)?.replace(':', "");
    let hours = i64::from(digits(offset.get(..2)?, 2)?);
    let minutes = if offset.len() > 2 {
        i64::from(digits(offset.get(2..)?, 2)?)
    } else {
        0
    };
    (hours <= 18 && minutes < 60).then(|| millis - sign * (hours * 60 + minutes) * 60_000)
}

fn digits(text: &str, length: usize) -> Option<u32> {
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// `now`, `now-7d`, `now+1M-2h`: the moment in milliseconds since 1970. Rounding is not known.
pub(crate) fn mathematics(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix("now")?;
    let mut moment: DateTime<Utc> = Utc::now();
    while !rest.is_empty() {
        let back = match rest.bytes().next()? {
            b'-' => true,
            b'+' => false,
            _ => return None,
        };
        rest = rest.get(1..)?;
        let unit_at = rest.find(|character: char| !character.is_ascii_digit())?;
        let amount: u32 = rest.get(..unit_at)?.parse().ok()?;
        let unit = rest.get(unit_at..)?.chars().next()?;
        rest = rest.get(unit_at + unit.len_utf8()..)?;
        let months = match unit {
            'y' => Some(amount.checked_mul(12)?),
            'M' => Some(amount),
            _ => None,
        };
        moment = match (months, back) {
            (Some(months), true) => moment.checked_sub_months(Months::new(months))?,
            (Some(months), false) => moment.checked_add_months(Months::new(months))?,
            (None, _) => {
                let seconds = match unit {
                    'w' => 604_800,
                    'd' => 86_400,
                    'h' | 'H' => 3_600,
                    'm' => 60,
                    's' => 1,
                    _ => return None,
                };
                let seconds = i64::from(amount) * seconds;
                moment.checked_add_signed(Duration::try_seconds(if back {
                    -seconds
                } else {
                    seconds
                })?)?
            }
        };
    }
    (moment.year().abs() < 10_000).then(|| moment.timestamp_millis())
}
