use chrono::{Duration, TimeZone};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    let (date, time) = text.split_once(' ').unwrap();
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").unwrap();
    date.and_time(chrono::NaiveTime::parse_from_str(time, "%H:%M:%S").unwrap())
        .and_utc()
}

/// The first fire times after `start`, as many as are given.
#[track_caller]
fn check(expression: &str, start: &str, expected: &[&str]) {
    let quartz = Quartz::parse(expression).unwrap();
    let mut time = at(start);
    for (index, wanted) in expected.iter().enumerate() {
        let next = quartz.next_after(time);
        assert_eq!(
            next,
            Some(at(wanted)),
            "{expression}, fire time {}",
            index + 1
        );
        time = at(wanted);
    }
}

#[track_caller]
fn check_never(expression: &str, start: &str) {
    assert_eq!(
        Quartz::parse(expression).unwrap().next_after(at(start)),
        None,
        "{expression}"
    );
}

#[track_caller]
fn check_error(expression: &str, field: Option<QuartzField>, text: &str) {
    let error = Quartz::parse(expression).unwrap_err();
    assert_eq!(
        (error.field, error.text.as_str()),
        (field, text),
        "{expression}: {error}"
    );
}

#[test]
fn seconds_minutes_and_hours() {
    check(
        "0 0 0 * * ?",
        "2026-11-25 07:02:41",
        &["2026-11-26 00:00:00", "2026-11-27 00:00:00"],
    );
    check(
        "0/5 * * * * ?",
        "2026-11-25 07:02:41",
        &["2026-11-25 07:02:45", "2026-11-25 07:02:50"],
    );
    check(
        "0 */30 * * * ?",
        "2026-11-25 07:02:41",
        &["2026-11-25 07:30:00", "2026-11-25 08:00:00"],
    );
    check(
        "0 /30 * * * ?",
        "2026-11-25 07:30:00",
        &["2026-11-25 08:00:00"],
    );
    check(
        "30 10,50 8-9 * * ?",
        "2026-11-25 08:10:30",
        &[
            "2026-11-25 08:50:30",
            "2026-11-25 09:10:30",
            "2026-11-25 09:50:30",
            "2026-11-26 08:10:30",
        ],
    );
    check(
        "0 0 22-2 * * ?",
        "2026-11-25 21:00:00",
        &[
            "2026-11-25 22:00:00",
            "2026-11-25 23:00:00",
            "2026-11-26 00:00:00",
            "2026-11-26 01:00:00",
            "2026-11-26 02:00:00",
            "2026-11-26 22:00:00",
        ],
    );
    // The step goes on over midnight: 22, 1, 4.
    check(
        "0 0 22-5/3 * * ?",
        "2026-11-25 21:00:00",
        &[
            "2026-11-25 22:00:00",
            "2026-11-26 01:00:00",
            "2026-11-26 04:00:00",
            "2026-11-26 22:00:00",
        ],
    );
    check(
        "59 59 23 31 12 ?",
        "2026-12-31 23:59:58",
        &["2026-12-31 23:59:59", "2027-12-31 23:59:59"],
    );
}

#[test]
fn days_of_the_month() {
    check(
        "0 0 0 31 * ?",
        "2026-01-31 00:00:00",
        &["2026-03-31 00:00:00", "2026-05-31 00:00:00"],
    );
    check(
        "0 0 0 29 2 ?",
        "2026-01-01 00:00:00",
        &["2028-02-29 00:00:00", "2032-02-29 00:00:00"],
    );
    check(
        "0 0 0 29 2 ?",
        "2096-03-01 00:00:00",
        &["2104-02-29 00:00:00"],
    );
    check(
        "0 0 0 L * ?",
        "2028-01-31 00:00:00",
        &["2028-02-29 00:00:00", "2028-03-31 00:00:00"],
    );
    check(
        "0 0 0 L-3 * ?",
        "2026-01-31 00:00:00",
        &["2026-02-25 00:00:00", "2026-03-28 00:00:00"],
    );
    check(
        "0 0 0 L-30 * ?",
        "2026-01-01 00:00:00",
        &["2026-03-01 00:00:00", "2026-05-01 00:00:00"],
    );
    // 31 January 2026 is a Saturday, 28 February too, 31 March a Tuesday, 31 May a Sunday.
    check(
        "0 0 0 LW * ?",
        "2026-01-01 00:00:00",
        &[
            "2026-01-30 00:00:00",
            "2026-02-27 00:00:00",
            "2026-03-31 00:00:00",
            "2026-04-30 00:00:00",
            "2026-05-29 00:00:00",
        ],
    );
    // 28 March 2026 is a Saturday, 27 September a Sunday.
    check(
        "0 0 0 L-3W 3,9 ?",
        "2026-01-01 00:00:00",
        &["2026-03-27 00:00:00", "2026-09-28 00:00:00"],
    );
    // 15 February 2026 and 15 March are Sundays, 15 August is a Saturday.
    check(
        "0 0 0 15W 2,8 ?",
        "2026-01-01 00:00:00",
        &["2026-02-16 00:00:00", "2026-08-14 00:00:00"],
    );
    // Never into another month: 1 August 2026 is a Saturday, 31 May a Sunday.
    check(
        "0 0 0 1W 8 ?",
        "2026-01-01 00:00:00",
        &["2026-08-03 00:00:00"],
    );
    check(
        "0 0 0 31W 5 ?",
        "2026-01-01 00:00:00",
        &["2026-05-29 00:00:00"],
    );
    // A month without the day has no weekday near to it.
    check(
        "0 0 0 31W * ?",
        "2026-01-31 00:00:00",
        &["2026-03-31 00:00:00"],
    );
    check(
        "0 0 0 28-2 * ?",
        "2026-02-27 00:00:00",
        &[
            "2026-02-28 00:00:00",
            "2026-03-01 00:00:00",
            "2026-03-02 00:00:00",
            "2026-03-28 00:00:00",
        ],
    );
    check(
        "0 0 0 1,LW * ?",
        "2026-01-01 00:00:00",
        &["2026-01-30 00:00:00", "2026-02-01 00:00:00"],
    );
}

