//! How long a job waits between its tries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest that a job can be told to wait: ten years.
pub(crate) const MAX_DELAY: Duration = Duration::from_hours(10 * 365 * 24);

/// How long a job waits between its tries: a time drawn anew each time between nothing and a bound
/// that doubles with each try (full jitter), so that jobs that failed together do not come back
/// together.
///
/// Defaults to a bound of 1 s after the first try, and of 5 min at most.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use jobboard::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));
/// assert_eq!(backoff.bound(1), Duration::from_secs(2));
/// assert_eq!(backoff.bound(4), Duration::from_secs(16));
/// assert_eq!(backoff.bound(20), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    first_ms: u64,
    longest_ms: u64,
}

impl Backoff {
    /// A bound of `first` after the first try, that doubles up to `longest`. Both count in whole
    /// milliseconds, and up to ten years.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let whole = |duration: Duration| Duration::from_millis(millis(duration.min(MAX_DELAY)));
        Self {
            first: whole(first),
            longest: whole(longest),
        }
    }

    /// The longest wait after that many tries.
    pub fn bound(self, tries: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_mins(5))
    }
}

impl From<Wire> for Backoff {
    fn from(wire: Wire) -> Self {
        let [first, longest] = [wire.first_ms, wire.longest_ms].map(Duration::from_millis);
        Self::new(first, longest)
    }
}

impl From<Backoff> for Wire {
    fn from(backoff: Backoff) -> Self {
        Self {
            first_ms: millis(backoff.first),
            longest_ms: millis(backoff.longest),
        }
    }
}

/// A duration as records carry it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_doubles_from_the_first_try_on_up_to_the_longest() {
        let backoff = Backoff::default();
        let bounds = [0, 1, 2, 3, 9, 10, u32::MAX].map(|tries| backoff.bound(tries).as_secs());
        assert_eq!(bounds, [1, 1, 2, 4, 256, 300, 300]);
        let steady = Backoff::new(Duration::from_secs(9), Duration::from_secs(3));
        assert_eq!(steady.bound(1), Duration::from_secs(3));
    }

    #[test]
    fn backoff_is_written_in_milliseconds() {
        let text = r#"{"first_ms":1000,"longest_ms":300000}"#;
        assert_eq!(serde_json::to_string(&Backoff::default()).unwrap(), text);
        let read: Backoff = serde_json::from_str(text).unwrap();
        assert_eq!(read, Backoff::default());
        let endless = r#"{"first_ms":18446744073709551615,"longest_ms":18446744073709551615}"#;
        let read: Backoff = serde_json::from_str(endless).unwrap();
        assert_eq!(read.bound(u32::MAX), MAX_DELAY);
    }
}
