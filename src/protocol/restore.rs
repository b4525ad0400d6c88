//! Restoring a job from the trash: it is on the board again, as it was posted.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    keys::{JobId, JobPart, Keyspace},
    posting::Posting,
    record::Unreadable,
    trashed::{Place, TrashRecord},
    unique::{Found, Stale, Unique},
    verb::{Evidence, Malformed, Settled, Verb, create_revision, mod_revision, read_of},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Moves a job out of the trash to where it was, as if it had never been tried; and takes its unique
/// key again, if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    job: JobId,
    uuid: Uuid,
    place: Place,
    data: Key,
    owner: Key,
    /// What can be left of the job before, and must not count.
    leftover: [Key; 3],
    record: Bytes,
    unique: Option<Unique>,
}

/// Why a job was not restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RestoreRefusal {
    /// The record is not in the trash any more, or is another one.
    Gone,
    /// A job on the board has its number.
    Posted,
    /// There is an owner key under its number.
    Owned,
    /// The unique key is there, or is not as stale as it was read; or its holder is not.
    NotUnique(Found),
}

impl Restore {
    /// Restores the job whose `record` was read in `place`, as number `job`.
    ///
    /// # Errors
    /// If the record can not be rewritten, which what was read as a posting always can.
    pub(crate) fn new(
        keys: &Keyspace,
        job: JobId,
        place: Place,
        record: &TrashRecord,
    ) -> Result<Self, Unreadable> {
        let unique = record.posting.terms().unique.as_deref();
        let leftover = [JobPart::LastModified, JobPart::State, JobPart::Cancel];
        Ok(Self {
            job,
            uuid: record.posting.uuid(),
            place,
            data: keys.job(job, JobPart::Data),
            owner: keys.job(job, JobPart::Owner),
            leftover: leftover.map(|part| keys.job(job, part)),
            record: record.without_note()?,
            unique: unique.map(|unique| Unique::new(keys, unique, job)),
        })
    }

    /// Takes the unique key though it is there, if it is `stale`.
    pub(crate) fn taking_over(mut self, stale: Option<Stale>) -> Self {
        if let (Some(unique), Some(stale)) = (&mut self.unique, stale) {
            unique.take_over(stale);
        }
        self
    }

    /// The record that is put on the board.
    pub(crate) const fn record(&self) -> &Bytes {
        &self.record
    }

    fn read_data(&self) -> RangeRequest {
        RangeRequest::new(self.data.clone())
    }
}

impl Verb for Restore {
    /// The revision at which the posting came to be again.
    type Outcome = Result<Revision, RestoreRefusal>;

    /// What is on the board can be consumed or trashed before anybody looks.
    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("restore job {}", self.job)
    }

    fn txn(&self) -> Txn {
        let restore = Txn::new()
            .when([
                self.place.stands(),
                Compare::absent(self.data.clone()),
                Compare::absent(self.owner.clone()),
            ])
            .then([
                Op::put(self.data.clone(), self.record.clone()),
                Op::delete(self.place.key.clone()),
            ])
            .then(self.leftover.iter().cloned().map(Op::delete))
            .otherwise([
                self.place.read().into(),
                self.read_data().keys_only().into(),
                RangeRequest::new(self.owner.clone()).keys_only().into(),
            ]);
        match &self.unique {
            None => restore,
            Some(unique) => restore
                .when(unique.is_free())
                .then([unique.take()])
                .otherwise([unique.read()]),
        }
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        let there = |index| Ok(create_revision(read_of(response, index)?.first()) > Revision::ZERO);
        Ok(Err(
            if mod_revision(read_of(response, 0)?.first()) != self.place.put {
                RestoreRefusal::Gone
            } else if there(1)? {
                RestoreRefusal::Posted
            } else if there(2)? {
                RestoreRefusal::Owned
            } else {
                RestoreRefusal::NotUnique(Unique::found(response, 3)?)
            },
        ))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![self.place.read(), self.read_data()]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let ours = evidence.key(1)?.filter(|data| {
            Posting::read(data.value.clone()).is_ok_and(|posting| posting.uuid() == self.uuid)
        });
        let restored = ours.map_or(evidence.at, |data| data.create_revision);
        let undone = evidence.mod_revision(0)? == self.place.put;
        Ok(evidence.by_receipt(Ok(restored), undone))
    }
}

#[cfg(test)]
mod tests;
