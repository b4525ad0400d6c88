//! How long to wait before trying etcd again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{delays::Delays, random::Random};

/// The first wait, about: 20 ms.
const FIRST: Duration = Duration::from_millis(20);

/// The longest wait, about: 1 s.
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that double, with jitter, until something goes well.
#[derive(Debug)]
pub(crate) struct Backoff {
    delays: Delays,
    until: Option<Instant>,
}

impl Backoff {
    pub(crate) const fn new(random: Random) -> Self {
        Self {
            delays: Delays::new(random, FIRST, LONGEST),
            until: None,
        }
    }

    /// Something went wrong: nothing is tried until the next wait is over.
    pub(crate) fn fail(&mut self) {
        self.until = Some(Instant::now() + self.delays.next());
    }

    /// Something went well: the next wait is a first one again.
    pub(crate) fn succeed(&mut self) {
        self.delays.reset();
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
