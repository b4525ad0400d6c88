//! The places for receipts: each has one envelope at a time that can still be in doubt.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places, numbered from 0; the lowest free one is taken first, so that there are never more
/// receipts than envelopes that were once under way together.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    free: BTreeSet<usize>,
    made: usize,
}

/// A place that is taken. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Slot {
    number: usize,
    slots: Slots,
}

impl Slots {
    /// Takes the lowest free place.
    pub(super) fn take(&self) -> Slot {
        let mut places = self.lock();
        let number = places.free.pop_first().unwrap_or_else(|| {
            places.made += 1;
            places.made - 1
        });
        drop(places);
        let slots = self.clone();
        Slot { number, slots }
    }

    /// Held for a few instructions only, never across an await. No holder leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub(super) const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().free.insert(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_free_place_is_taken() {
        let slots = Slots::default();
        let [a, b, c] = [slots.take(), slots.take(), slots.take()];
        assert_eq!([a.number(), b.number(), c.number()], [0, 1, 2]);
        drop(b);
        drop(a);
        let [a, b, d] = [slots.take(), slots.take(), slots.take()];
        assert_eq!([a.number(), b.number(), d.number()], [0, 1, 3]);
    }
}