#[test]
fn days_of_the_week() {
    // 25 November 2026 is a Wednesday.
    check(
        "0 0 0 ? * 1",
        "2026-11-25 00:00:00",
        &["2026-11-29 00:00:00"],
    );
    check(
        "0 0 0 ? * sat-Mon",
        "2026-11-25 00:00:00",
        &[
            "2026-11-28 00:00:00",
            "2026-11-29 00:00:00",
            "2026-11-30 00:00:00",
            "2026-12-05 00:00:00",
        ],
    );
    check(
        "0 0 0 ? * MON-FRI/2",
        "2026-11-25 00:00:00",
        &[
            "2026-11-27 00:00:00",
            "2026-11-30 00:00:00",
            "2026-12-02 00:00:00",
        ],
    );
    check(
        "0 0 0 ? * 6/1",
        "2026-11-25 00:00:00",
        &["2026-11-27 00:00:00", "2026-11-28 00:00:00"],
    );
    check(
        "0 0 0 ? * L",
        "2026-11-25 00:00:00",
        &["2026-11-28 00:00:00", "2026-12-05 00:00:00"],
    );
    for last_friday in ["0 0 0 ? * 6L", "0 0 0 ? * FRIL", "0 0 0 * * FRIL"] {
        check(
            last_friday,
            "2026-11-25 00:00:00",
            &["2026-11-27 00:00:00", "2026-12-25 00:00:00"],
        );
    }
    check(
        "0 0 0 ? * FRI#2",
        "2026-11-01 00:00:00",
        &["2026-11-13 00:00:00", "2026-12-11 00:00:00"],
    );
    check(
        "0 0 0 ? * 1#5",
        "2026-11-01 00:00:00",
        &["2026-11-29 00:00:00", "2027-01-31 00:00:00"],
    );
}

#[test]
fn months_and_years() {
    check(
        "0 0 0 1 NOV-feb ?",
        "2026-11-25 00:00:00",
        &[
            "2026-12-01 00:00:00",
            "2027-01-01 00:00:00",
            "2027-02-01 00:00:00",
            "2027-11-01 00:00:00",
        ],
    );
    check(
        "0 0 0 1 JUL ? 2027-2031/2",
        "2026-11-25 00:00:00",
        &[
            "2027-07-01 00:00:00",
            "2029-07-01 00:00:00",
            "2031-07-01 00:00:00",
        ],
    );
    check_never("0 0 0 1 JUL ? 2027-2031/2", "2031-07-01 00:00:00");
    check(
        "0 0 0 31 12 ? 2199",
        "2026-11-25 00:00:00",
        &["2199-12-31 00:00:00"],
    );
    check(
        "0 0 0 1 1 ? 1970",
        "1901-01-01 00:00:00",
        &["1970-01-01 00:00:00"],
    );
    check_never("0 0 0 * * ?", "2199-12-31 00:00:00");
    check_never("0 0 0 30 2 ?", "2026-11-25 00:00:00");
    // Not even the weekday nearest to a day that is not there.
    check_never("0 0 0 L-30W 4,6,9,11 ?", "2026-11-25 00:00:00");
    check_never("0 0 0 31W 2,4,6,9,11 ?", "2026-11-25 00:00:00");
    check_never("* * * * * ? 2020", "2026-11-25 00:00:00");
}

