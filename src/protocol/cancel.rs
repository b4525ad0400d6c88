//! Asking the owner of a job to stop.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    keys::{JobId, JobPart, Keyspace},
    limits::within_reason,
    record::{self, Layout, Unreadable},
    time::Timestamp,
    verb::{Evidence, Malformed, Moved, Settled, Verb},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, Txn, TxnResponse};

/// A request to stop working on a job, as it stands beside the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelRequest {
    /// Who asks, if that can be read.
    pub by: Option<String>,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// When it was asked for, by the clock of who asked.
    pub on: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Wire {
    requested_by: Option<String>,
    reason: Option<String>,
    requested_on: Option<Timestamp>,
    jobboard: Option<Layout>,
}

impl CancelRequest {
    /// Reads a request. What can not be read is a request too, of which nothing else is known.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        record::check_short(bytes)?;
        let wire: Wire = record::read_versioned(bytes)?;
        Layout::check(wire.jobboard)?;
        Ok(Self {
            by: wire.requested_by,
            reason: wire.reason,
            on: wire.requested_on.map(Timestamp::get),
        })
    }

    /// The request as a reason for which a job is trashed; as much of it as a reason may have.
    pub(crate) fn as_reason(&self) -> String {
        within_reason(match (&self.reason, &self.by) {
            (Some(reason), _) => reason.clone(),
            (None, Some(by)) => format!("cancelled by {by}"),
            (None, None) => "cancelled".to_owned(),
        })
    }

    fn write(&self) -> Bytes {
        #[derive(Serialize)]
        struct Wire<'a> {
            requested_by: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            requested_on: Option<Timestamp>,
            jobboard: Layout,
        }
        record::write(&Wire {
            requested_by: self.by.as_deref(),
            reason: self.reason.as_deref(),
            requested_on: self.on.map(Timestamp::from),
            jobboard: Layout::CURRENT,
        })
    }
}

/// Puts a request to stop where the owner of a job sees it, if that is still the owner.
#[derive(Clone, Debug)]
pub(crate) struct RequestCancel {
    job: JobId,
    data: Key,
    posted: Revision,
    owner: Key,
    token: Revision,
    request: Key,
    record: Bytes,
}

impl RequestCancel {
    pub(crate) fn new(
        keys: &Keyspace,
        job: JobId,
        posted: Revision,
        token: Revision,
        request: &CancelRequest,
    ) -> Self {
        Self {
            job,
            data: keys.job(job, JobPart::Data),
            posted,
            owner: keys.job(job, JobPart::Owner),
            token,
            request: keys.job(job, JobPart::Cancel),
            record: request.write(),
        }
    }
}

impl Verb for RequestCancel {
    /// The revision at which it was asked for.
    type Outcome = Result<Revision, Moved>;

    fn doing(&self) -> String {
        format!("cancel job {}", self.job)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([
                Compare::create_revision(self.data.clone(), self.posted),
                Compare::create_revision(self.owner.clone(), self.token),
            ])
            .then([Op::put(self.request.clone(), self.record.clone())])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(if response.succeeded {
            Ok(response.header.revision)
        } else {
            Err(Moved)
        })
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    /// Asking again changes nothing, and is refused if the owner is another by then.
    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::Repeat)
    }
}

#[cfg(test)]
mod tests;
