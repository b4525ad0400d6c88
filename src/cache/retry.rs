//! How long to wait before trying again.

use std::time::Duration;

use crate::{delays::Delays, random::Random};

/// The wait before the second retry; the first is made at once. Each further one is twice as long.
const SECOND_RETRY: Duration = Duration::from_millis(50);

/// The longest wait, jitter left out: with it a wait is at most twice as long, 5 s.
const LONGEST_BEFORE_JITTER: Duration = Duration::from_millis(2_500);

/// The first wait after the store refused the user, and the longest; up to as much more by chance.
/// Permissions change rarely, and each try is an entry in somebody's log: so who was refused for long is
/// let in late, by half a minute at most.
const DENIED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// The waits between retries: the first is made at once, then they grow.
#[derive(Debug)]
pub(super) struct Backoff {
    delays: Delays,
    retried: bool,
    denials: Delays,
}

impl Backoff {
    pub(super) fn new(random: Random) -> Self {
        let denials = Delays::new(random.clone(), DENIED.0, DENIED.1);
        let delays = Delays::new(random, SECOND_RETRY, LONGEST_BEFORE_JITTER);
        Self {
            delays,
            retried: false,
            denials,
        }
    }

    /// The wait before the next retry.
    pub(super) fn next(&mut self) -> Duration {
        if std::mem::replace(&mut self.retried, true) {
            self.delays.next()
        } else {
            Duration::ZERO
        }
    }

    /// The wait before the next retry, after the store refused the user.
    pub(super) fn next_denied(&mut self) -> Duration {
        self.denials.next()
    }

    /// The user is not refused any more.
    pub(super) fn allowed(&mut self) {
        self.denials.reset();
    }

    /// Begins anew: the next retry is made at once.
    pub(super) fn reset(&mut self) {
        self.retried = false;
        self.delays.reset();
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
            later
                .iter()
                .all(|delay| *delay <= 2 * LONGEST_BEFORE_JITTER),
            "{later:?}"
        );
        assert!(later[19] >= LONGEST_BEFORE_JITTER);
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
