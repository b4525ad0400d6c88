//! Posting a job.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    keys::{JobId, JobPart, Keyspace},
    posting::{NewPosting, Posting},
    verb::{Evidence, Malformed, Receipt, Settled, Verb},
};
use crate::store::{Compare, Key, KeyRange, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Puts a posting under a number of which no key exists.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    job: JobId,
    uuid: Uuid,
    data: Key,
    all: KeyRange,
    record: Bytes,
}

/// The number is taken: by a job, or by what somebody left of one. Another number will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Occupied;

impl Post {
    pub(crate) fn new(keys: &Keyspace, job: JobId, posting: &NewPosting) -> Self {
        Self {
            job,
            uuid: posting.uuid,
            data: keys.job(job, JobPart::Data),
            all: keys.all_of_job(job),
            record: posting.record(job),
        }
    }

    /// The record that is posted.
    pub(crate) const fn record(&self) -> &Bytes {
        &self.record
    }
}

impl Verb for Post {
    /// The revision at which the posting came to be.
    type Outcome = Result<Revision, Occupied>;

    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("post job {}", self.job)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([Compare::absent(self.all.clone())])
            .then([Op::put(self.data.clone(), self.record.clone())])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(if response.succeeded {
            Ok(response.header.revision)
        } else {
            Err(Occupied)
        })
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.data.clone())]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let ours = evidence.key(0)?.filter(|data| {
            Posting::read(data.value.clone()).is_ok_and(|posting| posting.uuid() == self.uuid)
        });
        Ok(match (ours, evidence.receipt) {
            (Some(data), _) => Settled::Known(Ok(data.create_revision)),
            (None, Receipt::Names) => Settled::Known(Ok(evidence.at)),
            (None, Receipt::DoesNotName) => Settled::DidNotHappen,
            (None, Receipt::Gone) => Settled::CannotTell,
        })
    }
}

#[cfg(test)]
mod tests;
