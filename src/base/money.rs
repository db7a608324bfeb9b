//! Money as a whole number: sums of it are exact, in any order.

use std::fmt;

/// An amount in pico-dollars (1e-12 USD). List prices per token are whole numbers of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub u64);

impl Money {
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000_000_000);

    /// Both together; what is more than eighteen million dollars stays there.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// Reads dollars written as a decimal number, such as `0.0000025`, `2.5e-06` or `12`. What is finer than a pico-dollar is
    /// rounded up. `None` for what is no amount.
    pub fn of_dollars(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) || exponent.abs() > 40 || whole.len() + fraction.len() > 36 {
            return None;
        }
        let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = exponent + 12 - i32::try_from(fraction.len()).ok()?;
        let power = 10_u128.checked_pow(shift.unsigned_abs())?;
        let pico = if shift >= 0 { digits.checked_mul(power)? } else { digits.div_ceil(power) };
        u64::try_from(pico).ok().map(Self)
    }
}

/// Dollars as an exact decimal number: `0.0000025`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::DOLLAR.0, self.0 % Self::DOLLAR.0);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{fraction:012}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_as_it_is_written() {
        for (text, pico, written) in [
            ("0", 0, "0"),
            ("12", 12_000_000_000_000, "12"),
            ("0.0000025", 2_500_000, "0.0000025"),
            ("2.5e-06", 2_500_000, "0.0000025"),
            ("1E2", 100_000_000_000_000, "100"),
            ("1e-12", 1, "0.000000000001"),
            ("10.50", 10_500_000_000_000, "10.5"),
        ] {
            assert_eq!(Money::of_dollars(text), Some(Money(pico)), "{text}");
            assert_eq!(Money(pico).to_string(), written);
        }
        assert_eq!(Money::of_dollars("1.5e-12"), Some(Money(2)));
        for text in ["", "-1", "1,5", "1e", "NaN", "1e99", ".5", "99999999999999999999"] {
            assert_eq!(Money::of_dollars(text), None, "{text}");
        }
    }
}
