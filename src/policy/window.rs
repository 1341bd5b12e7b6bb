//! Hours and days of a rule.

use std::fmt;

/// Names of days in a rule; the first is 1 (ISO 8601).
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A span of each day, in minutes of local time: from the first, until before the second. Where the
/// second is not the greater one, over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    from: i16,
    until: i16,
}

impl Hours {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "expected hours such as `09:00-18:00`".to_owned();
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        let from = minute(from.trim()).filter(|from| *from < 24 * 60).ok_or_else(wrong)?;
        let until = minute(until.trim()).ok_or_else(wrong)?;
        if from == until {
            return Err("the two are the same; without `hours` a rule holds all day".to_owned());
        }
        Ok(Self { from, until })
    }

    /// Is this minute of a day in it?
    pub(super) fn contains(self, minute: i16) -> bool {
        let Self { from, until } = self;
        let (begun, over) = (minute >= from, minute >= until);
        if from < until { begun && !over } else { begun || !over }
    }

    /// The condition in Cedar's language.
    pub(super) fn cedar(self) -> String {
        const NOW: &str = "context.hour * 60 + context.minute";
        let Self { from, until } = self;
        let join = if from < until { "&&" } else { "||" };
        format!("({NOW} >= {from} {join} {NOW} < {until})")
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

fn minute(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<i16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60 && (hour < 24 || (hour == 24 && minute == 0))).then_some(hour * 60 + minute)
}

/// The number of a day by its name, of which three letters are enough.
pub(super) fn day(text: &str) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let found = DAYS
        .iter()
        .zip(full)
        .position(|(short, full)| lower == *short || lower == full)
        .and_then(|at| u8::try_from(at + 1).ok());
    found.ok_or_else(|| format!("expected a day: {}", DAYS.join(", ")))
}

/// The name of a day by its number.
pub(super) fn day_name(day: u8) -> &'static str {
    DAYS.get(usize::from(day).wrapping_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_end_before_their_end_and_may_cross_midnight() {
        let now = "context.hour * 60 + context.minute";
        assert_eq!(
            Hours::parse("09:00-18:00").unwrap().cedar(),
            format!("({now} >= 540 && {now} < 1080)")
        );
        assert_eq!(
            Hours::parse("22:00-6:30").unwrap().cedar(),
            format!("({now} >= 1320 || {now} < 390)")
        );
        assert!(Hours::parse("00:00-24:00").is_ok());
    }

    #[test]
    fn a_minute_is_in_hours_that_have_begun_and_are_not_over() {
        let day = Hours::parse("09:00-18:00").unwrap();
        let night = Hours::parse("22:00-6:30").unwrap();
        for (minute, in_day, in_night) in [
            (0, false, true),
            (389, false, true),
            (390, false, false),
            (540, true, false),
            (1079, true, false),
            (1080, false, false),
            (1320, false, true),
        ] {
            assert_eq!(
                (day.contains(minute), night.contains(minute)),
                (in_day, in_night),
                "{minute}"
            );
        }
    }

    #[test]
    fn what_is_no_span_of_a_day_is_refused() {
        for text in
            ["", "9", "9-17", "09:00", "25:00-26:00", "09:60-10:00", "9:00-9:00", "+9:00-1:00"]
        {
            assert!(Hours::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_are_counted_from_monday() {
        assert_eq!(day("Mon").unwrap(), 1);
        assert_eq!(day("sunday").unwrap(), 7);
        assert!(day("someday").is_err());
    }
}
