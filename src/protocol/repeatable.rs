//! Verbs of one operation that can be done again without harm.

use std::borrow::Cow;

use super::verb::{Evidence, Malformed, Settled, Verb};
use crate::store::{Op, RangeRequest, Revision, Txn, TxnResponse};

/// One operation that compares nothing and leaves the same however often it is done: after a lost
/// answer nobody asks what became of it, it is sent again.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    doing: Cow<'static, str>,
    op: Op,
}

impl Repeatable {
    pub(super) fn new(doing: impl Into<Cow<'static, str>>, op: Op) -> Self {
        let doing = doing.into();
        Self { doing, op }
    }
}

impl Verb for Repeatable {
    /// The revision of the store once it is done.
    type Outcome = Revision;

    fn doing(&self) -> String {
        self.doing.to_string()
    }

    fn txn(&self) -> Txn {
        Txn::new().then([self.op.clone()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(response.header.revision)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::Repeat)
    }
}
