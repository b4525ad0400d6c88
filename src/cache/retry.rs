//! How long to wait before trying again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::random::Random;

/// The wait before the second retry; the first is made at once. Each further one is twice as long.
const SECOND_RETRY: Duration = Duration::from_millis(50);

/// The longest wait, jitter included.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// The waits between retries, each lengthened by a random part of itself so that many clients do
/// not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    random: Random,
    delays: Option<ExponentialBackoff>,
}

impl Backoff {
    pub(super) const fn new(random: Random) -> Self {
        Self {
            random,
            delays: None,
        }
    }

    /// The wait before the next retry.
    pub(super) fn next(&mut self) -> Duration {
        let Some(delays) = &mut self.delays else {
            let delays = ExponentialBuilder::new()
                .with_min_delay(SECOND_RETRY)
                .with_max_delay(LONGEST_RETRY / 2)
                .with_factor(2.0)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(self.random.number());
            self.delays = Some(delays.build());
            return Duration::ZERO;
        };
        delays.next().unwrap_or(LONGEST_RETRY)
    }

    /// Begins anew: the next retry is made at once.
    pub(super) fn reset(&mut self) {
        self.delays = None;
    }
}

/// Between `least` and one and a half times that, so that many clients do not act at once.
pub(super) fn jittered(random: &Random, least: Duration) -> Duration {
    const STEPS: u32 = 1_000;
    let steps = u32::try_from(random.number() % u64::from(STEPS)).unwrap_or_default();
    least + least / 2 * steps / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_retry_is_at_once_and_the_others_grow_to_a_limit() {
        let mut backoff = Backoff::new(Random::seeded(1));
        assert_eq!(backoff.next(), Duration::ZERO);
        let second = backoff.next();
        assert!(
            (SECOND_RETRY..=2 * SECOND_RETRY).contains(&second),
            "{second:?}"
        );
        let later: Vec<_> = (0..20).map(|_| backoff.next()).collect();
        assert!(
            later.iter().all(|delay| *delay <= LONGEST_RETRY),
            "{later:?}"
        );
        assert!(later[19] >= LONGEST_RETRY / 2);
        backoff.reset();
        assert_eq!(backoff.next(), Duration::ZERO);
    }

    #[test]
    fn jitter_adds_up_to_a_half() {
        let random = Random::seeded(1);
        let least = Duration::from_secs(10);
        let drawn: Vec<_> = (0..200).map(|_| jittered(&random, least)).collect();
        assert!(drawn.iter().all(|one| (least..least * 3 / 2).contains(one)));
        assert!(drawn.iter().max() > drawn.iter().min());
    }

    #[test]
    fn clients_do_not_wait_alike() {
        let second = |seed| {
            let mut backoff = Backoff::new(Random::seeded(seed));
            backoff.next();
            backoff.next()
        };
        assert_eq!(second(1), second(1));
        assert_ne!(second(1), second(2));
    }
}
