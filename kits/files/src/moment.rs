//! Moments as a file system keeps them, in the two forms that documents show.

use chrono::{DateTime, Datelike, Timelike, Utc};
use std::fmt::Write as _;

/// Seconds since 1970 (before: negative) and the nanoseconds that follow them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Moment {
    /// Seconds as a double, computed as the reference service computes them.
    pub fn as_double(self) -> f64 {
        self.seconds as f64 + 1e-9 * f64::from(self.nanoseconds)
    }

    /// ISO 8601 in UTC, such as `2026-11-21T23:55:27.832924+00:00`; without a fraction if there are
    /// no microseconds. Rounds as the reference service does, which goes by way of the double.
    /// `None` outside of the years 1 to 9999, which have no such text.
    pub fn as_text(self) -> Option<String> {
        let double = self.as_double();
        let mut seconds = double.trunc();
        let mut micros = (double.fract() * 1e6).round_ties_even();
        if micros >= 1e6 {
            micros -= 1e6;
            seconds += 1.0;
        } else if micros < 0.0 {
            micros += 1e6;
            seconds -= 1.0;
        }
        // Out of range, the cast stops at the ends of i64, and there is no such moment.
        let moment = DateTime::<Utc>::from_timestamp(seconds as i64, micros as u32 * 1000)?;
        if !(1..=9999).contains(&moment.year()) {
            return None;
        }
        // Called for every file, so not by a format that is read each time.
        let mut text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            moment.year(),
            moment.month(),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second()
        );
        if micros > 0.0 {
            // Writing into a string cannot fail.
            let _ = write!(text, ".{:06}", micros as u32);
        }
        text.push_str("+00:00");
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(seconds: i64, nanoseconds: u32) -> Option<String> {
        Moment {
            seconds,
            nanoseconds,
        }
        .as_text()
    }

    #[test]
    fn has_no_text_where_iso_has_none() {
        assert_eq!(
            text(253_402_300_799, 0).unwrap(),
            "9999-12-31T23:59:59+00:00"
        );
        assert_eq!(text(253_402_300_800, 0), None);
        assert_eq!(
            text(-62_135_596_800, 0).unwrap(),
            "0001-01-01T00:00:00+00:00"
        );
        assert_eq!(text(-62_135_596_801, 0), None);
        assert_eq!(text(i64::MAX, 999_999_999), None);
        assert_eq!(text(i64::MIN, 0), None);
    }

    proptest! {
        #[test]
        fn text_and_double_say_the_same(seconds in -62_135_596_800_i64..253_402_300_799, nanoseconds in 0_u32..1_000_000_000) {
            let moment = Moment { seconds, nanoseconds };
            let text = moment.as_text().unwrap();
            let read = DateTime::parse_from_rfc3339(&text).unwrap();
            let micros = read.timestamp_micros() as f64 / 1e6;
            // A double of this size has steps of up to 31 microseconds.
            prop_assert!((micros - moment.as_double()).abs() < 4e-5);
        }
    }
}