#[test]
fn star_beside_a_given_day_field_is_a_question_mark() {
    for every_day in [
        "0 0 0 * * *",
        "0 0 0 ? * *",
        "0 0 0 * * ?",
        "  0\t0 0 *  * ? * ",
    ] {
        check(
            every_day,
            "2026-11-25 00:00:00",
            &["2026-11-26 00:00:00", "2026-11-27 00:00:00"],
        );
    }
    check(
        "0 0 0 13 * *",
        "2026-11-25 00:00:00",
        &["2026-12-13 00:00:00"],
    );
    check(
        "0 0 0 * * MON",
        "2026-11-25 00:00:00",
        &["2026-11-30 00:00:00"],
    );
}

#[test]
fn a_fraction_of_a_second_is_not_a_fire_time() {
    let quartz = Quartz::parse("* * * * * ?").unwrap();
    let start = at("2026-11-25 07:02:41") + Duration::microseconds(500);
    assert_eq!(quartz.next_after(start), Some(at("2026-11-25 07:02:42")));
    assert_eq!(quartz.next_after(DateTime::<Utc>::MAX_UTC), None);
    assert_eq!(
        quartz.next_after(DateTime::<Utc>::MIN_UTC),
        Some(at("1970-01-01 00:00:00"))
    );
}

#[test]
fn errors_name_the_field_and_the_text() {
    use QuartzField::*;
    check_error("61 0 0 * * ?", Some(Seconds), "61");
    check_error("0 0,60 0 * * ?", Some(Minutes), "60");
    check_error("0 0 24 * * ?", Some(Hours), "24");
    check_error("0 0 1-25 * * ?", Some(Hours), "25");
    check_error("0 0 0 0 * ?", Some(DayOfMonth), "0");
    check_error("0 0 0 32W * ?", Some(DayOfMonth), "32W");
    check_error("0 0 0 L-31 * ?", Some(DayOfMonth), "L-31");
    check_error("0 0 0 L3 * ?", Some(DayOfMonth), "L3");
    check_error("0 0 0 1-5W * ?", Some(DayOfMonth), "1-5W");
    check_error("0 0 0 * FOO ?", Some(Month), "FOO");
    check_error("0 0 0 * 0 ?", Some(Month), "0");
    check_error("0 0 0 ? * 0", Some(DayOfWeek), "0");
    check_error("0 0 0 ? * 8L", Some(DayOfWeek), "8L");
    check_error("0 0 0 ? * FRI#6", Some(DayOfWeek), "FRI#6");
    check_error("0 0 0 ? * L-3", Some(DayOfWeek), "L");
    check_error("0 0 0 13 * FRI", Some(DayOfWeek), "FRI");
    check_error("0 0 0 ? * ?", Some(DayOfWeek), "?");
    check_error("0 0 0 * * ? 1969", Some(Year), "1969");
    check_error("0 0 0 * * ? 2200", Some(Year), "2200");
    check_error("0 0 0 * * ? 2030-2026", Some(Year), "2030-2026");
    check_error("0/0 0 0 * * ?", Some(Seconds), "0/0");
    check_error("0 0/75 0 * * ?", Some(Minutes), "0/75");
    check_error("0 0 0/ * * ?", Some(Hours), "0/");
    check_error("0 ? 0 * * ?", Some(Minutes), "?");
    check_error("0 0 0 ?,5 * *", Some(DayOfMonth), "?");
    check_error("0 1,,2 0 * * ?", Some(Minutes), "");
    check_error("0 +1 0 * * ?", Some(Minutes), "+1");
    check_error("0 99999999999 0 * * ?", Some(Minutes), "99999999999");
    check_error("0 0 * * *", None, "0 0 * * *");
    check_error("", None, "");
    assert_eq!(
        Quartz::parse("0 60 0 * * ?").unwrap_err().to_string(),
        "cron expression: '60' in the minutes field must be 0 to 59"
    );
    assert_eq!(
        Quartz::parse("0 0 0 ? * FUN").unwrap_err().to_string(),
        "cron expression: 'FUN' in the day-of-week field must be 1 to 7, or SUN to SAT"
    );
}

mod brute_force;
use brute_force::{DayItem, Item, Model};

fn item(smallest: u32, largest: u32) -> impl Strategy<Value = Item> {
    let value = smallest..=largest;
    let step = 0..=largest.min(40);
    prop_oneof![
        1 => Just(Item::All),
        3 => value.clone().prop_map(|first| Item::From(first, 0)),
        1 => (value.clone(), step.clone()).prop_map(|(first, step)| Item::From(first, step)),
        2 => (value.clone(), value, step).prop_map(|(first, last, step)| Item::Range(first, last, step)),
    ]
}

