//! The places for receipts: each has one envelope under way at a time.

use std::collections::BTreeSet;

/// Places, numbered from 0; the lowest free one is taken first, so that there are never more
/// receipts than envelopes that were once under way together.
#[derive(Debug, Default)]
pub(super) struct Slots {
    free: BTreeSet<usize>,
    made: usize,
}

impl Slots {
    /// Takes the lowest free place.
    pub(super) fn take(&mut self) -> usize {
        self.free.pop_first().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }

    /// Gives a place back.
    pub(super) fn give_back(&mut self, slot: usize) {
        self.free.insert(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_free_place_is_taken() {
        let mut slots = Slots::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [0, 1, 2]);
        slots.give_back(1);
        slots.give_back(0);
        assert_eq!([slots.take(), slots.take(), slots.take()], [0, 1, 3]);
    }
}
