//! What etcd says of one job, at the time of a call.

use tokio::time::{Instant, timeout_at};

use super::{JobBoard, failure};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::keys::{JobId, JobPart},
    store::{KeyValue, Op, Revision, Txn},
};

/// The keys of a job at one revision.
pub(super) struct JobKeys {
    /// The revision that was read.
    pub(super) at: Revision,
    pub(super) data: Option<KeyValue>,
    pub(super) owner: Option<KeyValue>,
    pub(super) state: Option<KeyValue>,
}

impl JobBoard {
    /// Reads the keys of a job.
    pub(super) async fn read_job(
        &self,
        job: JobId,
        doing: &str,
        deadline: Instant,
    ) -> Result<JobKeys> {
        let reads = [JobPart::Data, JobPart::Owner, JobPart::State]
            .map(|part| Op::get(self.0.keys.job(job, part)));
        let read = self.0.store.txn(Txn::new().then(reads));
        let response = match timeout_at(deadline, read).await {
            Ok(response) => response.map_err(|error| failure::of_read(doing, error))?,
            Err(_late) => {
                let why = "etcd did not answer in time";
                return Err(Error::new(ErrorKind::Unavailable, doing, why));
            }
        };
        let at = response.header.revision;
        let mut reads = response.into_reads().into_iter();
        let mut next = || reads.next().and_then(|read| read.kvs.into_iter().next());
        Ok(JobKeys {
            at,
            data: next(),
            owner: next(),
            state: next(),
        })
    }
}
