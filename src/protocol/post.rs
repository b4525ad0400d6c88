//! Posting a job.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    keys::{JobId, JobPart, Keyspace},
    posting::{NewPosting, Posting},
    unique::{Found, Stale, Unique},
    verb::{Evidence, Malformed, Settled, Verb, read_of},
};
use crate::store::{Compare, Key, KeyRange, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Puts a posting under a number of which no key exists, and takes its unique key if it has one.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    job: JobId,
    uuid: Uuid,
    data: Key,
    all: KeyRange,
    record: Bytes,
    unique: Option<Unique>,
}

/// Why a job was not posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PostRefusal {
    /// The number is taken: by a job, or by what somebody left of one. Another number will do.
    Occupied,
    /// The unique key is there, or is not as stale as it was read; or its holder is not.
    NotUnique(Found),
}

impl Post {
    pub(crate) fn new(keys: &Keyspace, job: JobId, posting: &NewPosting) -> Self {
        let unique = posting.terms.unique.as_deref();
        Self {
            job,
            uuid: posting.uuid,
            data: keys.job(job, JobPart::Data),
            all: keys.all_of_job(job),
            record: posting.record(job),
            unique: unique.map(|unique| Unique::new(keys, unique, job)),
        }
    }

    /// Takes the unique key though it is there, if it is `stale`.
    pub(crate) fn taking_over(mut self, stale: Option<Stale>) -> Self {
        if let (Some(unique), Some(stale)) = (&mut self.unique, stale) {
            unique.take_over(stale);
        }
        self
    }

    /// The record that is posted.
    pub(crate) const fn record(&self) -> &Bytes {
        &self.record
    }
}

impl Verb for Post {
    /// The revision at which the posting came to be.
    type Outcome = Result<Revision, PostRefusal>;

    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("post job {}", self.job)
    }

    fn txn(&self) -> Txn {
        let post = Txn::new()
            .when([Compare::absent(self.all.clone())])
            .then([Op::put(self.data.clone(), self.record.clone())]);
        let Some(unique) = &self.unique else {
            return post;
        };
        let number = RangeRequest::new(self.all.clone()).count_only();
        post.when(unique.is_free())
            .then([unique.take()])
            .otherwise([number.into(), unique.read()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        let occupied = self.unique.is_none() || read_of(response, 0)?.count > 0;
        Ok(Err(if occupied {
            PostRefusal::Occupied
        } else {
            PostRefusal::NotUnique(Unique::found(response, 1)?)
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.data.clone())]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let ours = evidence.key(0)?.filter(|data| {
            Posting::read(data.value.clone()).is_ok_and(|posting| posting.uuid() == self.uuid)
        });
        Ok(match ours {
            Some(data) => Settled::Known(Ok(data.create_revision)),
            None => evidence.by_receipt(Ok(evidence.at), false),
        })
    }
}

#[cfg(test)]
mod tests;
