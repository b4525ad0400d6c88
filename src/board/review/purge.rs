//! Purging the trash.

use std::{slice, time::Duration};

use chrono::TimeDelta;

use super::{Quarantined, TrashReview, TrashedJob, failure, gone};
use crate::{
    cache::Trashed,
    error::{Error, ErrorKind, Result},
    protocol::{
        purge::{AT_ONCE, Changed, Purge},
        trashed::Place,
    },
    session::{Pool, Read},
    store::{KeyValue, Revision},
};

impl TrashReview {
    /// Deletes a job that is in the trash, for good.
    ///
    /// # Guarantees
    /// It is this very job that is deleted, as it was seen in the trash: not one that was restored, or
    /// another that has come into its place.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it was purged or restored since it was seen, and those of
    /// [`JobBoard::post`](crate::JobBoard::post).
    pub async fn purge(&self, job: &TrashedJob) -> Result<()> {
        self.purge_place(&job.place, &format!("purge job {}", job.id()))
            .await
    }

    /// As [`purge`](Self::purge), of keys that were [quarantined](Self::quarantine).
    ///
    /// # Errors
    /// Those of [`purge`](Self::purge).
    pub async fn purge_quarantined(&self, quarantined: &Quarantined) -> Result<()> {
        let place = &quarantined.place;
        self.purge_place(place, &format!("purge {}", place.key))
            .await
    }

    /// Deletes for good all jobs that were trashed longer than `age` ago, by this board's
    /// [clock](crate::JobBoardBuilder::clock) and that of who trashed them, and tells how many they were.
    ///
    /// Jobs that TaskFlow trashed are left alone, for it does not note when; and so is what can not be
    /// read, quarantined or not. A job that is restored meanwhile is not deleted.
    ///
    /// # Caveats
    /// It goes in small steps, each of which has the [deadline](crate::JobBoardBuilder::deadline) of a
    /// call. Dropping this leaves the rest in the trash.
    ///
    /// # Errors
    /// Those of [`list`](Self::list) and of [`JobBoard::post`](crate::JobBoard::post);
    /// [`Unknown`](ErrorKind::Unknown) if some were deleted and the next were not. Doing it again is
    /// harmless.
    pub async fn purge_older_than(&self, age: Duration) -> Result<u64> {
        const DOING: &str = "purge the trash";
        let connection = self.board.connection_to_write(DOING)?;
        let places = self.older_than(age, DOING).await?;
        let mut purged = 0;
        for chunk in places.chunks(AT_ONCE) {
            let chunk = self.purge_chunk(connection.pool(), chunk, &mut purged, DOING);
            if let Err(error) = chunk.await {
                if purged == 0 {
                    return Err(error);
                }
                let rest = match error.kind() {
                    ErrorKind::Unknown => "the next may have been",
                    _ => "the next were not",
                };
                let why = format!("{purged} jobs were purged, {rest}");
                return Err(Error::new(ErrorKind::Unknown, DOING, why).with_source(error));
            }
        }
        Ok(purged)
    }

    /// Where those are that were trashed longer than `age` ago.
    async fn older_than(&self, age: Duration, doing: &str) -> Result<Vec<Place>> {
        let shared = &self.board.0;
        let age = TimeDelta::from_std(age).ok();
        let Some(since) = age.and_then(|age| shared.clock.now().checked_sub_signed(age)) else {
            return Ok(Vec::new());
        };
        let old = |kv: KeyValue| {
            let job = shared.keys.parse_trash(&kv.key)?;
            let trashed = Trashed::read(job, kv).ok()?;
            let on = trashed.record.note.trashed_on?;
            (on.get() < since).then_some(trashed.place)
        };
        let read = Read::all(shared.keys.all_trash());
        let deadline = self.board.deadline();
        let read = read.picked(&*shared.store, &shared.random, deadline, doing, old);
        Ok(read.await?.1)
    }

    /// Deletes those of a few places that are as they were read, and counts them.
    async fn purge_chunk(
        &self,
        pool: &Pool,
        chunk: &[Place],
        purged: &mut u64,
        doing: &str,
    ) -> Result<()> {
        if self.delete(pool, chunk, doing).await?.is_ok() {
            *purged += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            return Ok(());
        }
        for place in chunk {
            if self
                .delete(pool, slice::from_ref(place), doing)
                .await?
                .is_ok()
            {
                *purged += 1;
            }
        }
        Ok(())
    }

    /// Deletes a place, if it is as it was read.
    async fn purge_place(&self, place: &Place, doing: &str) -> Result<()> {
        let connection = self.board.connection_to_write(doing)?;
        self.check(place, doing)?;
        let outcome = self.delete(connection.pool(), slice::from_ref(place), doing);
        outcome.await?.map_err(|Changed| gone(doing)).map(drop)
    }

    async fn delete(
        &self,
        pool: &Pool,
        places: &[Place],
        doing: &str,
    ) -> Result<Result<Revision, Changed>> {
        let outcome = pool.write(Purge::new(places), self.board.deadline());
        outcome
            .await
            .map_err(|error| failure::of_write(doing, error))
    }
}
