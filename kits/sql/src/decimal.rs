//! Decimal numbers of any size.

use std::fmt::Write as _;
use tributary_sdk::json::write_double;

/// A decimal number as its driver delivers it: digits × 10^exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal<'a> {
    /// Not a number.
    NotANumber,
    /// Infinity; negative if true.
    Infinity(bool),
    /// A number.
    Finite {
        /// Whether it is below zero.
        negative: bool,
        /// ASCII digits. Leading zeros do not matter.
        digits: &'a str,
        /// The power of ten the digits are multiplied with: `-2` for `1.50`.
        exponent: i32,
    },
}

/// The digits of a double that always survive: a decimal number with no more is the shortest text
/// for its double.
const SAFE_DIGITS: usize = 15;

impl Decimal<'_> {
    /// The form in document ids: with its scale (`1.50`), with an exponent where the reference
    /// service's decimal type shows one (`1E+4`, `0E-8`).
    pub fn write_text(self, out: &mut String) {
        let (negative, digits, exponent) = match self {
            Self::NotANumber => return out.push_str("NaN"),
            Self::Infinity(negative) => {
                return out.push_str(if negative { "-Infinity" } else { "Infinity" });
            }
            Self::Finite {
                negative,
                digits,
                exponent,
            } => (negative, significant(digits), i64::from(exponent)),
        };
        if negative {
            out.push('-');
        }
        let point = exponent + length(digits);
        if exponent <= 0 && point > -6 {
            write_plain(out, digits, point);
            return;
        }
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        // Writing into a string cannot fail.
        let _ = write!(out, "E{:+}", point - 1);
    }

    /// All digits, without an exponent: `0.00000001`, `10000`. `None` if it is not finite.
    pub fn write_exact(self, out: &mut String) -> Option<()> {
        let Self::Finite {
            negative,
            digits,
            exponent,
        } = self
        else {
            return None;
        };
        if negative {
            out.push('-');
        }
        let digits = significant(digits);
        let point = i64::from(exponent) + length(digits);
        if exponent > 0 && digits == "0" {
            out.push('0');
        } else {
            write_plain(out, digits, point);
        }
        Some(())
    }

    /// The double next to it, in the reference service's layout: `12.30` is `12.3`, `42` is `42.0`.
    /// `None` if there is none: not finite, or too large.
    pub fn write_double(self, out: &mut String) -> Option<()> {
        let Self::Finite {
            negative,
            digits,
            exponent,
        } = self
        else {
            return None;
        };
        let digits = significant(digits);
        let shortest = digits.trim_end_matches('0');
        let point = i64::from(exponent) + length(digits);
        if shortest.len() <= SAFE_DIGITS && (-3..=16).contains(&point) && !shortest.is_empty() {
            if negative {
                out.push('-');
            }
            write_plain(out, shortest, point);
            if point >= length(shortest) {
                out.push_str(".0");
            }
            return Some(());
        }
        let mut text = String::with_capacity(digits.len() + 16);
        let _ = write!(
            text,
            "{}{digits}e{exponent}",
            if negative { "-" } else { "" }
        );
        let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
        write_double(out, value);
        Some(())
    }
}

fn length(digits: &str) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

/// Without leading zeros; one zero stays.
fn significant(digits: &str) -> &str {
    let stripped = digits.trim_start_matches('0');
    if stripped.is_empty() { "0" } else { stripped }
}

