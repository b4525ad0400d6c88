//! Giving a held job back.

use super::{
    holding::{Hold, NotHeld},
    keys::{JobPart, Keyspace},
    state::StateRecord,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Deletes the owner key of a held job, and writes how its attempts stand.
#[derive(Clone, Debug)]
pub(crate) struct Abandon {
    hold: Hold,
    held: Compare,
    read_owner: Op,
    owner: Key,
    state: Option<(Key, StateRecord)>,
}

impl Abandon {
    /// `state` is the job's state from then on; without one, what is there is left alone.
    pub(crate) fn new(keys: &Keyspace, hold: Hold, state: Option<StateRecord>) -> Self {
        Self {
            hold,
            held: hold.is_held(keys),
            read_owner: hold.read_owner(keys),
            owner: hold.owner(keys),
            state: state.map(|state| (keys.job(hold.job, JobPart::State), state)),
        }
    }
}

impl Verb for Abandon {
    /// The revision at which, or at or before which, the token owned no longer.
    type Outcome = Result<Revision, NotHeld>;

    fn doing(&self) -> String {
        format!("abandon job {}", self.hold.job)
    }

    fn txn(&self) -> Txn {
        let state = self
            .state
            .as_ref()
            .map(|(key, state)| Op::put(key.clone(), state.write()));
        Txn::new()
            .when([self.held.clone()])
            .then([Op::delete(self.owner.clone())])
            .then(state)
            .otherwise([self.read_owner.clone()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        self.hold.outcome(response)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.owner.clone()).keys_only()]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let held = evidence.create_revision(0)? == self.hold.token;
        Ok(if held {
            Settled::DidNotHappen
        } else {
            Settled::Known(Ok(evidence.at))
        })
    }
}

#[cfg(test)]
mod tests;
