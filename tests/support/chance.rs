//! What is drawn by chance.

use std::time::Duration;

use jobboard::random::Random;

/// A number below this one.
pub(crate) fn below(chance: &Random, bound: u64) -> u64 {
    chance.number() % bound.max(1)
}

/// A time up to so many milliseconds.
pub(crate) fn up_to(chance: &Random, millis: u64) -> Duration {
    Duration::from_millis(below(chance, millis + 1))
}
