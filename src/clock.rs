//! The wall clock, for what people read. It decides nothing: deadlines and trust go by
//! [`tokio::time::Instant`].

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Tells the time of day.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Counted {
        origin: DateTime<Utc>,
        start: Instant,
    },
}

impl Clock {
    /// The clock of the machine.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `origin` now and goes on with tokio's time, so that a run on paused time
    /// is the same each time.
    pub fn counted_from(origin: DateTime<Utc>) -> Self {
        Self(Source::Counted {
            origin,
            start: Instant::now(),
        })
    }

    /// The time of day.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self.0 {
            Source::System => Utc::now(),
            Source::Counted { origin, start } => {
                origin + TimeDelta::from_std(start.elapsed()).unwrap_or(TimeDelta::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counted_clock_goes_with_paused_time() {
        let clock = Clock::counted_from(DateTime::UNIX_EPOCH);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now().timestamp(), 90);
    }
}
