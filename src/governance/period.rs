//! How long a limit counts before it begins anew.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::time::{date_of_days, days_of_date};

const DAY_MS: u64 = 86_400_000;

/// A period: `30s`, `5m`, `1h`, `1d`, `1w`, `1M`, `1Y`.
///
/// Periods follow upon one another from the first request on; a month has 30 days then and a year 365. Those that are aligned to
/// the calendar begin with the day, the week (on Monday), the month or the year, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    count: u64,
    unit: Unit,
    aligned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Unit {
    #[serde(rename = "s")]
    Second,
    #[serde(rename = "m")]
    Minute,
    #[serde(rename = "h")]
    Hour,
    #[serde(rename = "d")]
    Day,
    #[serde(rename = "w")]
    Week,
    #[serde(rename = "M")]
    Month,
    #[serde(rename = "Y")]
    Year,
}

impl Period {
    /// Reads `1M`. `None` for what is no period, and for one of more than a hundred years.
    pub fn parse(text: &str, aligned: bool) -> Option<Self> {
        let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = match unit {
            "s" => Unit::Second,
            "m" => Unit::Minute,
            "h" => Unit::Hour,
            "d" => Unit::Day,
            "w" => Unit::Week,
            "M" => Unit::Month,
            "Y" => Unit::Year,
            _ => return None,
        };
        let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|count| is_number && *count > 0)?;
        let period = Self { count, unit, aligned };
        (period.length_ms()? <= 100 * 365 * DAY_MS).then_some(period)
    }

    /// Whether it can be aligned to the calendar: days and longer.
    pub fn can_be_aligned(self) -> bool {
        matches!(self.unit, Unit::Day | Unit::Week | Unit::Month | Unit::Year)
    }

    fn length_ms(self) -> Option<u64> {
        let unit = match self.unit {
            Unit::Second => 1000,
            Unit::Minute => 60_000,
            Unit::Hour => 3_600_000,
            Unit::Day => DAY_MS,
            Unit::Week => 7 * DAY_MS,
            Unit::Month => 30 * DAY_MS,
            Unit::Year => 365 * DAY_MS,
        };
        self.count.checked_mul(unit)
    }

    /// Begin and end of the period that holds `now`, in milliseconds since 1970, where one of them began at `anchor`.
    pub fn around(self, now: u64, anchor: u64) -> (u64, u64) {
        if self.aligned && self.can_be_aligned() {
            return self.aligned_around(now);
        }
        let length = self.length_ms().unwrap_or(u64::MAX).max(1);
        // A clock that goes back must not begin a period anew.
        let begin = anchor + now.saturating_sub(anchor) / length * length;
        (begin, begin.saturating_add(length))
    }

    fn aligned_around(self, now: u64) -> (u64, u64) {
        let day = now / DAY_MS;
        let (year, month, _) = date_of_days(day);
        let first_of = |months: u64| {
            let (year, month) = (months / 12, months % 12 + 1);
            let days = days_of_date(i64::try_from(year).unwrap_or(i64::MAX / 1000), i64::try_from(month).unwrap_or(1), 1);
            u64::try_from(days).unwrap_or_default() * DAY_MS
        };
        let by_months = |count: u64| {
            let begin = (year * 12 + month - 1) / count * count;
            (first_of(begin), first_of(begin + count))
        };
        // The first Monday was the fifth day.
        let by_days = |count: u64, first: u64| {
            let begin = (day + count - first) / count * count;
            ((begin + first).saturating_sub(count) * DAY_MS, (begin + first) * DAY_MS)
        };
        match self.unit {
            Unit::Year => by_months(12 * self.count),
            Unit::Month => by_months(self.count),
            Unit::Week => by_days(7 * self.count, 4),
            _ => by_days(self.count, 0),
        }
    }
}

/// As it was written: `1M`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
            Unit::Day => 'd',
            Unit::Week => 'w',
            Unit::Month => 'M',
            Unit::Year => 'Y',
        };
        write!(f, "{}{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{of_rfc3339, rfc3339};

    fn around(period: &str, aligned: bool, now: &str, anchor: u64) -> (String, String) {
        let (begin, end) = Period::parse(period, aligned).unwrap().around(of_rfc3339(now).unwrap(), anchor);
        (rfc3339(begin / 1000), rfc3339(end / 1000))
    }

    #[test]
    fn a_period_begins_with_the_calendar_or_with_the_first_request() {
        let now = "2026-11-28T06:54:44Z"; // a Saturday
        for (period, begin, end) in [
            ("1d", "2026-11-28", "2026-11-29"),
            ("1w", "2026-11-23", "2026-11-30"),
            ("1M", "2026-11-01", "2026-12-01"),
            ("3M", "2026-10-01", "2027-01-01"),
            ("1Y", "2026-01-01", "2027-01-01"),
        ] {
            let expected = (format!("{begin}T00:00:00Z"), format!("{end}T00:00:00Z"));
            assert_eq!(around(period, true, now, 7), expected, "{period}");
        }
        let anchor = of_rfc3339("2026-11-28T06:50:10Z").unwrap();
        assert_eq!(around("1m", true, now, anchor), ("2026-11-28T06:54:10Z".into(), "2026-11-28T06:55:10Z".into()), "minutes have no calendar");
        assert_eq!(around("1M", false, now, anchor), ("2026-11-28T06:50:10Z".into(), "2026-12-28T06:50:10Z".into()));
        assert_eq!(around("1h", false, "2026-11-28T06:00:00Z", anchor).0, "2026-11-28T06:50:10Z", "a clock that goes back");
    }

    #[test]
    fn every_moment_lies_in_its_period_and_the_next_begins_where_it_ends() {
        for text in ["1d", "2d", "1w", "2w", "1M", "5M", "1Y", "2Y", "30s", "90m"] {
            let period = Period::parse(text, true).unwrap();
            for step in 0..2000_u64 {
                let now = 1_600_000_000_000 + step * 9_876_543;
                let (begin, end) = period.around(now, 1_500_000_000_000);
                assert!(begin <= now && now < end, "{text}: {begin} {now} {end}");
                assert_eq!(period.around(end, 1_500_000_000_000).0, end, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in ["", "1", "M", "0d", "-1d", "1.5h", "1D", "999Y", "99999999999999999999s", "+1d", "1 d", "ä"] {
            assert_eq!(Period::parse(text, false), None, "{text}");
        }
        assert_eq!(Period::parse("30s", false).unwrap().to_string(), "30s");
    }
}
