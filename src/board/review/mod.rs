//! Reviewing the trash: what is in it, and what becomes of that.

mod purge;
mod quarantine;
mod quarantined;
mod restore;

use std::fmt;

pub use self::quarantined::Quarantined;

use super::{JobBoard, TrashedJob, failure};
use crate::{
    cache::{Trashed, Unreadable},
    error::{Error, ErrorKind, Result},
    protocol::{keys::JobId, record, trashed::Place},
    session::Read,
    store::{KeyRange, KeyValue},
};

/// The trash of a board, for who reviews it; made by [`JobBoard::trash_review`]. Clones are handles to
/// the same.
///
/// It shows what is in the trash when it is asked: each look is a read of etcd. What is there stays until
/// it is [restored](Self::restore) or [purged](Self::purge); nothing goes by itself.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use jobboard::{JobBoard, NewJob};
///
/// let board = JobBoard::builder("images").connect().await?;
/// let job = board.post(NewJob::new("thumbnail")).await?;
/// board.claim(&job, "worker-7").await?.trash("no such file").await?;
///
/// let review = board.trash_review();
/// let trash = review.list().await?;
/// assert_eq!(trash.jobs[0].reason(), Some("no such file"));
/// let again = review.restore(&trash.jobs[0]).await?;
/// assert_eq!((again.id(), again.uuid()), (job.id(), job.uuid()));
/// assert!(review.list().await?.jobs.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TrashReview {
    board: JobBoard,
}

/// What is in the trash.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TrashList {
    /// The jobs, in the order in which they were trashed.
    pub jobs: Vec<TrashedJob>,
    /// What could not be read on the board and was [moved here](TrashReview::quarantine), in that order.
    pub quarantined: Vec<Quarantined>,
    /// What can not be read in the trash itself, in the order in which it came there. It can be
    /// [quarantined](TrashReview::quarantine) as well, and is neither restored nor purged as it is.
    pub unreadable: Vec<Unreadable>,
}

impl JobBoard {
    /// The trash of the board, for review.
    pub fn trash_review(&self) -> TrashReview {
        TrashReview {
            board: self.clone(),
        }
    }
}

impl TrashReview {
    /// All that is in the trash, as it was at one moment, read page by page. Tries again while etcd can
    /// not be reached, until the deadline of the call.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed), [`Denied`](ErrorKind::Denied),
    /// [`Unavailable`](ErrorKind::Unavailable).
    pub async fn list(&self) -> Result<TrashList> {
        const DOING: &str = "list the trash";
        let found = self.read(self.board.0.keys.all_trash(), DOING).await?;
        Ok(self.told(found))
    }

    /// What is in the trash of the job with this number: several jobs where a number was used again, as
    /// after a lost counter, and what was quarantined of it; nothing if nothing is there.
    ///
    /// # Errors
    /// Those of [`list`](Self::list).
    pub async fn get(&self, id: JobId) -> Result<TrashList> {
        let doing = format!("look for job {id} in the trash");
        let keys = &self.board.0.keys;
        let mut found = Vec::new();
        let (place, more) = (keys.trash(id, 0).into(), keys.more_trash(id));
        for range in [place, more, keys.quarantine_of_job(id)] {
            found.extend(self.read(range, &doing).await?);
        }
        Ok(self.told(found))
    }

    async fn read(&self, range: KeyRange, doing: &str) -> Result<Vec<KeyValue>> {
        self.board.connection(doing)?;
        let (shared, deadline) = (&self.board.0, self.board.deadline());
        let read = Read::all(range);
        let read = read.at_one_revision(&*shared.store, &shared.random, deadline, doing);
        Ok(read.await?.1)
    }

    /// What was found in the trash, the oldest first.
    fn told(&self, mut found: Vec<KeyValue>) -> TrashList {
        found.sort_by_key(|kv| kv.create_revision);
        let mut list = TrashList::default();
        let keys = &self.board.0.keys;
        for kv in found {
            let (key, put) = (kv.key.clone(), kv.mod_revision);
            let told = if keys.is_quarantine(&key) {
                Quarantined::read(keys, &kv).map(|it| list.quarantined.push(it))
            } else if let Some(job) = keys.parse_trash(&key) {
                Trashed::read(job, kv).map(|it| list.jobs.push(TrashedJob::of(&it)))
            } else {
                Err(record::Unreadable::new("it is no key of the trash"))
            };
            if let Err(why) = told {
                let job = keys.parse_trash(&key);
                list.unreadable.push(Unreadable::new(key, job, put, &why));
            }
        }
        list
    }

    /// An error if a place is of another board's trash.
    fn check(&self, place: &Place, doing: &str) -> Result<()> {
        if self.board.0.keys.all_trash().contains(&place.key) {
            return Ok(());
        }
        let why = "it is in the trash of another board";
        Err(Error::new(ErrorKind::Invalid, doing, why))
    }
}

fn gone(doing: &str) -> Error {
    let why = "it is not in the trash any more, or not as it was seen";
    Error::new(ErrorKind::NotFound, doing, why)
}

impl fmt::Debug for TrashReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrashReview({})", self.board.name())
    }
}
