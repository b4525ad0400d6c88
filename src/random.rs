//! The one generator of randomness, handed in from outside, so that a seed replays a run.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{
    Rng, SeedableRng,
    rngs::{StdRng, SysRng},
};
use uuid::Uuid;

/// A generator that clones share.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// A generator seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn from_system() -> Self {
        let generator = StdRng::try_from_rng(&mut SysRng)
            .expect("the operating system gives randomness to who asks");
        Self(Arc::new(Mutex::new(generator)))
    }

    /// A generator that gives the same numbers for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        self.lock().next_u64()
    }

    /// Any duration up to `bound`.
    pub(crate) fn part_of(&self, bound: Duration) -> Duration {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.number() % bound.saturating_add(1))
    }

    /// A random (version 4) uuid.
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.lock().fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Held for a few instructions only, never across an await. A panic of another holder can not
    /// have broken the generator.
    fn lock(&self) -> std::sync::MutexGuard<'_, StdRng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_duration_is_any_up_to_all_of_it() {
        let random = Random::seeded(7);
        let parts: std::collections::BTreeSet<_> = (0..200)
            .map(|_| random.part_of(Duration::from_nanos(3)).as_nanos())
            .collect();
        assert_eq!(parts, [0, 1, 2, 3].into());
        assert_eq!(random.part_of(Duration::ZERO), Duration::ZERO);
        random.part_of(Duration::MAX);
    }

    #[test]
    fn same_seed_gives_the_same_run() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        assert_eq!((one.uuid(), one.number()), (two.uuid(), two.number()));
        assert_ne!(one.uuid(), Random::seeded(8).uuid());
    }
}
