//! What is done after a failure: whether to try again, with which key, after how long.
//!
//! Only before a byte of the answer reached the caller; that is the lanes' to keep.

/// A longer wait than this, in milliseconds, is the caller's to decide on.
pub const WAIT_MAX_MS: u64 = 30_000;

/// What a failure means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The same would happen again: a bad request.
    Final,
    /// It may pass: an overloaded server, a broken connection.
    Passing,
    /// This key has had enough for now; another may have not.
    Limited,
    /// This key is refused; another may be not.
    Refused,
    /// There is nobody to ask: the provider, or a key of it, is not configured.
    Unavailable,
}

impl Class {
    /// By the provider's status.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Refused,
            429 => Self::Limited,
            408 | 409 | 500 | 502 | 503 | 504 | 529 => Self::Passing,
            _ => Self::Final,
        }
    }

    /// Whether another provider may succeed where this one failed so.
    pub fn falls_back(self) -> bool {
        self != Self::Final
    }
}

/// The settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `MAX_RETRIES`.
    pub max_retries: u32,
    /// `RETRY_BACKOFF_INITIAL_MS`.
    pub backoff_initial_ms: u64,
    /// `RETRY_BACKOFF_MAX_MS`.
    pub backoff_max_ms: u64,
}

/// What is known when an attempt has failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// What the failure means.
    pub class: Class,
    /// How long the provider says to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether the provider says that trying again is of no use.
    pub says_no: bool,
    /// Retries so far, those at once with another key for a refused one not counted.
    pub retries: u32,
    /// Whether another key fits that has not failed in this request.
    pub has_other_key: bool,
    /// What is left of `REQUEST_TIMEOUT_MS`.
    pub left_ms: u64,
}

impl Policy {
    /// How long to wait before the next attempt, in milliseconds; `None` for no next attempt. `random` is any number.
    pub fn next(&self, failed: &Failed, random: u64) -> Option<u64> {
        let Failed { class, retry_after_ms, says_no, retries, has_other_key, left_ms } = *failed;
        let may_retry = retries < self.max_retries && !says_no;
        let wait = match class {
            Class::Final | Class::Unavailable => return None,
            // A key that is refused was never served: this is no retry.
            Class::Refused => return has_other_key.then_some(0),
            Class::Limited if has_other_key => 0,
            Class::Limited | Class::Passing => retry_after_ms.map_or_else(|| self.backoff_ms(retries, random), |wait| wait.max(1)),
        };
        (may_retry && wait <= WAIT_MAX_MS && wait < left_ms).then_some(wait)
    }

    /// Doubles with each retry, spread between the initial wait and that, and never above the longest.
    fn backoff_ms(&self, retries: u32, random: u64) -> u64 {
        let most = self.backoff_initial_ms.saturating_mul(1 << (retries + 1).min(20)).min(self.backoff_max_ms);
        let least = self.backoff_initial_ms.min(most);
        least + random % (most - least + 1)
    }
}

/// `retry-after-ms`, or `retry-after` in seconds, as milliseconds. Dates are not read: no provider sends them.
pub fn retry_after_ms(milliseconds: Option<&str>, seconds: Option<&str>) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| *number >= 0.0);
    milliseconds.and_then(number).or_else(|| Some(seconds.and_then(number)? * 1000.0)).map(|wait| wait.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { max_retries: 2, backoff_initial_ms: 500, backoff_max_ms: 5000 };
    const FAILED: Failed = Failed { class: Class::Passing, retry_after_ms: None, says_no: false, retries: 0, has_other_key: false, left_ms: 120_000 };

    #[test]
    fn a_wait_lies_between_the_two_settings_and_grows() {
        for random in 0..2000 {
            for (retries, most) in [(0, 1000), (1, 2000)] {
                let wait = POLICY.next(&Failed { retries, ..FAILED }, random).unwrap();
                assert!((500..=most).contains(&wait), "{retries}: {wait}");
            }
            let long = Policy { max_retries: 99, ..POLICY }.next(&Failed { retries: 70, ..FAILED }, random).unwrap();
            assert!((500..=5000).contains(&long));
        }
        assert_eq!(POLICY.next(&Failed { retries: 2, ..FAILED }, 7), None, "two retries are two");
        assert_eq!(Policy { max_retries: 0, ..POLICY }.next(&FAILED, 7), None);
    }

    #[test]
    fn a_provider_that_names_a_wait_is_heard_up_to_thirty_seconds() {
        assert_eq!(POLICY.next(&Failed { retry_after_ms: Some(7000), ..FAILED }, 0), Some(7000));
        assert_eq!(POLICY.next(&Failed { retry_after_ms: Some(30_001), ..FAILED }, 0), None);
        assert_eq!(POLICY.next(&Failed { retry_after_ms: Some(7000), left_ms: 7000, ..FAILED }, 0), None, "there is no time left");
        assert_eq!(POLICY.next(&Failed { says_no: true, ..FAILED }, 0), None);
        assert_eq!(retry_after_ms(Some("1500"), Some("9")), Some(1500));
        assert_eq!(retry_after_ms(None, Some("0.5")), Some(500));
        assert_eq!(retry_after_ms(None, Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
    }

    #[test]
    fn another_key_is_taken_at_once() {
        let limited = Failed { class: Class::Limited, retry_after_ms: Some(60_000), ..FAILED };
        assert_eq!(POLICY.next(&Failed { has_other_key: true, ..limited }, 9), Some(0), "the wait was for the other key");
        assert_eq!(POLICY.next(&limited, 9), None);
        let refused = Failed { class: Class::Refused, retries: 2, ..FAILED };
        assert_eq!(POLICY.next(&Failed { has_other_key: true, ..refused }, 9), Some(0));
        assert_eq!(POLICY.next(&refused, 9), None);
    }
}
