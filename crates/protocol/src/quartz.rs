//! Quartz cron expressions, the form in which the protocol keeps schedules. Times are UTC.
//!
//! Six fields, or seven with the year: seconds, minutes, hours, day of month, month, day of week, year.
//! Names are accepted in any case. What each field may hold:
//!
//! | field | values | besides `*` `a` `a-b` `a/n` `a-b/n` `*/n` and lists of them |
//! |---|---|---|
//! | seconds, minutes | 0–59 | ranges may wrap: `50-10` |
//! | hours | 0–23 | ranges may wrap: `22-2` |
//! | day of month | 1–31 | `?`, `L` last day, `L-3` the third before it, `15W` the weekday nearest to the 15th in the same month, `LW`, `L-3W` |
//! | month | 1–12, `JAN`–`DEC` | ranges may wrap: `NOV-FEB` |
//! | day of week | 1–7 or `SUN`–`SAT`, 1 is Sunday | `?`, `L` Saturday, `6L` or `FRIL` the last Friday of the month, `6#2` or `FRI#2` the second Friday; ranges may wrap: `SAT-MON` |
//! | year | 1970–2199 | ranges do not wrap |
//!
//! Decisions where Quartz leaves room:
//! - One day field restricts the days, the other is `?`. A bare `*` beside a restricted field, or `*`
//!   in both, is taken as `?`, since people write it so. Both restricted, or `?` in both, is refused,
//!   as Quartz does.
//! - A day that a month does not have (`31`, `31W`, `L-30`, `FRI#5`) does not fire in that month.
//! - Lists may mix plain days with `L`, `W` and `#`; Quartz refuses some of these mixtures.
//! - A step larger than its field (`0/75` in the minutes) is refused, as Quartz does.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

mod bits;
mod parse;
#[cfg(test)]
mod tests;

use bits::Bits;
pub use parse::{QuartzError, QuartzField};

/// The first year that an expression can fire in.
const FIRST_YEAR: u16 = 1970;
/// The last year that an expression can fire in.
const LAST_YEAR: u16 = 2199;

/// A parsed Quartz cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quartz {
    text: String,
    seconds: Bits,
    minutes: Bits,
    hours: Bits,
    days: Days,
    months: Bits,
    /// Counted from [`FIRST_YEAR`].
    years: Bits,
}

/// The field that restricts the days; the other one is `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    Every,
    OfMonth { plain: Bits, special: Vec<MonthDay> },
    OfWeek { plain: Bits, special: Vec<WeekDay> },
}

/// A day of the month that differs from month to month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MonthDay {
    /// So many days before the last one.
    BeforeLast(u16),
    /// The weekday nearest to the day that is so many days before the last one.
    WeekdayBeforeLast(u16),
    /// The weekday nearest to this day.
    WeekdayNear(u16),
}

/// A day of the week of which one in the month counts. Days are 1 to 7, Sunday is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WeekDay {
    Last(u16),
    Nth(u16, u16),
}

impl Quartz {
    /// Reads an expression. The error names the field and the text in it that is wrong.
    pub fn parse(text: &str) -> Result<Self, QuartzError> {
        parse::parse(text)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first fire time later than `after`, a whole second. `None` when there is none until the end
    /// of 2199.
    ///
    /// Looks at each month until then at most once, also for an expression that never fires.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let earliest = NaiveDate::from_ymd_opt(i32::from(FIRST_YEAR), 1, 1)?
            .and_hms_opt(0, 0, 0)?
            .and_utc();
        let start = after
            .checked_add_signed(chrono::Duration::seconds(1))?
            .max(earliest);
        let first_year = u16::try_from(start.year()).ok()?;

        for year in self
            .years
            .from(first_year - FIRST_YEAR)
            .map(|offset| offset + FIRST_YEAR)
        {
            let in_first_year = year == first_year;
            let first_month = if in_first_year {
                start.month() as u16
            } else {
                1
            };
            for month in self.months.from(first_month) {
                let in_first_month = in_first_year && month == start.month() as u16;
                let first_day = if in_first_month {
                    start.day() as u16
                } else {
                    1
                };
                for day in self.days.in_month(year, month)?.from(first_day) {
                    let on_first_day = in_first_month && day == start.day() as u16;
                    let earliest_time = if on_first_day {
                        (
                            start.hour() as u16,
                            start.minute() as u16,
                            start.second() as u16,
                        )
                    } else {
                        (0, 0, 0)
                    };
                    if let Some((hour, minute, second)) = self.time_from(earliest_time) {
                        let date = NaiveDate::from_ymd_opt(
                            i32::from(year),
                            u32::from(month),
                            u32::from(day),
                        )?;
                        return Some(
                            date.and_hms_opt(hour.into(), minute.into(), second.into())?
                                .and_utc(),
                        );
                    }
                }
            }
        }
        None
    }

