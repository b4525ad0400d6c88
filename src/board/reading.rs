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
        let parts = [JobPart::Data, JobPart::Owner, JobPart::State].map(|part| keys.job(job, part));
        // Anybody can put other keys beside these, of any number and size.
        let pick = |kv: KeyValue| parts.contains(&kv.key).then_some(kv);
        let read = Read::all(keys.all_of_job(job));
        let read = read.picked(store, &self.0.random, deadline, doing, pick);
        let (at, found) = read.await?;
        let [data, owner, state] = parts
            .each_ref()
            .map(|part| found.iter().find(|kv| kv.key == *part).cloned());
        Ok(JobKeys {
            at,
            data,
            owner,
            state,
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
