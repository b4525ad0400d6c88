//! Trashing a job that nobody holds: it was tried too often, or somebody asked for it to be stopped.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    keys::{JobId, Keyspace},
    offer::{NotOffered, Offer},
    posting::Posting,
    record::Unreadable,
    trashed::TrashNote,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Compare, Key, KeyRange, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Moves a job that nobody holds into the trash.
#[derive(Clone, Debug)]
pub(crate) struct TrashUnclaimed {
    job: JobId,
    offer: Offer,
    operation: Uuid,
    place: Key,
    record: Bytes,
    all: KeyRange,
    unique: Option<Key>,
}

/// Why a job was not trashed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TrashUnclaimedRefusal {
    /// The job is not as it was seen.
    NotOffered(NotOffered),
    /// There is something in that place of the trash already; the next place will do.
    PlaceTaken,
}

impl TrashUnclaimed {
    /// Moves the job into the `copy`-th place of its number, if it is as it was when its state was
    /// put at `seen`.
    ///
    /// # Errors
    /// If `posting` can not be rewritten, which what was read as a posting always can.
    pub(crate) fn new(
        keys: &Keyspace,
        (job, posted, posting): (JobId, Revision, &Posting),
        seen: Revision,
        copy: u64,
        note: &TrashNote<'_>,
    ) -> Result<Self, Unreadable> {
        Ok(Self {
            job,
            offer: Offer::new(keys, job, posted, seen),
            operation: note.operation,
            place: keys.trash(job, copy),
            record: note.annotate(posting)?,
            all: keys.all_of_job(job),
            unique: posting.unique_key(keys),
        })
    }
}

impl Verb for TrashUnclaimed {
    /// The revision at which the job was moved.
    type Outcome = Result<Revision, TrashUnclaimedRefusal>;

    /// What is in the trash can be restored or purged before anybody looks.
    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("trash job {}", self.job)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when(self.offer.stands())
            .when([Compare::absent(self.place.clone())])
            .then([
                Op::put(self.place.clone(), self.record.clone()),
                Op::delete(self.all.clone()),
            ])
            .then(self.unique.clone().map(Op::delete))
            .otherwise(self.offer.reads())
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        Ok(Err(match self.offer.check(response)? {
            Ok(()) => TrashUnclaimedRefusal::PlaceTaken,
            Err(not_offered) => TrashUnclaimedRefusal::NotOffered(not_offered),
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![
            RangeRequest::new(self.place.clone()),
            self.offer.read_data(),
        ]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let ours = evidence
            .key(0)?
            .filter(|place| TrashNote::names(&place.value, self.operation));
        let undone = self.offer.is_posted(evidence.create_revision(1)?);
        Ok(match ours {
            Some(place) => Settled::Known(Ok(place.create_revision)),
            None => evidence.by_receipt(Ok(evidence.at), undone),
        })
    }
}

#[cfg(test)]
mod tests;
