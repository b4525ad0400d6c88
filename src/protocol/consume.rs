//! Consuming a job: it is done, and gone from the board for good.

use super::{
    done::DoneRecord,
    envelope::Guard,
    holding::{Hold, NotHeld},
    keys::{JobPart, Keyspace},
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Compare, Key, KeyRange, LeaseId, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Deletes every key of a held job, and lets its unique key go. Keeps the job's result, if there is
/// one.
#[derive(Clone, Debug)]
pub(crate) struct Consume {
    hold: Hold,
    held: Compare,
    read_owner: Op,
    owner: Key,
    data: Key,
    released: Key,
    all: KeyRange,
    unique: Option<Key>,
    done: Key,
    kept: Option<(DoneRecord, LeaseId)>,
}

impl Consume {
    /// `unique` is where the job's unique key is kept, if it has one.
    pub(crate) fn new(keys: &Keyspace, guard: &Guard, hold: Hold, unique: Option<Key>) -> Self {
        Self {
            hold,
            held: hold.is_held(keys),
            read_owner: hold.read_owner(keys),
            owner: hold.owner(keys),
            data: keys.job(hold.job, JobPart::Data),
            released: keys.released(guard.session(), hold.job),
            all: keys.all_of_job(hold.job),
            unique,
            done: keys.done(hold.job),
            kept: None,
        }
    }

    /// Keeps `record` as well, until `lease` ends, which is not the session's. What an earlier job of
    /// that number left is overwritten.
    pub(crate) fn keeping(self, record: DoneRecord, lease: LeaseId) -> Self {
        Self {
            kept: Some((record, lease)),
            ..self
        }
    }
}

impl Verb for Consume {
    /// The revision at which the job was gone.
    type Outcome = Result<Revision, NotHeld>;

    const FOREIGN_LEASE: bool = true;

    fn doing(&self) -> String {
        format!("consume job {}", self.hold.job)
    }

    fn txn(&self) -> Txn {
        let keep = self.kept.as_ref().map(|(record, lease)| {
            Op::put_with_lease(self.done.clone(), record.bytes().clone(), *lease)
        });
        Txn::new()
            .when([self.held.clone()])
            .then([Op::delete(self.all.clone())])
            .then(self.unique.clone().map(Op::delete))
            .then(keep)
            .otherwise([self.read_owner.clone()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        self.hold.outcome(response)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        [&self.owner, &self.data, &self.released]
            .map(|key| RangeRequest::new(key.clone()).keys_only())
            .into()
    }

    /// With the owner key gone, the job is consumed if nothing but our consume can have taken it:
    /// the key was this session's, nobody released it by force, and the posting went with it.
    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        if evidence.create_revision(0)? == self.hold.token {
            return Ok(Settled::DidNotHappen);
        }
        let posting_gone = evidence.create_revision(1)? != self.hold.posted;
        let released = evidence.key(2)?.is_some();
        let consumed = self.hold.claim.is_some() && posting_gone && !released;
        Ok(Settled::Known(if consumed {
            Ok(evidence.at)
        } else {
            Err(NotHeld::default())
        }))
    }
}

#[cfg(test)]
mod tests;
