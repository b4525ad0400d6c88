//! What etcd says of one job, at the time of a call.

use tokio::time::Instant;

use super::{Job, JobBoard, failure};
use crate::{
    error::Result,
    protocol::{
        keys::{JobId, JobPart},
        offer::NotOffered,
    },
    session::Read,
    store::{KeyValue, Revision},
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
        let (keys, store) = (&self.0.keys, &*self.0.store);
        let read = Read::all(keys.all_of_job(job));
        let read = read.at_one_revision(store, &self.0.random, deadline, doing);
        let (at, mut found) = read.await?;
        let mut take = |part| {
            let key = keys.job(job, part);
            let index = found.iter().position(|kv| kv.key == key)?;
            Some(found.swap_remove(index))
        };
        Ok(JobKeys {
            at,
            data: take(JobPart::Data),
            owner: take(JobPart::Owner),
            state: take(JobPart::State),
        })
    }
}

impl JobKeys {
    /// Checks that the posting is that of `job`, and not gone or another's under its number.
    pub(super) fn check_posted(&self, job: &Job, doing: &str) -> Result<()> {
        let posted = self.data.as_ref().map(|data| data.create_revision);
        if posted == Some(job.entry.posted) {
            Ok(())
        } else {
            Err(failure::of_not_offered(doing, NotOffered::Gone))
        }
    }
}
