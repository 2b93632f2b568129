//! From text to sets.

use std::fmt;

use super::{Bits, Days, FIRST_YEAR, LAST_YEAR, MonthDay, Quartz, WeekDay};
use crate::properties::shortened;

/// A field of a cron expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuartzField {
    /// 0 to 59.
    Seconds,
    /// 0 to 59.
    Minutes,
    /// 0 to 23.
    Hours,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or names.
    Month,
    /// 1 (Sunday) to 7, or names.
    DayOfWeek,
    /// 1970 to 2199.
    Year,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct QuartzError {
    /// The field that is wrong; `None` when the number of fields is.
    pub field: Option<QuartzField>,
    /// The text in the field that is wrong, cut when it is long.
    pub text: String,
    reason: String,
}

impl fmt::Display for QuartzError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(
                formatter,
                "cron expression: '{}' in the {field} field {}",
                self.text, self.reason
            ),
            None => write!(formatter, "cron expression '{}' {}", self.text, self.reason),
        }
    }
}

impl fmt::Display for QuartzField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
            Self::Year => "year",
        })
    }
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl QuartzField {
    fn first(self) -> u16 {
        match self {
            Self::Seconds | Self::Minutes | Self::Hours => 0,
            Self::DayOfMonth | Self::Month | Self::DayOfWeek => 1,
            Self::Year => FIRST_YEAR,
        }
    }

    fn last(self) -> u16 {
        match self {
            Self::Seconds | Self::Minutes => 59,
            Self::Hours => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 7,
            Self::Year => LAST_YEAR,
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    fn is_day(self) -> bool {
        matches!(self, Self::DayOfMonth | Self::DayOfWeek)
    }

    fn error(self, text: &str, reason: impl Into<String>) -> QuartzError {
        QuartzError {
            field: Some(self),
            text: shortened(text).into_owned(),
            reason: reason.into(),
        }
    }

    /// The message for a value that is none, with all that would be one.
    fn not_a_value(self, text: &str) -> QuartzError {
        let names = match self.names() {
            [first, .., last] => format!(", or {first} to {last}"),
            _ => String::new(),
        };
        self.error(
            text,
            format!("must be {} to {}{names}", self.first(), self.last()),
        )
    }

    /// A number or a name. `text` is in capitals.
    fn value(self, text: &str) -> Result<u16, QuartzError> {
        if let Some(position) = self.names().iter().position(|name| *name == text) {
            return Ok(position as u16 + 1);
        }
        number(text)
            .filter(|value| (self.first()..=self.last()).contains(value))
            .ok_or_else(|| self.not_a_value(text))
    }
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

pub(super) fn parse(text: &str) -> Result<Quartz, QuartzError> {
    let capitals = text.to_ascii_uppercase();
    let fields: Vec<&str> = capitals.split_whitespace().collect();
    let ([seconds, minutes, hours, month_days, months, week_days], year) = match fields[..] {
        [a, b, c, d, e, f] => ([a, b, c, d, e, f], "*"),
        [a, b, c, d, e, f, year] => ([a, b, c, d, e, f], year),
        _ => {
            return Err(QuartzError {
                field: None,
                text: shortened(text).into_owned(),
                reason: format!(
                    "has {} fields, but needs 6 or 7: seconds minutes hours day-of-month month \
                     day-of-week [year], for example '0 0 3 * * ?' for every day at 03:00 UTC",
                    fields.len()
                ),
            });
        }
    };
    let mut years = Bits::default();
    for year in plain_field(QuartzField::Year, year)? {
        years.insert(year - FIRST_YEAR);
    }
    Ok(Quartz {
        text: text.trim().to_owned(),
        seconds: plain_set(QuartzField::Seconds, seconds)?,
        minutes: plain_set(QuartzField::Minutes, minutes)?,
        hours: plain_set(QuartzField::Hours, hours)?,
        days: days(month_days, week_days)?,
        months: plain_set(QuartzField::Month, months)?,
        years,
    })
}

fn plain_set(field: QuartzField, text: &str) -> Result<Bits, QuartzError> {
    let mut bits = Bits::default();
    for value in plain_field(field, text)? {
        bits.insert(value);
    }
    Ok(bits)
}

/// A field without the marks of the day fields.
fn plain_field(field: QuartzField, text: &str) -> Result<Vec<u16>, QuartzError> {
    let mut values = Vec::new();
    for item in text.split(',') {
        values.extend(plain_item(field, item)?);
    }
    Ok(values)
}

/// `*`, `a`, `a-b`, each also with a step.
fn plain_item(field: QuartzField, item: &str) -> Result<Vec<u16>, QuartzError> {
    if item.contains('?') {
        let reason = if field.is_day() {
            "is wrong: '?' stands alone in its field"
        } else {
            "is wrong: '?' belongs into one of the two day fields only"
        };
        return Err(field.error(item, reason));
    }
    let (base, step) = match item.split_once('/') {
        Some((base, step)) => (base, Some(step_of(field, item, step)?)),
        None => (item, None),
    };
    let (first, last) = if base == "*" || (base.is_empty() && step.is_some()) {
        (field.first(), field.last())
    } else if let Some((first, last)) = base.split_once('-') {
        (field.value(first)?, field.value(last)?)
    } else {
        let value = field.value(base)?;
        (value, if step.is_some() { field.last() } else { value })
    };
    if first > last && field == QuartzField::Year {
        return Err(field.error(item, "ends before it begins"));
    }
    // A range that wraps goes on at the start of the field and keeps its step over the seam.
    let size = field.last() - field.first() + 1;
    let last = if first > last { last + size } else { last };
    let values = (first..=last).step_by(usize::from(step.unwrap_or(1)));
    Ok(values
        .map(|value| {
            if value > field.last() {
                value - size
            } else {
                value
            }
        })
        .collect())
}

fn step_of(field: QuartzField, item: &str, step: &str) -> Result<u16, QuartzError> {
    let largest = match field {
        QuartzField::Year => LAST_YEAR - FIRST_YEAR,
        _ => field.last(),
    };
    number(step)
        .filter(|step| (1..=largest).contains(step))
        .ok_or_else(|| field.error(item, format!("needs a step of 1 to {largest} after '/'")))
}

fn days(month_days: &str, week_days: &str) -> Result<Days, QuartzError> {
    match (month_days, week_days) {
        ("?", "?") => Err(QuartzField::DayOfWeek.error(
            "?",
            "is wrong: '?' can stand in one of the two day fields, not in both",
        )),
        ("?" | "*", "?" | "*") => Ok(Days::Every),
        (given, "?" | "*") => days_of_month(given),
        ("?" | "*", given) => days_of_week(given),
        (_, given) => {
            // What is wrong inside the fields is the better message.
            days_of_month(month_days)?;
            days_of_week(given)?;
            Err(QuartzField::DayOfWeek.error(
                given,
                "cannot be combined with a day of the month: put '?' in one of the two day fields",
            ))
        }
    }
}

fn days_of_month(text: &str) -> Result<Days, QuartzError> {
    let field = QuartzField::DayOfMonth;
    let (mut plain, mut special) = (Bits::default(), Vec::new());
    for item in text.split(',') {
        if let Some(rest) = item.strip_prefix('L') {
            let (offset, to_weekday) = match rest.strip_suffix('W') {
                Some(offset) => (offset, true),
                None => (rest, false),
            };
            let offset = match offset.strip_prefix('-') {
                None if offset.is_empty() => Some(0),
                None => None,
                Some(days) => number(days).filter(|days| *days <= 30),
            };
            let offset = offset.ok_or_else(|| {
                field.error(
                    item,
                    "is wrong: 'L' may be followed by '-1' to '-30' and by 'W' only",
                )
            })?;
            special.push(match to_weekday {
                true => MonthDay::WeekdayBeforeLast(offset),
                false => MonthDay::BeforeLast(offset),
            });
        } else if let Some(day) = item.strip_suffix('W') {
            let day = field
                .value(day)
                .map_err(|_| field.error(item, "is wrong: 'W' follows one day, 1 to 31, or 'L'"))?;
            special.push(MonthDay::WeekdayNear(day));
        } else {
            plain_item(field, item)?
                .into_iter()
                .for_each(|day| plain.insert(day));
        }
    }
    Ok(Days::OfMonth { plain, special })
}

fn days_of_week(text: &str) -> Result<Days, QuartzError> {
    let field = QuartzField::DayOfWeek;
    let (mut plain, mut special) = (Bits::default(), Vec::new());
    for item in text.split(',') {
        if item == "L" {
            plain.insert(field.last());
        } else if let Some(day) = item.strip_suffix('L') {
            let day = field.value(day).map_err(|_| {
                field.error(item, "is wrong: 'L' follows one day, as in '6L' or 'FRIL'")
            })?;
            special.push(WeekDay::Last(day));
        } else if let Some((day, nth)) = item.split_once('#') {
            let day = field.value(day)?;
            let nth = number(nth)
                .filter(|nth| (1..=5).contains(nth))
                .ok_or_else(|| field.error(item, "needs 1 to 5 after '#'"))?;
            special.push(WeekDay::Nth(day, nth));
        } else {
            plain_item(field, item)?
                .into_iter()
                .for_each(|day| plain.insert(day));
        }
    }
    Ok(Days::OfWeek { plain, special })
}