fn items(smallest: u32, largest: u32) -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(item(smallest, largest), 1..4)
}

fn day_items() -> impl Strategy<Value = Vec<DayItem>> {
    let of_month = prop_oneof![
        item(1, 31).prop_map(DayItem::MonthDay),
        (0..=30_u32).prop_map(DayItem::BeforeLast),
        (0..=30_u32).prop_map(DayItem::WeekdayBeforeLast),
        (1..=31_u32).prop_map(DayItem::WeekdayNear),
    ];
    let of_week = prop_oneof![
        item(1, 7).prop_map(DayItem::WeekDay),
        (1..=7_u32).prop_map(DayItem::LastWeekday),
        (1..=7_u32, 1..=5_u32).prop_map(|(day, nth)| DayItem::NthWeekday(day, nth)),
    ];
    prop_oneof![
        prop::collection::vec(of_month, 1..3),
        prop::collection::vec(of_week, 1..3),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let years = prop_oneof![
        3 => Just(None),
        1 => (2024..2030_u32, 0..4_u32, 1..3_u32)
            .prop_map(|(first, more, step)| Some(Item::Range(first, first + more, step))),
    ];
    (
        items(0, 59),
        items(0, 59),
        items(0, 23),
        day_items(),
        items(1, 12),
        years,
    )
        .prop_map(|(seconds, minutes, hours, days, months, years)| Model {
            seconds,
            minutes,
            hours,
            days,
            months,
            years,
        })
}

fn any_start() -> impl Strategy<Value = DateTime<Utc>> {
    // 2023 to 2030, and now and then the end of a month, of a day, of a year.
    prop_oneof![
        3 => (1_672_531_200_i64..1_893_456_000).prop_map(|second| Utc.timestamp_opt(second, 0).unwrap()),
        1 => (2023..2030_i32, 1..=12_u32).prop_map(|(year, month)| {
            let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap();
            first.and_hms_opt(0, 0, 0).unwrap().and_utc() - Duration::seconds(1)
        }),
    ]
}

/// More than a leap year: whatever fires every year is found in it.
const SCANNED_DAYS: usize = 800;

proptest! {
    #[test]
    fn agrees_with_brute_force(model in model(), start in any_start()) {
        let text = model.text();
        let quartz = Quartz::parse(&text).unwrap();
        let mut time = start;
        for _ in 0..3 {
            let expected = model.next_after(time, SCANNED_DAYS);
            let found = quartz.next_after(time);
            match expected {
                Some(expected) => {
                    prop_assert_eq!(found, Some(expected), "{} after {}", text, time);
                    time = expected;
                }
                None => {
                    let horizon = time + Duration::days(SCANNED_DAYS as i64 - 1);
                    prop_assert!(found.is_none_or(|found| found > horizon), "{} after {}", text, time);
                    break;
                }
            }
        }
    }

    /// A parser by others, which only tells whether an instant matches.
    #[test]
    fn agrees_with_another_implementation(model in model(), start in any_start()) {
        let text = model.text();
        // It refuses what we accept beyond Quartz, and `L-3W`.
        let Ok(other) = cronp::Schedule::<cronp::Quartz, 2>::parse(&text) else { return Ok(()) };
        let matches = |time: DateTime<Utc>| {
            let (month, day) = (time.month() as u8, time.day() as u8);
            let (hour, minute, second) = (time.hour() as u8, time.minute() as u8, time.second() as u8);
            let civil =
                cronp::CivilDateTime::new(time.year() as u16, month, day, hour, minute, second);
            other.matches(civil.unwrap())
        };
        let quartz = Quartz::parse(&text).unwrap();
        let second = Duration::seconds(1);
        let mut time = start;
        for _ in 0..5 {
            let fires = quartz.next_after(time - second) == Some(time);
            prop_assert_eq!(fires, matches(time), "{} at {}", text, time);
            let Some(next) = quartz.next_after(time) else { break };
            // Just before and just after a fire time are where mistakes show.
            for near in [next - second, next, next + second] {
                let fires = quartz.next_after(near - second) == Some(near);
                prop_assert_eq!(fires, matches(near), "{} at {}", text, near);
            }
            time = next;
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[0-9LW#?*,/ A-Z-]{0,40}") {
        if let Ok(quartz) = Quartz::parse(&text) {
            let _ = quartz.next_after(at("2026-11-25 00:00:00"));
        }
    }

    #[test]
    fn any_unicode_is_parsed_or_refused(text in ".{0,40}") {
        let _ = Quartz::parse(&text);
    }
}
