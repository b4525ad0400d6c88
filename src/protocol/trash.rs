//! Trashing a held job: it is broken, and kept aside for review.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    holding::{Hold, NotHeld},
    keys::Keyspace,
    posting::Posting,
    record::Unreadable,
    trashed::TrashNote,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Compare, Key, KeyRange, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Moves a held job into the trash.
#[derive(Clone, Debug)]
pub(crate) struct Trash {
    hold: Hold,
    operation: Uuid,
    held: Compare,
    read_owner: Op,
    owner: Key,
    place: Key,
    record: Bytes,
    all: KeyRange,
    unique: Option<Key>,
}

/// Why a job was not trashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrashRefusal {
    /// The hold is over.
    NotHeld(NotHeld),
    /// There is something in that place of the trash already; the next place will do.
    PlaceTaken,
}

impl Trash {
    /// Moves the job into the `copy`-th place of its number.
    ///
    /// # Errors
    /// If `posting` can not be rewritten, which what was read as a posting always can.
    pub(crate) fn new(
        keys: &Keyspace,
        hold: Hold,
        copy: u64,
        posting: &Posting,
        note: &TrashNote<'_>,
    ) -> Result<Self, Unreadable> {
        Ok(Self {
            hold,
            operation: note.operation,
            held: hold.is_held(keys),
            read_owner: hold.read_owner(keys),
            owner: hold.owner(keys),
            place: keys.trash(hold.job, copy),
            record: note.annotate(posting)?,
            all: keys.all_of_job(hold.job),
            unique: posting.unique_key(keys),
        })
    }
}

impl Verb for Trash {
    /// The revision at which the job was moved.
    type Outcome = Result<Revision, TrashRefusal>;

    fn doing(&self) -> String {
        format!("trash job {}", self.hold.job)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([self.held.clone(), Compare::absent(self.place.clone())])
            .then([
                Op::put(self.place.clone(), self.record.clone()),
                Op::delete(self.all.clone()),
            ])
            .then(self.unique.clone().map(Op::delete))
            .otherwise([self.read_owner.clone()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        Ok(Err(match self.hold.check(response)? {
            Ok(()) => TrashRefusal::PlaceTaken,
            Err(not_held) => TrashRefusal::NotHeld(not_held),
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![
            RangeRequest::new(self.place.clone()),
            RangeRequest::new(self.owner.clone()).keys_only(),
        ]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let ours = evidence
            .key(0)?
            .filter(|place| TrashNote::names(&place.value, self.operation));
        Ok(match ours {
            Some(place) => Settled::Known(Ok(place.create_revision)),
            None if evidence.create_revision(1)? == self.hold.token => Settled::DidNotHappen,
            None => Settled::Known(Err(TrashRefusal::NotHeld(NotHeld::default()))),
        })
    }
}

#[cfg(test)]
mod tests;
