//! The one generator of randomness, handed in from outside, so that a seed replays a run.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
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
    fn same_seed_gives_the_same_run() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        assert_eq!((one.uuid(), one.number()), (two.uuid(), two.number()));
        assert_ne!(one.uuid(), Random::seeded(8).uuid());
    }
}
