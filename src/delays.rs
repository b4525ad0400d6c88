//! Delays between tries that grow, with jitter, so that many clients do not come back at once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::random::Random;

/// Delays that double from one bound to another, each lengthened by a random part of itself.
#[derive(Debug)]
pub(crate) struct Delays {
    random: Random,
    first: Duration,
    longest: Duration,
    growing: Option<ExponentialBackoff>,
}

impl Delays {
    /// Delays from `first` to `longest`, before jitter.
    pub(crate) const fn new(random: Random, first: Duration, longest: Duration) -> Self {
        Self {
            random,
            first,
            longest,
            growing: None,
        }
    }

    /// The next delay.
    pub(crate) fn next(&mut self) -> Duration {
        let growing = self.growing.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(self.first)
                .with_max_delay(self.longest)
                .with_factor(2.0)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(self.random.number())
                .build()
        });
        growing.next().unwrap_or(self.longest)
    }

    /// Begins anew with the first delay.
    pub(crate) fn reset(&mut self) {
        self.growing = None;
    }
}
