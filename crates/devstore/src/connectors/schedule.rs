//! Whether a text is a Quartz cron expression as Elasticsearch accepts them.

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Six or seven fields: seconds, minutes, hours, day of month, month, day of week, and perhaps the year. Exactly one
/// of the two kinds of day is `?`.
pub(crate) fn is_valid(expression: &str) -> bool {
    let expression = expression.to_uppercase();
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [
        seconds,
        minutes,
        hours,
        day_of_month,
        month,
        day_of_week,
        year @ ..,
    ] = fields.as_slice()
    else {
        return false;
    };
    let plain = |field: &str, low, high, names: &[&str]| {
        field.split(',').all(|part| range(part, low, high, names))
    };
    plain(seconds, 0, 59, &[])
        && plain(minutes, 0, 59, &[])
        && plain(hours, 0, 23, &[])
        && plain(month, 1, 12, &MONTHS)
        && (year.is_empty() || (year.len() == 1 && plain(year[0], 1970, 2199, &[])))
        && (*day_of_month == "?") != (*day_of_week == "?")
        && (*day_of_month == "?" || day_of_month.split(',').all(is_day_of_month))
        && (*day_of_week == "?" || day_of_week.split(',').all(is_day_of_week))
}

fn number(text: &str, low: u32, high: u32, names: &[&str]) -> Option<u32> {
    let named = names
        .iter()
        .position(|name| *name == text)
        .and_then(|at| u32::try_from(at + 1).ok());
    let digits = || {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    named
        .or_else(digits)
        .filter(|number| (low..=high).contains(number))
}

/// `*`, `a`, `a-b`, each perhaps with `/step`.
fn range(part: &str, low: u32, high: u32, names: &[&str]) -> bool {
    let (range, step) = part
        .split_once('/')
        .map_or((part, None), |(range, step)| (range, Some(step)));
    let is_range = match range.split_once('-') {
        Some((from, to)) => {
            number(from, low, high, names).is_some() && number(to, low, high, names).is_some()
        }
        None => {
            range == "*"
                || (range.is_empty() && step.is_some())
                || number(range, low, high, names).is_some()
        }
    };
    is_range && step.is_none_or(|step| number(step, 1, high.max(1), &[]).is_some())
}

fn is_day_of_month(part: &str) -> bool {
    let day = |text: &str| number(text, 1, 31, &[]).is_some();
    match part.strip_prefix('L') {
        Some("" | "W") => true,
        Some(rest) => rest
            .strip_prefix('-')
            .is_some_and(|back| day(back.strip_suffix('W').unwrap_or(back))),
        None => part.strip_suffix('W').is_some_and(day) || range(part, 1, 31, &[]),
    }
}

fn is_day_of_week(part: &str) -> bool {
    let day = |text: &str| number(text, 1, 7, &DAYS).is_some();
    match part.split_once('#') {
        Some((weekday, nth)) => day(weekday) && number(nth, 1, 5, &[]).is_some(),
        None => part == "L" || part.strip_suffix('L').is_some_and(day) || range(part, 1, 7, &DAYS),
    }
}
