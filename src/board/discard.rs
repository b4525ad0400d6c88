//! Trashing a job that nobody holds.

use tokio::time::Instant;

use super::{Job, JobBoard, failure, places};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        limits::{check_name, check_reason},
        offer::NotOffered,
        state::SeenState,
        trash_unclaimed::{TrashUnclaimed, TrashUnclaimedRefusal},
        trashed::TrashNote,
    },
    store::Revision,
};

impl JobBoard {
    /// Trashes `job` while nobody holds it: `by` is who does so, and `reason` is why, at most 4 KiB.
    /// It is kept aside for review.
    ///
    /// # Guarantees
    /// A job that somebody holds stays as it is.
    ///
    /// # Errors
    /// [`Claimed`](ErrorKind::Claimed) if an owner holds it, [`NotFound`](ErrorKind::NotFound) if it
    /// is gone, [`Invalid`](ErrorKind::Invalid) for a name that is empty or has more than 255 bytes, or
    /// an over-long reason, [`Corrupt`](ErrorKind::Corrupt) if its state can not be read, and those of
    /// [`post`](Self::post).
    pub async fn trash_unclaimed(&self, job: &Job, by: &str, reason: &str) -> Result<Revision> {
        let doing = format!("trash job {}", job.id());
        check_name(&doing, "who trashes it", by)?;
        check_reason(&doing, Some(reason))?;
        let deadline = self.deadline();
        let mut seen = self.seen_state(&job.entry);
        loop {
            match self.discard(job, &seen, by, reason, deadline).await? {
                Ok(at) => return Ok(at),
                Err(NotOffered::StateMoved(state)) => seen = *state,
                Err(not_offered) => return Err(failure::of_not_offered(doing, not_offered)),
            }
        }
    }

    /// Moves a job into a free place of its number in the trash, if nobody holds it and its
    /// state is as it was `seen`. The reason is left out where the record would be too large with it.
    pub(super) async fn discard(
        &self,
        job: &Job,
        seen: &SeenState,
        by: &str,
        reason: &str,
        deadline: Instant,
    ) -> Result<Result<Revision, NotOffered>> {
        let doing = || format!("trash job {}", job.id());
        let connection = self.connection_to_write(&doing())?;
        let mut note = TrashNote {
            on: self.0.clock.now(),
            by,
            reason: Some(reason),
            attempts: seen.record.attempts,
            operation: self.0.random.uuid(),
        };
        let posting = &*job.entry.posting;
        let which = (job.id(), job.entry.posted, posting);
        let mut copy = 0;
        loop {
            let verb = TrashUnclaimed::new(&self.0.keys, which, seen.mod_revision, copy, &note)
                .map_err(|why| Error::new(ErrorKind::Corrupt, doing(), why.to_string()))?;
            match connection.pool().write(verb, deadline).await {
                Ok(Ok(at)) => return Ok(Ok(at)),
                Ok(Err(TrashUnclaimedRefusal::NotOffered(why))) => return Ok(Err(why)),
                Ok(Err(TrashUnclaimedRefusal::PlaceTaken)) => {
                    copy = places::after(copy, &self.0.random);
                }
                Err(error) if error.is_too_large() && note.reason.is_some() => note.reason = None,
                Err(error) => return Err(failure::of_write(doing(), error)),
            }
        }
    }
}