    /// The first time of a day that is not before `(hour, minute, second)`.
    fn time_from(&self, (hour, minute, second): (u16, u16, u16)) -> Option<(u16, u16, u16)> {
        for candidate_hour in self.hours.from(hour) {
            let same_hour = candidate_hour == hour;
            for candidate_minute in self.minutes.from(if same_hour { minute } else { 0 }) {
                let same_minute = same_hour && candidate_minute == minute;
                let first_second = if same_minute { second } else { 0 };
                if let Some(candidate_second) = self.seconds.from(first_second).next() {
                    return Some((candidate_hour, candidate_minute, candidate_second));
                }
            }
        }
        None
    }
}

impl FromStr for Quartz {
    type Err = QuartzError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Quartz {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Days {
    /// The days of this month on which the expression fires.
    fn in_month(&self, year: u16, month: u16) -> Option<Bits> {
        let month = Month::new(year, month)?;
        let all = Bits::range(1, month.length);
        Some(match self {
            Self::Every => all,
            Self::OfMonth { plain, special } => {
                let mut days = *plain;
                for day in special.iter().filter_map(|day| day.in_month(month)) {
                    days.insert(day);
                }
                days.intersection(all)
            }
            Self::OfWeek { plain, special } => {
                let mut days = Bits::default();
                for day in all.from(1) {
                    let weekday = month.weekday(day);
                    if plain.contains(weekday)
                        || special.iter().any(|one| one.is_on(month, day, weekday))
                    {
                        days.insert(day);
                    }
                }
                days
            }
        })
    }
}

impl MonthDay {
    fn in_month(self, month: Month) -> Option<u16> {
        match self {
            Self::BeforeLast(offset) => month.before_last(offset),
            Self::WeekdayBeforeLast(offset) => month
                .before_last(offset)
                .map(|day| month.nearest_weekday(day)),
            Self::WeekdayNear(day) => (day <= month.length).then(|| month.nearest_weekday(day)),
        }
    }
}

impl WeekDay {
    fn is_on(self, month: Month, day: u16, weekday: u16) -> bool {
        match self {
            Self::Last(wanted) => weekday == wanted && day + 7 > month.length,
            Self::Nth(wanted, nth) => weekday == wanted && day.div_ceil(7) == nth,
        }
    }
}

/// What the calendar says about a month.
#[derive(Clone, Copy)]
struct Month {
    /// The number of its days.
    length: u16,
    /// The day of the week of its first day, counted from Sunday = 0.
    first_weekday: u16,
}

impl Month {
    fn new(year: u16, month: u16) -> Option<Self> {
        let first = NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), 1)?;
        Some(Self {
            length: u16::from(first.num_days_in_month()),
            first_weekday: first.weekday().num_days_from_sunday() as u16,
        })
    }

    /// The day of the week, Sunday is 1.
    fn weekday(self, day: u16) -> u16 {
        (self.first_weekday + day - 1) % 7 + 1
    }

    fn before_last(self, offset: u16) -> Option<u16> {
        self.length.checked_sub(offset).filter(|day| *day >= 1)
    }

    /// The nearest day from Monday to Friday, never in another month.
    fn nearest_weekday(self, day: u16) -> u16 {
        match self.weekday(day) {
            1 if day == self.length => day - 2,
            1 => day + 1,
            7 if day == 1 => 3,
            7 => day - 1,
            _ => day,
        }
    }
}
