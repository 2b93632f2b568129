//! An evaluator that shares nothing with the one under test: it walks day by day and second by second
//! and asks of each what the words of the expression say.

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Item {
    All,
    From(u32, u32),
    Range(u32, u32, u32),
}

#[derive(Clone, Debug)]
pub(super) enum DayItem {
    MonthDay(Item),
    BeforeLast(u32),
    WeekdayBeforeLast(u32),
    WeekdayNear(u32),
    WeekDay(Item),
    LastWeekday(u32),
    NthWeekday(u32, u32),
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) seconds: Vec<Item>,
    pub(super) minutes: Vec<Item>,
    pub(super) hours: Vec<Item>,
    pub(super) days: Vec<DayItem>,
    pub(super) months: Vec<Item>,
    pub(super) years: Option<Item>,
}

impl Item {
    fn text(&self) -> String {
        match self {
            Self::All => "*".into(),
            Self::From(first, 0) => first.to_string(),
            Self::From(first, step) => format!("{first}/{step}"),
            Self::Range(first, last, 0) => format!("{first}-{last}"),
            Self::Range(first, last, step) => format!("{first}-{last}/{step}"),
        }
    }

    /// Counts on from the first value, around the end of the field, until the last one.
    fn holds(&self, value: u32, smallest: u32, largest: u32) -> bool {
        let (first, last, step) = match *self {
            Self::All => return true,
            Self::From(first, 0) => return value == first,
            Self::From(first, step) => (first, largest, step),
            Self::Range(first, last, step) => (first, last, step.max(1)),
        };
        let (mut at, mut count) = (first, 0);
        loop {
            if at == value && count % step == 0 {
                return true;
            }
            if at == last {
                return false;
            }
            at = if at == largest { smallest } else { at + 1 };
            count += 1;
        }
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(",")
}

fn any_holds(items: &[Item], value: u32, smallest: u32, largest: u32) -> bool {
    items
        .iter()
        .any(|item| item.holds(value, smallest, largest))
}

fn days_of_month(date: NaiveDate) -> Vec<NaiveDate> {
    let first = date.with_day(1).unwrap();
    first
        .iter_days()
        .take_while(|day| day.month() == date.month())
        .collect()
}

fn sunday_is_one(date: NaiveDate) -> u32 {
    date.weekday().num_days_from_sunday() + 1
}

fn is_weekday_nearest_to(date: NaiveDate, wanted: i64) -> bool {
    let working = days_of_month(date)
        .into_iter()
        .filter(|d| (2..=6).contains(&sunday_is_one(*d)));
    let distance = |day: &NaiveDate| (i64::from(day.day()) - wanted).abs();
    working.min_by_key(distance) == Some(date)
}

impl DayItem {
    fn text(&self) -> String {
        match self {
            Self::MonthDay(item) | Self::WeekDay(item) => item.text(),
            Self::BeforeLast(0) => "L".into(),
            Self::BeforeLast(offset) => format!("L-{offset}"),
            Self::WeekdayBeforeLast(0) => "LW".into(),
            Self::WeekdayBeforeLast(offset) => format!("L-{offset}W"),
            Self::WeekdayNear(day) => format!("{day}W"),
            Self::LastWeekday(day) => format!("{day}L"),
            Self::NthWeekday(day, nth) => format!("{day}#{nth}"),
        }
    }

    fn holds(&self, date: NaiveDate) -> bool {
        let days = days_of_month(date);
        let length = days.len() as i64;
        let mut same_weekday = days.iter().filter(|day| day.weekday() == date.weekday());
        match *self {
            Self::MonthDay(ref item) => item.holds(date.day(), 1, 31),
            Self::BeforeLast(offset) => i64::from(date.day()) == length - i64::from(offset),
            Self::WeekdayBeforeLast(offset) => {
                let wanted = length - i64::from(offset);
                wanted >= 1 && is_weekday_nearest_to(date, wanted)
            }
            Self::WeekdayNear(day) => {
                i64::from(day) <= length && is_weekday_nearest_to(date, i64::from(day))
            }
            Self::WeekDay(ref item) => item.holds(sunday_is_one(date), 1, 7),
            Self::LastWeekday(day) => {
                sunday_is_one(date) == day && same_weekday.next_back() == Some(&date)
            }
            Self::NthWeekday(day, nth) => {
                sunday_is_one(date) == day
                    && same_weekday.collect::<Vec<_>>().get(nth as usize - 1) == Some(&&date)
            }
        }
    }

    fn is_of_week(&self) -> bool {
        matches!(
            self,
            Self::WeekDay(_) | Self::LastWeekday(_) | Self::NthWeekday(..)
        )
    }
}

impl Model {
    pub(super) fn text(&self) -> String {
        let days = list(&self.days, DayItem::text);
        let (month_days, week_days) = if self.days[0].is_of_week() {
            ("?", days.as_str())
        } else {
            (days.as_str(), "?")
        };
        let mut text = format!(
            "{} {} {} {month_days} {} {week_days}",
            list(&self.seconds, Item::text),
            list(&self.minutes, Item::text),
            list(&self.hours, Item::text),
            list(&self.months, Item::text),
        );
        if let Some(years) = &self.years {
            text += &format!(" {}", years.text());
        }
        text
    }

    fn fires_on(&self, date: NaiveDate) -> bool {
        any_holds(&self.months, date.month(), 1, 12)
            && self
                .years
                .as_ref()
                .is_none_or(|item| item.holds(date.year() as u32, 1970, 2199))
            && self.days.iter().any(|item| item.holds(date))
    }

    fn seconds_of_day(&self) -> impl Iterator<Item = u32> {
        (0..86_400).filter(|time| {
            any_holds(&self.hours, time / 3600, 0, 23)
                && any_holds(&self.minutes, time / 60 % 60, 0, 59)
                && any_holds(&self.seconds, time % 60, 0, 59)
        })
    }

    /// The first fire time after `after` on this and the following days, so many of them.
    pub(super) fn next_after(&self, after: DateTime<Utc>, days: usize) -> Option<DateTime<Utc>> {
        let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).unwrap().and_utc();
        let mut dates = after.date_naive().iter_days().take(days);
        dates.find_map(|date| {
            if !self.fires_on(date) {
                return None;
            }
            self.seconds_of_day()
                .map(|second| midnight(date) + Duration::seconds(second.into()))
                .find(|time| *time > after)
        })
    }
}
