//! Looking at a board: what its view shows now, without a request.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Job, JobBoard};
use crate::{
    cache::{Counts, Entry, Reader, Unreadable},
    clock::Clock,
    protocol::{keys::JobId, state::SeenState},
    random::Random,
    store::Revision,
};

impl JobBoard {
    /// The job with this number.
    pub fn get(&self, id: JobId) -> Option<Job> {
        Some(self.job_of(self.reader()?.get(id)?))
    }

    /// The job with this uuid; the one with the lowest number if several claim to have it.
    pub fn find(&self, uuid: Uuid) -> Option<Job> {
        Some(self.job_of(self.reader()?.find(uuid)?))
    }

    /// How many jobs the board has.
    pub fn job_count(&self) -> usize {
        self.reader().map_or(0, |reader| reader.len())
    }

    /// The revision of the store that is shown; [zero](Revision::ZERO) if nothing is yet. What a
    /// verb did at a revision up to this one can be seen.
    pub fn revision(&self) -> Revision {
        self.reader()
            .map_or(Revision::ZERO, |reader| reader.applied())
    }

    /// When the next job falls due that nobody holds and that is put off: it is offered from then on.
    /// Who waits for that asks before it looks at the jobs: what fell due in between is among them.
    pub fn next_due(&self) -> Option<Instant> {
        self.reader()?.next_due()
    }

    /// Who holds `job`; `None` too if that can not be read.
    pub fn find_owner(&self, job: &Job) -> Option<String> {
        job.now()?;
        Some(
            self.reader()?
                .holder(job.id())?
                .record
                .as_ref()?
                .owner
                .clone(),
        )
    }

    /// The keys of the board that can not be read, a thousand at most. The view does without them;
    /// nothing deletes them: a person
    /// [decides](super::TrashReview::quarantine).
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.reader()
            .map_or_else(Vec::new, |reader| reader.unreadable())
    }

    /// What happened to the view since the board was connected, in numbers.
    pub fn counts(&self) -> Counts {
        self.reader()
            .map(|reader| reader.counts())
            .unwrap_or_default()
    }

    /// The newest entry of this very posting; the one that is known where the board is closed.
    pub(super) fn entry_now(&self, known: &Arc<Entry>) -> Option<Arc<Entry>> {
        self.reader()
            .map_or_else(|| Some(Arc::clone(known)), |view| newest(&view, known))
    }

    /// A job's state as it was seen last; the default where none was written or it can not be read,
    /// which a write then finds out.
    pub(super) fn seen_state(&self, known: &Arc<Entry>) -> SeenState {
        let entry = self.entry_now(known).unwrap_or_else(|| Arc::clone(known));
        entry.state().cloned().unwrap_or_default()
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// A handle to a job.
    pub(super) fn job_of(&self, entry: Arc<Entry>) -> Job {
        Job {
            board: self.clone(),
            entry,
            existed: false,
        }
    }
}

/// The newest entry of this very posting that a view shows; the one that is known where it has not come up
/// to it.
pub(super) fn newest(view: &Reader, known: &Arc<Entry>) -> Option<Arc<Entry>> {
    if view.applied() < known.posted {
        return Some(Arc::clone(known));
    }
    view.get(known.job).filter(|now| now.posted == known.posted)
}
