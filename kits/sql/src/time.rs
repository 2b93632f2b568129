//! Dates, times and intervals, and how they are written.

use std::fmt::Write as _;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A day of the Gregorian calendar, extended to all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Astronomical: the year before 1 is 0.
    pub year: i64,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

/// A time of day; may be 24:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Microseconds since midnight.
    pub micros: i64,
}

/// A date and a time, and what it is apart from UTC if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// The day.
    pub date: Date,
    /// The time of day.
    pub time: Time,
    /// Minutes east of UTC.
    pub offset: Option<i32>,
}

/// A span of time with parts that have no fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

impl Date {
    /// The first day that the reference service knows.
    pub const MIN: Self = Self {
        year: 1,
        month: 1,
        day: 1,
    };
    /// The last day that the reference service knows.
    pub const MAX: Self = Self {
        year: 9999,
        month: 12,
        day: 31,
    };

    /// The day so many days after 1970-01-01.
    pub fn from_days(days: i64) -> Self {
        // Counted in eras of 400 years that begin on 1 March, so that the leap day comes last.
        let days = days.saturating_add(719_468);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day).unwrap_or(1),
        }
    }

    /// `2023-01-02`. Years before 1 and after 9999, which the reference service cannot read, are
    /// written as ISO 8601 extends them: `-0043-03-15`, `+12345-01-01`.
    pub fn write(self, out: &mut String) {
        let sign = match self.year {
            ..0 => "-",
            0..=9999 => "",
            _ => "+",
        };
        out.push_str(sign);
        let year = self.year.unsigned_abs();
        if year > 9999 {
            // Writing into a string cannot fail.
            let _ = write!(out, "{year}");
        } else {
            two_digits(out, year / 100);
            two_digits(out, year % 100);
        }
        out.push('-');
        two_digits(out, self.month.into());
        out.push('-');
        two_digits(out, self.day.into());
    }
}

impl Time {
    /// The last microsecond of a day.
    pub const MAX: Self = Self {
        micros: MICROS_PER_DAY - 1,
    };

    /// `03:04:05`, and six more digits if there are microseconds.
    pub fn write(self, out: &mut String) {
        let micros = self.micros.unsigned_abs();
        let seconds = micros / MICROS_PER_SECOND.unsigned_abs();
        two_digits(out, seconds / 3600);
        out.push(':');
        two_digits(out, seconds / 60 % 60);
        out.push(':');
        two_digits(out, seconds % 60);
        let micros = micros % MICROS_PER_SECOND.unsigned_abs();
        if micros > 0 {
            out.push('.');
            two_digits(out, micros / 10_000);
            two_digits(out, micros / 100 % 100);
            two_digits(out, micros % 100);
        }
    }
}

impl Timestamp {
    /// The instant so many microseconds after 1970-01-01T00:00.
    pub fn from_micros(micros: i64, offset: Option<i32>) -> Self {
        Self {
            date: Date::from_days(micros.div_euclid(MICROS_PER_DAY)),
            time: Time {
                micros: micros.rem_euclid(MICROS_PER_DAY),
            },
            offset,
        }
    }

    /// `2023-01-02T03:04:05.678901+00:00`, with `separator` for the `T`.
    pub fn write(self, out: &mut String, separator: char) {
        self.date.write(out);
        out.push(separator);
        self.time.write(out);
        if let Some(offset) = self.offset {
            write_offset(out, offset);
        }
    }
}

/// `+02:00`, from minutes east of UTC.
pub(crate) fn write_offset(out: &mut String, minutes: i32) {
    out.push(if minutes < 0 { '-' } else { '+' });
    let minutes = u64::from(minutes.unsigned_abs());
    two_digits(out, minutes / 60);
    out.push(':');
    two_digits(out, minutes % 60);
}

/// At least two digits.
fn two_digits(out: &mut String, value: u64) {
    match u8::try_from(value) {
        Ok(value @ 0..=99) => {
            out.push(char::from(b'0' + value / 10));
            out.push(char::from(b'0' + value % 10));
        }
        _ => drop(write!(out, "{value}")),
    }
}

impl Interval {
    /// The form in documents: `1 year 2 mons 3 days 04:05:06.7`, as PostgreSQL writes it.
    pub fn write(self, out: &mut String) {
        if let Some(infinity) = self.infinity() {
            out.push_str(infinity);
            return;
        }
        let mut is_first = true;
        let mut after_negative = false;
        for (value, unit) in [
            (self.months / 12, "year"),
            (self.months % 12, "mon"),
            (self.days, "day"),
        ] {
            if value == 0 {
                continue;
            }
            let space = if is_first { "" } else { " " };
            let sign = if after_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            let _ = write!(out, "{space}{sign}{value} {unit}{plural}");
            is_first = false;
            after_negative = value < 0;
        }
        if !is_first && self.micros == 0 {
            return;
        }
        if !is_first {
            out.push(' ');
        }
        if self.micros < 0 {
            out.push('-');
        } else if after_negative {
            out.push('+');
        }
        let start = out.len();
        Time {
            micros: self.micros,
        }
        .write(out);
        if out[start..].contains('.') {
            out.truncate(out.trim_end_matches('0').len());
        }
    }

