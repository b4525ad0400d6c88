//! Restoring a job from the trash.

use std::sync::Arc;

use super::{TrashReview, TrashedJob, failure, gone};
use crate::{
    board::{Job, unique::Standing},
    cache::Entry,
    error::{Error, ErrorKind, Result},
    protocol::restore::{Restore, RestoreRefusal},
};

impl TrashReview {
    /// Moves a job out of the trash back onto the board, with the number and the uuid that it had: as it
    /// was posted, as if it had never been tried. It takes its unique key again, if it has one.
    ///
    /// # Guarantees
    /// A trashed job is restored once, whoever does so, and not after it was purged. If this fails,
    /// but for [`Unknown`](ErrorKind::Unknown), the trash and the board are as they were.
    ///
    /// # Caveats
    /// Handles to the job from before it was trashed do not follow it: they show it as
    /// [complete](crate::JobState::Complete).
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it is not in the trash any more, or was trashed again since it
    /// was seen; [`Invalid`](ErrorKind::Invalid) if a job on the board has its number or its unique key;
    /// [`Corrupt`](ErrorKind::Corrupt) if the job that has the unique key can not be read; and those of
    /// [`JobBoard::post`](crate::JobBoard::post).
    pub async fn restore(&self, job: &TrashedJob) -> Result<Job> {
        let id = job.id();
        let doing = format!("restore job {id}");
        let connection = self.board.connection_to_write(&doing)?;
        self.check(&job.place, &doing)?;
        let deadline = self.board.deadline();
        let invalid = |why: String| Error::new(ErrorKind::Invalid, &doing, why);
        let corrupt = |why| Error::new(ErrorKind::Corrupt, &doing, format!("{why}"));
        let unique = job.unique_key().unwrap_or_default();
        let mut stale = None;
        loop {
            let restore = Restore::new(&self.board.0.keys, id, job.place.clone(), &job.record)
                .map_err(corrupt)?
                .taking_over(stale.take());
            let record = restore.record().clone();
            let restored = connection.pool().write(restore, deadline).await;
            match restored.map_err(|error| failure::of_write(&doing, error))? {
                Ok(at) => {
                    let entry = Entry::posted(id, at, record).map_err(corrupt)?;
                    return Ok(self.board.job_of(Arc::new(entry)));
                }
                Err(RestoreRefusal::Gone) => return Err(gone(&doing)),
                Err(RestoreRefusal::Posted) => {
                    return Err(invalid("a job on the board has its number".to_owned()));
                }
                Err(RestoreRefusal::Owned) => {
                    return Err(invalid("its number is held by somebody".to_owned()));
                }
                Err(RestoreRefusal::NotUnique(found)) => {
                    let standing = self.board.standing(unique, &found, deadline, &doing);
                    match standing.await? {
                        Standing::Free => {}
                        Standing::Stale(now) => stale = Some(now),
                        // Somebody else has just restored it, as the next try finds.
                        Standing::Held(entry) if entry.job == id => {}
                        Standing::Held(entry) => {
                            let why = format!("job {} has its unique key", entry.job);
                            return Err(invalid(why));
                        }
                    }
                }
            }
        }
    }
}