/// `point` digits stand before the decimal point.
fn write_plain(out: &mut String, digits: &str, point: i64) {
    match usize::try_from(point) {
        Err(_) | Ok(0) => {
            out.push_str("0.");
            (0..-point).for_each(|_| out.push('0'));
            out.push_str(digits);
        }
        Ok(point) if point >= digits.len() => {
            out.push_str(digits);
            (digits.len()..point).for_each(|_| out.push('0'));
        }
        Ok(point) => {
            out.push_str(&digits[..point]);
            out.push('.');
            out.push_str(&digits[point..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn finite(negative: bool, digits: &str, exponent: i32) -> Decimal<'_> {
        Decimal::Finite {
            negative,
            digits,
            exponent,
        }
    }

    fn forms(decimal: Decimal<'_>) -> [String; 3] {
        let [mut text, mut exact, mut double] = [const { String::new() }; 3];
        decimal.write_text(&mut text);
        decimal.write_exact(&mut exact);
        decimal.write_double(&mut double);
        [text, exact, double]
    }

    #[test]
    fn forms_are_those_of_the_reference() {
        for (negative, digits, exponent, expected) in [
            (false, "150", -2, ["1.50", "1.50", "1.5"]),
            (false, "0001230", -2, ["12.30", "12.30", "12.3"]),
            (false, "42", 0, ["42", "42", "42.0"]),
            (true, "5", -1, ["-0.5", "-0.5", "-0.5"]),
            (false, "1", 4, ["1E+4", "10000", "10000.0"]),
            (false, "1234", 4, ["1.234E+7", "12340000", "12340000.0"]),
            (
                false,
                "100",
                8,
                ["1.00E+10", "10000000000", "10000000000.0"],
            ),
            (true, "0001", 4, ["-1E+4", "-10000", "-10000.0"]),
            (false, "1000000", -2, ["10000.00", "10000.00", "10000.0"]),
            (false, "0", 0, ["0", "0", "0.0"]),
            (false, "000", -2, ["0.00", "0.00", "0.0"]),
            (false, "0", -8, ["0E-8", "0.00000000", "0.0"]),
            (false, "1", -4, ["0.0001", "0.0001", "0.0001"]),
            (false, "1", -5, ["0.00001", "0.00001", "1e-05"]),
            (false, "1", -6, ["0.000001", "0.000001", "1e-06"]),
            (false, "1", -7, ["1E-7", "0.0000001", "1e-07"]),
            (false, "1000", -8, ["0.00001000", "0.00001000", "1e-05"]),
            (
                false,
                "12300",
                -11,
                ["1.2300E-7", "0.00000012300", "1.23e-07"],
            ),
            (false, "123", -7, ["0.0000123", "0.0000123", "1.23e-05"]),
            (false, "1", 20, ["1E+20", "100000000000000000000", "1e+20"]),
            (
                false,
                "9007199254740993",
                0,
                ["9007199254740993", "9007199254740993", "9007199254740992.0"],
            ),
            (
                false,
                "12345678901234567890123456789012345",
                -5,
                [
                    "123456789012345678901234567890.12345",
                    "123456789012345678901234567890.12345",
                    "1.2345678901234568e+29",
                ],
            ),
        ] {
            assert_eq!(forms(finite(negative, digits, exponent)), expected);
        }
        assert_eq!(forms(Decimal::NotANumber), ["NaN", "", ""]);
        assert_eq!(forms(Decimal::Infinity(true)), ["-Infinity", "", ""]);
        let huge = finite(false, "1", 400);
        assert_eq!(huge.write_double(&mut String::new()), None);
    }

    proptest! {
        #[test]
        fn doubles_are_the_nearest_and_shortest(
            negative: bool,
            digits in "[0-9]{1,40}",
            exponent in -60_i32..60,
        ) {
            let mut text = String::new();
            let sign = if negative { "-" } else { "" };
            let expected: f64 = format!("{sign}{digits}e{exponent}").parse().unwrap();
            prop_assert!(finite(negative, &digits, exponent).write_double(&mut text).is_some());
            let mut reference = String::new();
            write_double(&mut reference, expected);
            prop_assert_eq!(text, reference);
        }

        #[test]
        fn exact_digits_are_json(digits in "[0-9]{1,40}", exponent in -60_i32..60) {
            let mut text = String::new();
            finite(true, &digits, exponent).write_exact(&mut text);
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "{text}");
            let parsed: f64 = text.parse().unwrap();
            prop_assert_eq!(parsed, format!("-{digits}e{exponent}").parse::<f64>().unwrap());
        }
    }
}
