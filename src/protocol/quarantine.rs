//! Moving what can not be read out of the way.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    keys::{BoardKey, JobPart, Keyspace},
    owner::OwnerRecord,
    trashed::{Place, first_stands, read_first},
    verb::{Evidence, Malformed, Settled, Verb, read_of},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, Txn, TxnResponse};

/// How many keys are moved at once, at most: 50, where etcd takes 128 operations.
pub(crate) const MAX_KEYS: usize = 50;

/// Moves keys into one record of the trash, if they are as they were read, and nobody holds the job that
/// they belong to.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    place: Key,
    record: Bytes,
    moved: Arc<[Place]>,
    /// What was not there when the keys were read, and must not have come since.
    absent: Arc<[Key]>,
    owner: Option<Key>,
}

/// Why the keys were not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuarantineRefusal {
    /// Somebody holds the job; who, if that can be read.
    Owned(Option<OwnerRecord>),
    /// There is something in that place of the trash already; the next place will do.
    PlaceTaken,
    /// One of the keys is not as it was read.
    Changed,
}

impl Quarantine {
    /// Moves what was read of `key` into `record`, in `place`: the key alone, or, where it is that of a
    /// posting, all keys of the job; [`MAX_KEYS`] at most.
    pub(crate) fn new(
        keys: &Keyspace,
        key: &Key,
        moved: Vec<Place>,
        (place, record): (Key, Bytes),
    ) -> Self {
        let (mut owner, mut absent) = (None, Vec::new());
        if let Some(BoardKey::Job(job, part)) = keys.parse(key) {
            owner = Some(keys.job(job, JobPart::Owner));
            if part == JobPart::Data {
                absent.extend(JobPart::ALL.map(|part| keys.job(job, part)));
                let moved = |key: &Key| moved.iter().any(|moved| moved.key == *key);
                absent.retain(|key| Some(key) != owner.as_ref() && !moved(key));
            }
        }
        // Whatever is to be moved: an owner key never is.
        absent.extend(owner.clone());
        Self {
            place,
            record,
            moved: moved.into(),
            absent: absent.into(),
            owner,
        }
    }
}

impl Verb for Quarantine {
    /// The revision at which they were moved.
    type Outcome = Result<Revision, QuarantineRefusal>;

    /// What is in the trash can be purged before anybody looks.
    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("move into {}", self.place)
    }

    fn txn(&self) -> Txn {
        let place = RangeRequest::new(self.place.clone()).keys_only();
        Txn::new()
            .when(self.moved.iter().map(Place::stands))
            .when(self.absent.iter().cloned().map(Compare::absent))
            .when([Compare::absent(self.place.clone())])
            .then([Op::put(self.place.clone(), self.record.clone())])
            .then(self.moved.iter().map(|moved| Op::delete(moved.key.clone())))
            .otherwise([place.into()])
            .otherwise(self.owner.clone().map(Op::get))
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        let taken = read_of(response, 0)?.first().is_some();
        let owner = match &self.owner {
            Some(_) => read_of(response, 1)?.first(),
            None => None,
        };
        Ok(Err(if let Some(owner) = owner {
            QuarantineRefusal::Owned(OwnerRecord::read(&owner.value).ok())
        } else if taken {
            QuarantineRefusal::PlaceTaken
        } else {
            QuarantineRefusal::Changed
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        read_first(&self.moved)
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let undone = first_stands(&self.moved, evidence)?;
        Ok(evidence.by_receipt(Ok(evidence.at), undone))
    }
}

#[cfg(test)]
mod tests;
