//! Claiming a job.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    envelope::Guard,
    keys::{JobId, JobPart, Keyspace},
    offer::{NotOffered, Offer},
    owner::{ClaimMark, OwnerRecord},
    record,
    state::{SeenState, StateRecord},
    time::Timestamp,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Compare, Key, KeyValue, LeaseId, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Makes an owner key for a job that has none, counts the attempt, and marks the time as TaskFlow
/// does.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    job: JobId,
    mark: ClaimMark,
    lease: LeaseId,
    offer: Offer,
    owner_record: Bytes,
    next: StateRecord,
    last_modified: (Key, Bytes),
    paused: Key,
    released: Key,
}

/// What a claim starts from.
#[derive(Clone, Debug)]
pub(crate) struct ClaimOf<'a> {
    pub(crate) job: JobId,
    /// The revision at which the posting came to be.
    pub(crate) posted: Revision,
    pub(crate) seen: &'a SeenState,
    pub(crate) who: &'a str,
    pub(crate) claim: uuid::Uuid,
    pub(crate) now: DateTime<Utc>,
}

/// Why a job was not claimed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClaimRefusal {
    /// The job is not as it was seen.
    NotOffered(NotOffered),
    /// The board is paused.
    Paused,
    /// It was claimed, and the claim has been released by force since.
    Released,
}

impl From<NotOffered> for ClaimRefusal {
    fn from(why: NotOffered) -> Self {
        Self::NotOffered(why)
    }
}

impl Claim {
    pub(crate) fn new(keys: &Keyspace, guard: &Guard, of: &ClaimOf<'_>) -> Self {
        #[derive(Serialize)]
        struct LastModified {
            last_modified: Timestamp,
        }

        let mark = ClaimMark {
            session: guard.session(),
            claim: of.claim,
        };
        let last_modified = record::write(&LastModified {
            last_modified: of.now.into(),
        });
        Self {
            job: of.job,
            mark,
            lease: guard.lease(),
            offer: Offer::new(keys, of.job, of.posted, of.seen.mod_revision),
            owner_record: OwnerRecord::new(of.who, guard.lease(), mark).write(),
            next: of.seen.record.claimed(of.claim, of.who),
            last_modified: (keys.job(of.job, JobPart::LastModified), last_modified),
            paused: keys.paused(),
            released: keys.released(guard.session(), of.job),
        }
    }

    /// The job's state once it is claimed.
    pub(crate) const fn next_state(&self) -> &StateRecord {
        &self.next
    }
}

impl Verb for Claim {
    /// The fencing token: the revision at which the owner key came to be.
    type Outcome = Result<Revision, ClaimRefusal>;

    fn doing(&self) -> String {
        format!("claim job {}", self.job)
    }

    fn txn(&self) -> Txn {
        let (last_modified, time) = self.last_modified.clone();
        let (owner, state) = (self.offer.owner().clone(), self.offer.state().clone());
        Txn::new()
            .when(self.offer.stands())
            .when([Compare::absent(self.paused.clone())])
            .then([
                Op::put_with_lease(owner, self.owner_record.clone(), self.lease),
                Op::put(last_modified, time),
                Op::put(state, self.next.write()),
            ])
            .otherwise(self.offer.reads())
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        Ok(Err(match self.offer.check(response)? {
            Ok(()) => ClaimRefusal::Paused,
            Err(not_offered) => not_offered.into(),
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![
            RangeRequest::new(self.offer.owner().clone()),
            RangeRequest::new(self.released.clone()).keys_only(),
        ]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let ours = |owner: &&KeyValue| {
            OwnerRecord::read(&owner.value).is_ok_and(|record| record.mark == Some(self.mark))
        };
        let owner = evidence.key(0)?.filter(ours);
        let released = evidence.key(1)?.is_some();
        Ok(match owner {
            Some(owner) => Settled::Known(Ok(owner.create_revision)),
            None if released => Settled::Known(Err(ClaimRefusal::Released)),
            None => Settled::DidNotHappen,
        })
    }
}

#[cfg(test)]
mod tests;
