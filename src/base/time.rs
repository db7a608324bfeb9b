//! Times as people and APIs write them.

/// The year, month and day of a day since 1970.
pub fn date_of_days(days: u64) -> (u64, u64, u64) {
    // Howard Hinnant's algorithm, http://howardhinnant.github.io/date_algorithms.html#civil_from_days
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The day since 1970 of a date; the same algorithm the other way round.
pub fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Seconds since 1970 as RFC 3339 writes times.
pub fn rfc3339(seconds: u64) -> String {
    let rest = seconds % 86_400;
    let (year, month, day) = date_of_days(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Milliseconds since 1970 of a time that RFC 3339 writes: `2026-11-25T12:00:00Z`, with fractions and offsets, or a date alone.
pub fn of_rfc3339(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let is = |at: usize, char: u8| text.as_bytes().get(at) == Some(&char);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !is(4, b'-') || !is(7, b'-') || !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let days = days_of_date(year, month, day);
    if text.len() == 10 {
        return u64::try_from(days * 86_400_000).ok();
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let separated = text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't' | b' ')) && is(13, b':') && is(16, b':');
    if !separated || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction: String = rest.strip_prefix('.').map(|rest| rest.chars().take_while(char::is_ascii_digit).collect()).unwrap_or_default();
    let zone = rest.get(if fraction.is_empty() { 0 } else { fraction.len() + 1 }..)?;
    let milliseconds: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let offset = match (zone.split_at_checked(1)?, zone) {
        (_, "Z" | "z") => 0,
        ((sign @ ("+" | "-"), offset), _) => {
            let (hours, minutes) = offset.split_once(':')?;
            let minutes = hours.parse::<i64>().ok().filter(|hours| (0..24).contains(hours))? * 60
                + minutes.parse::<i64>().ok().filter(|m| (0..60).contains(m))?;
            if sign == "+" { minutes } else { -minutes }
        }
        _ => return None,
    };
    u64::try_from((days * 86_400 + hour * 3600 + (minute - offset) * 60 + second) * 1000 + milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read() {
        for (seconds, expected) in [(0, "1970-01-01T00:00:00Z"), (951_827_696, "2000-02-29T12:34:56Z"), (1_795_219_200, "2026-11-21T00:00:00Z")] {
            assert_eq!(rfc3339(seconds), expected);
            assert_eq!(of_rfc3339(expected), Some(seconds * 1000));
        }
    }

    #[test]
    fn fractions_and_offsets_are_read_and_nonsense_is_not() {
        for (text, milliseconds) in [
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:00.5Z", 500),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1970-01-01 00:00:00.123456-00:30", 1_800_123),
        ] {
            assert_eq!(of_rfc3339(text), Some(milliseconds), "{text}");
        }
        for text in
            ["", "yesterday", "2026-13-01", "2026-11-25T25:00:00Z", "2026-11-25T12:00", "2026-11-25T12:00:00", "2026-11-25T12:00:00+2", "äöü-11-25"]
        {
            assert_eq!(of_rfc3339(text), None, "{text}");
        }
    }
}
