//! Trashing a held job: it is broken, and kept aside for review.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    holding::{Hold, NotHeld},
    keys::Keyspace,
    posting::Posting,
    record::{self, Unreadable},
    time::Timestamp,
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
}

/// How a job came to be in the trash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrashNote<'a> {
    pub(crate) on: DateTime<Utc>,
    pub(crate) by: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) attempts: u32,
    /// Names this trashing: the claim's id, or one of its own where there is no claim of ours.
    pub(crate) operation: Uuid,
}

/// Why a job was not trashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrashRefusal {
    /// The hold is over.
    NotHeld(NotHeld),
    /// There is something in that place of the trash already; the next place will do.
    PlaceTaken,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    trashed_on: Timestamp,
    trashed_by: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<std::borrow::Cow<'a, str>>,
    attempts: u32,
    claim: Uuid,
}

impl Trash {
    /// Moves the job into the `copy`-th place of its number.
    ///
    /// # Errors
    /// If `posting` can not be rewritten, which what was read as a posting always can.
    pub(crate) fn new(
        keys: &Keyspace,
        hold: Hold,
        copy: u32,
        posting: &Posting,
        note: &TrashNote<'_>,
    ) -> Result<Self, Unreadable> {
        let wire = Wire {
            trashed_on: note.on.into(),
            trashed_by: note.by.into(),
            reason: note.reason.map(Into::into),
            attempts: note.attempts,
            claim: note.operation,
        };
        Ok(Self {
            hold,
            operation: note.operation,
            held: hold.is_held(keys),
            read_owner: hold.read_owner(keys),
            owner: hold.owner(keys),
            place: keys.trash(hold.job, copy),
            record: record::annotate(posting.record(), &wire)?,
            all: keys.all_of_job(hold.job),
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
        #[derive(Deserialize)]
        struct Trashed<'a> {
            #[serde(borrow)]
            jobboard: Wire<'a>,
        }
        let ours = evidence.key(0)?.filter(|place| {
            let trashed = record::read::<Trashed<'_>>(&place.value);
            trashed.is_ok_and(|trashed| trashed.jobboard.claim == self.operation)
        });
        Ok(match ours {
            Some(place) => Settled::Known(Ok(place.create_revision)),
            None if evidence.create_revision(1)? == self.hold.token => Settled::DidNotHappen,
            None => Settled::Known(Err(TrashRefusal::NotHeld(NotHeld::default()))),
        })
    }
}

#[cfg(test)]
mod tests;
