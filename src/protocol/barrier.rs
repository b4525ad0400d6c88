//! The write by which a cache learns how far it must have come to be fresh.

use super::{
    keys::Keyspace,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Key, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Puts the barrier key.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    key: Key,
}

impl Barrier {
    pub(crate) fn new(keys: &Keyspace) -> Self {
        Self {
            key: keys.barrier(),
        }
    }
}

impl Verb for Barrier {
    /// The revision that a fresh cache has applied.
    type Outcome = Revision;

    fn doing(&self) -> String {
        "ask for a fresh view of the board".to_owned()
    }

    fn txn(&self) -> Txn {
        Txn::new().then([Op::put(self.key.clone(), "{}")])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(response.header.revision)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::DidNotHappen)
    }
}

#[cfg(test)]
mod tests;
