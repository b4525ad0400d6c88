//! What the outcome of a holder's verb means for its hold.

use crate::{
    protocol::{
        abandon::Abandon,
        book::{SaveBook, SaveRefusal},
        consume::Consume,
        holding::NotHeld,
        progress::Report,
        trash::{Trash, TrashRefusal},
        verb::Verb,
    },
    store::Revision,
};

/// A verb on a hold: it can end it, or find it over.
pub(crate) trait Settle: Verb {
    /// What its outcome means for the hold.
    fn ending(outcome: &Self::Outcome) -> Ending;
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its holder settled it.
    Settled,
    /// It is over.
    Lost,
    /// It still stands.
    Stands,
}

impl Settle for Consume {
    fn ending(outcome: &Self::Outcome) -> Ending {
        ending(outcome)
    }
}

impl Settle for Abandon {
    fn ending(outcome: &Self::Outcome) -> Ending {
        ending(outcome)
    }
}

impl Settle for Report {
    fn ending(outcome: &Self::Outcome) -> Ending {
        if outcome.is_ok() {
            Ending::Stands
        } else {
            Ending::Lost
        }
    }
}

impl Settle for Trash {
    fn ending(outcome: &Self::Outcome) -> Ending {
        match outcome {
            Ok(_) => Ending::Settled,
            Err(TrashRefusal::NotHeld(_)) => Ending::Lost,
            Err(TrashRefusal::PlaceTaken) => Ending::Stands,
        }
    }
}

impl Settle for SaveBook {
    fn ending(outcome: &Self::Outcome) -> Ending {
        match outcome {
            Ok(_) | Err(SaveRefusal::NotKept) => Ending::Stands,
            Err(SaveRefusal::NotHeld(_)) => Ending::Lost,
        }
    }
}

fn ending(outcome: &Result<Revision, NotHeld>) -> Ending {
    if outcome.is_ok() {
        Ending::Settled
    } else {
        Ending::Lost
    }
}
