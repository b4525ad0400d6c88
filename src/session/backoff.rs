//! How long to wait before trying etcd again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep_until};

use crate::random::Random;

/// The first wait, about: 20 ms.
const FIRST: Duration = Duration::from_millis(20);

/// The longest wait, about: 1 s.
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that double, with jitter, until something goes well.
#[derive(Debug)]
pub(crate) struct Backoff {
    random: Random,
    delays: Option<ExponentialBackoff>,
    until: Option<Instant>,
}

impl Backoff {
    pub(crate) const fn new(random: Random) -> Self {
        Self {
            random,
            delays: None,
            until: None,
        }
    }

    /// Something went wrong: nothing is tried until the next wait is over.
    pub(crate) fn fail(&mut self) {
        let random = &self.random;
        let delays = self.delays.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(FIRST)
                .with_max_delay(LONGEST)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(random.number())
                .build()
        });
        self.until = Some(Instant::now() + delays.next().unwrap_or(LONGEST));
    }

    /// Something went well: the next wait is a first one again.
    pub(crate) fn succeed(&mut self) {
        self.delays = None;
        self.until = None;
    }

    /// Whether a wait is on.
    pub(crate) const fn waits(&self) -> bool {
        self.until.is_some()
    }

    /// Waits until the present wait is over, if there is one. Cancel safe.
    pub(crate) async fn wait(&mut self) {
        if let Some(until) = self.until {
            sleep_until(until).await;
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next_wait(backoff: &mut Backoff) -> Duration {
        let start = Instant::now();
        backoff.fail();
        backoff.wait().await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_their_bound_and_start_over_after_success() {
        let mut backoff = Backoff::new(Random::seeded(1));
        assert!(next_wait(&mut backoff).await <= 2 * FIRST + Duration::from_millis(2));
        for _ in 0..10 {
            next_wait(&mut backoff).await;
        }
        assert!(next_wait(&mut backoff).await >= LONGEST);
        backoff.succeed();
        assert!(!backoff.waits());
        assert!(next_wait(&mut backoff).await <= 2 * FIRST + Duration::from_millis(2));
    }
}