    /// The form in document ids: `428 days, 4:05:06.700000`; a year has 365 days, a month 30.
    pub fn write_text(self, out: &mut String) {
        if let Some(infinity) = self.infinity() {
            out.push_str(infinity);
            return;
        }
        let calendar_days = i64::from(self.months / 12) * 365 + i64::from(self.months % 12) * 30;
        let days = calendar_days + i64::from(self.days) + self.micros.div_euclid(MICROS_PER_DAY);
        let micros = self.micros.rem_euclid(MICROS_PER_DAY);
        if days != 0 {
            let plural = if days.abs() == 1 { "" } else { "s" };
            let _ = write!(out, "{days} day{plural}, ");
        }
        let seconds = micros / MICROS_PER_SECOND;
        let _ = write!(
            out,
            "{}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        let micros = micros % MICROS_PER_SECOND;
        if micros > 0 {
            let _ = write!(out, ".{micros:06}");
        }
    }

    /// PostgreSQL 17 knows intervals without end.
    fn infinity(self) -> Option<&'static str> {
        match (self.months, self.days, self.micros) {
            (i32::MAX, i32::MAX, i64::MAX) => Some("infinity"),
            (i32::MIN, i32::MIN, i64::MIN) => Some("-infinity"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timestamp(micros: i64, offset: Option<i32>) -> String {
        let mut text = String::new();
        Timestamp::from_micros(micros, offset).write(&mut text, 'T');
        text
    }

    #[test]
    fn timestamps() {
        for (micros, offset, expected) in [
            (0, None, "1970-01-01T00:00:00"),
            (-1, Some(0), "1969-12-31T23:59:59.999999+00:00"),
            (1_672_628_645_678_901, None, "2023-01-02T03:04:05.678901"),
            (951_782_400_000_000, Some(120), "2000-02-29T00:00:00+02:00"),
            (
                1_672_628_645_500_000,
                Some(-150),
                "2023-01-02T03:04:05.500000-02:30",
            ),
        ] {
            assert_eq!(timestamp(micros, offset), expected);
        }
    }

    #[test]
    fn years_outside_of_four_digits_are_extended() {
        for (days, expected) in [
            (-719_162, "0001-01-01"),
            (-719_163, "0000-12-31"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (-735_160, "-0043-03-15"),
        ] {
            let mut text = String::new();
            Date::from_days(days).write(&mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn intervals() {
        let hours = 3_600 * MICROS_PER_SECOND;
        for (months, days, micros, document, id) in [
            (
                14,
                3,
                14_706_700_000,
                "1 year 2 mons 3 days 04:05:06.7",
                "428 days, 4:05:06.700000",
            ),
            (
                -14,
                3,
                -14_706_700_000,
                "-1 years -2 mons +3 days -04:05:06.7",
                "-423 days, 19:54:53.300000",
            ),
            (
                0,
                1,
                7_384 * MICROS_PER_SECOND,
                "1 day 02:03:04",
                "1 day, 2:03:04",
            ),
            (0, -1, 2 * hours, "-1 days +02:00:00", "-1 day, 2:00:00"),
            (0, 1, -2 * hours, "1 day -02:00:00", "22:00:00"),
            (0, 0, 0, "00:00:00", "0:00:00"),
            (14, 0, 0, "1 year 2 mons", "425 days, 0:00:00"),
            (0, 0, 100 * hours, "100:00:00", "4 days, 4:00:00"),
            (i32::MAX, i32::MAX, i64::MAX, "infinity", "infinity"),
        ] {
            let interval = Interval {
                months,
                days,
                micros,
            };
            let [mut written, mut text] = [const { String::new() }; 2];
            interval.write(&mut written);
            interval.write_text(&mut text);
            assert_eq!((written.as_str(), text.as_str()), (document, id));
        }
    }

    proptest! {
        #[test]
        fn days_follow_each_other(days in -3_000_000_i64..4_000_000) {
            let (today, tomorrow) = (Date::from_days(days), Date::from_days(days + 1));
            let is_next = tomorrow.day == today.day + 1 && tomorrow.month == today.month
                || tomorrow.day == 1 && today.day >= 28;
            prop_assert!(is_next, "{today:?} {tomorrow:?}");
        }

        #[test]
        fn nothing_panics(micros: i64, months: i32, days: i32, offset: Option<i32>) {
            timestamp(micros, offset);
            let mut text = String::new();
            Date::from_days(micros).write(&mut text);
            Interval { months, days, micros }.write(&mut text);
            Interval { months, days, micros }.write_text(&mut text);
        }
    }
}
