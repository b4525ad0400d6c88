//! Taking a job from its owner by force.

use bytes::Bytes;

use super::{
    keys::{JobId, JobPart, Keyspace},
    owner::ClaimMark,
    verb::{Evidence, Malformed, Moved, Settled, Verb},
};
use crate::store::{Compare, Key, LeaseId, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Deletes the owner key of a job, whoever holds it, and leaves a mark where its session looks.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    job: JobId,
    owner: Key,
    token: Revision,
    state: Key,
    seen: Revision,
    next: Option<Bytes>,
    mark: Option<(Key, LeaseId)>,
}

/// What is to be released, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct ReleaseOf {
    pub(crate) job: JobId,
    /// The revision at which the owner key came to be.
    pub(crate) token: Revision,
    /// The owner's session and the lease of its key, if it is one of this library's.
    pub(crate) session: Option<(ClaimMark, LeaseId)>,
    /// The revision at which the state was put last; zero where there is none.
    pub(crate) seen: Revision,
    /// The state from then on; without one, what is there is left alone.
    pub(crate) next: Option<Bytes>,
}

impl Release {
    pub(crate) fn new(keys: &Keyspace, of: ReleaseOf) -> Self {
        let mark = of.session.map(|(mark, lease)| {
            let key = keys.released(mark.session, of.job);
            (key, lease)
        });
        Self {
            job: of.job,
            owner: keys.job(of.job, JobPart::Owner),
            token: of.token,
            state: keys.job(of.job, JobPart::State),
            seen: of.seen,
            next: of.next,
            mark,
        }
    }
}

impl Verb for Release {
    /// The revision at which, or at or before which, the token owned no longer.
    type Outcome = Result<Revision, Moved>;

    /// If the lease is not there, the owner key that was on it is not either.
    const FOREIGN_LEASE: bool = true;

    fn doing(&self) -> String {
        format!("release job {}", self.job)
    }

    fn txn(&self) -> Txn {
        let state = self.next.clone();
        let mark = self.mark.clone();
        Txn::new()
            .when([
                Compare::create_revision(self.owner.clone(), self.token),
                Compare::mod_revision(self.state.clone(), self.seen),
            ])
            .then([Op::delete(self.owner.clone())])
            .then(state.map(|state| Op::put(self.state.clone(), state)))
            .then(mark.map(|(mark, lease)| Op::put_with_lease(mark, "{}", lease)))
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(if response.succeeded {
            Ok(response.header.revision)
        } else {
            Err(Moved)
        })
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.owner.clone()).keys_only()]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(if evidence.create_revision(0)? == self.token {
            Settled::DidNotHappen
        } else {
            Settled::Known(Ok(evidence.at))
        })
    }
}

#[cfg(test)]
mod tests;
