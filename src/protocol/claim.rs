//! Claiming a job.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    envelope::Guard,
    keys::{JobId, JobPart, Keyspace},
    owner::{ClaimMark, OwnerRecord},
    record::{self, Unreadable},
    state::{SeenState, StateRecord},
    time::Timestamp,
    verb::{Evidence, Malformed, Settled, Verb, create_revision, read_of},
};
use crate::store::{Compare, Key, KeyValue, LeaseId, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Makes an owner key for a job that has none, counts the attempt, and marks the time as TaskFlow
/// does.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    job: JobId,
    mark: ClaimMark,
    lease: LeaseId,
    data: Key,
    posted: Revision,
    owner: Key,
    owner_record: Bytes,
    state: Key,
    seen: Revision,
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
    /// There is no such posting (any more).
    Gone,
    /// Somebody holds it; who, if that can be read.
    Owned(Option<OwnerRecord>),
    /// The job's state is not as it was seen; this is it.
    StateMoved(SeenState),
    /// The job's state can not be read.
    Unreadable(Unreadable),
    /// The board is paused.
    Paused,
    /// It was claimed, and the claim has been released by force since.
    Released,
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
            data: keys.job(of.job, JobPart::Data),
            posted: of.posted,
            owner: keys.job(of.job, JobPart::Owner),
            owner_record: OwnerRecord::new(of.who, guard.lease(), mark).write(),
            state: keys.job(of.job, JobPart::State),
            seen: of.seen.mod_revision,
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
        Txn::new()
            .when([
                Compare::create_revision(self.data.clone(), self.posted),
                Compare::absent(self.owner.clone()),
                Compare::mod_revision(self.state.clone(), self.seen),
                Compare::absent(self.paused.clone()),
            ])
            .then([
                Op::put_with_lease(self.owner.clone(), self.owner_record.clone(), self.lease),
                Op::put(last_modified, time),
                Op::put(self.state.clone(), self.next.write()),
            ])
            .otherwise([
                Op::get(self.owner.clone()),
                Op::get(self.state.clone()),
                RangeRequest::new(self.data.clone()).keys_only().into(),
            ])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        let owner = read_of(response, 0)?.first();
        let state = read_of(response, 1)?.first();
        let data = read_of(response, 2)?.first();
        Ok(Err(if create_revision(data) != self.posted {
            ClaimRefusal::Gone
        } else if let Some(owner) = owner {
            ClaimRefusal::Owned(OwnerRecord::read(&owner.value).ok())
        } else {
            match SeenState::read(state) {
                Err(unreadable) => ClaimRefusal::Unreadable(unreadable),
                Ok(state) if state.mod_revision != self.seen => ClaimRefusal::StateMoved(state),
                Ok(_) => ClaimRefusal::Paused,
            }
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![
            RangeRequest::new(self.owner.clone()),
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

impl SeenState {
    /// Reads the key of a job's state.
    pub(crate) fn read(kv: Option<&KeyValue>) -> Result<Self, Unreadable> {
        let Some(kv) = kv else {
            return Ok(Self::default());
        };
        Ok(Self {
            mod_revision: kv.mod_revision,
            record: StateRecord::read(&kv.value)?,
        })
    }
}

#[cfg(test)]
mod tests;
