//! What every verb on a job that nobody holds starts from: the job as it was seen.

use super::{
    keys::{JobId, JobPart, Keyspace},
    owner::OwnerRecord,
    record::Unreadable,
    state::SeenState,
    verb::{Malformed, create_revision, read_of},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, TxnResponse};

/// A job that nobody held when it was seen: what verbs on it compare.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    data: Key,
    posted: Revision,
    owner: Key,
    state: Key,
    seen: Revision,
}

/// Why a job is not as it was offered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NotOffered {
    /// There is no such posting (any more).
    Gone,
    /// Somebody holds it; who, if that can be read.
    Owned(Option<OwnerRecord>),
    /// The job's state is not as it was seen; this is it.
    StateMoved(Box<SeenState>),
    /// The job's state can not be read.
    Unreadable(Unreadable),
}

impl Offer {
    /// The job whose posting came to be at `posted`, and whose state was last put at `seen`.
    pub(super) fn new(keys: &Keyspace, job: JobId, posted: Revision, seen: Revision) -> Self {
        Self {
            data: keys.job(job, JobPart::Data),
            posted,
            owner: keys.job(job, JobPart::Owner),
            state: keys.job(job, JobPart::State),
            seen,
        }
    }

    pub(super) const fn owner(&self) -> &Key {
        &self.owner
    }

    pub(super) const fn state(&self) -> &Key {
        &self.state
    }

    /// The job is as it was seen, and nobody holds it.
    pub(super) fn stands(&self) -> [Compare; 3] {
        [
            Compare::create_revision(self.data.clone(), self.posted),
            Compare::absent(self.owner.clone()),
            Compare::mod_revision(self.state.clone(), self.seen),
        ]
    }

    /// The reads that an else branch begins with. The posting's bytes are not among them.
    pub(super) fn reads(&self) -> [Op; 3] {
        [
            Op::get(self.owner.clone()),
            Op::get(self.state.clone()),
            self.read_data().into(),
        ]
    }

    /// Reads when the posting came to be.
    pub(super) fn read_data(&self) -> RangeRequest {
        RangeRequest::new(self.data.clone()).keys_only()
    }

    /// Whether a read of the posting shows it as it was seen.
    pub(super) fn is_posted(&self, data: Revision) -> bool {
        data == self.posted
    }

    /// Whether the else branch's first reads show the job as it was offered; else what changed.
    pub(super) fn check(
        &self,
        response: &TxnResponse,
    ) -> Result<Result<(), NotOffered>, Malformed> {
        let owner = read_of(response, 0)?.first();
        let state = read_of(response, 1)?.first();
        let data = read_of(response, 2)?.first();
        Ok(Err(if !self.is_posted(create_revision(data)) {
            NotOffered::Gone
        } else if let Some(owner) = owner {
            NotOffered::Owned(OwnerRecord::read(&owner.value).ok())
        } else {
            match SeenState::read(state) {
                Err(unreadable) => NotOffered::Unreadable(unreadable),
                Ok(state) if state.mod_revision != self.seen => {
                    NotOffered::StateMoved(state.into())
                }
                Ok(_) => return Ok(Ok(())),
            }
        }))
    }
}
