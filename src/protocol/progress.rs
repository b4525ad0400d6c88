//! How far the owner of a job has come with it.

use serde::{Deserialize, Serialize};

use super::{
    holding::{Hold, NotHeld},
    keys::{JobPart, Keyspace},
    state::StateRecord,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, Txn, TxnResponse};

/// How far the owner of a job has come with it, as it says itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// The part that is done, from 0 to 1.
    pub fraction: f64,
    /// What is being done, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Writes the state of a held job, with how far its owner has come.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    hold: Hold,
    held: Compare,
    read_owner: Op,
    state: (Key, StateRecord),
}

impl Report {
    /// `state` is the job's state from then on.
    pub(crate) fn new(keys: &Keyspace, hold: Hold, state: StateRecord) -> Self {
        Self {
            hold,
            held: hold.is_held(keys),
            read_owner: hold.read_owner(keys),
            state: (keys.job(hold.job, JobPart::State), state),
        }
    }
}

impl Verb for Report {
    /// The revision at which it was written.
    type Outcome = Result<Revision, NotHeld>;

    fn doing(&self) -> String {
        format!("tell the progress of job {}", self.hold.job)
    }

    fn txn(&self) -> Txn {
        let (key, state) = &self.state;
        Txn::new()
            .when([self.held.clone()])
            .then([Op::put(key.clone(), state.write())])
            .otherwise([self.read_owner.clone()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        self.hold.outcome(response)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    /// Writing it again changes nothing, and is refused if the hold is over.
    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::Repeat)
    }
}

#[cfg(test)]
mod tests;
