//! Waiting for a job to end.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Job, failure, look::newest, wait::from_now};
use crate::{
    cache::{Entry, Reader},
    error::{Error, ErrorKind, Result},
    protocol::ended::{self, Ending},
};

/// How long it takes at least until nothing more is expected of who is asked how a job ended: a job that is
/// waited for in slices of time can end with one of them.
const ASKED: Duration = Duration::from_secs(1);

/// How a wait for a job ended.
#[derive(Clone, PartialEq)]
#[must_use]
#[expect(
    clippy::exhaustive_enums,
    reason = "a job ends in one of two ways, or has not ended"
)]
pub enum Ended {
    /// The job was consumed; with this result, if one was given and is still kept.
    Consumed(Option<Value>),
    /// The job was moved into the trash, for this reason if one was given.
    Trashed(Option<String>),
    /// The job was still on the board when time ran out.
    TimedOut,
}

/// Leaves the result out: it can be a secret.
impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consumed(Some(_)) => f.write_str("Consumed(Some(..))"),
            Self::Consumed(None) => f.write_str("Consumed(None)"),
            Self::Trashed(reason) => f.debug_tuple("Trashed").field(reason).finish(),
            Self::TimedOut => f.write_str("TimedOut"),
        }
    }
}

impl Job {
    /// Waits until the job is consumed or trashed, at most for `timeout`, for ever if there is none,
    /// and tells how it ended. By push: it makes one request, when the job is gone. Cancel safe.
    ///
    /// That request is given what is left of `timeout`, a second at least: so a job that is gone is told
    /// of with no `timeout` left too.
    ///
    /// A job that is [restored](crate::TrashReview::restore) before anybody looked has not ended: this
    /// waits on.
    ///
    /// # Caveats
    /// A job of which nothing is kept was consumed, as far as anybody can tell: one that TaskFlow
    /// removed, or whose trash was emptied, too.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed); [`Denied`](ErrorKind::Denied) if the user may not read the
    /// trash; [`Unavailable`](ErrorKind::Unavailable) if the job is gone and etcd could not be asked
    /// in time how it ended; [`Corrupt`](ErrorKind::Corrupt) if a newer version of this library left its result, or somebody overwrote its posting, also if
    /// that was [quarantined](crate::TrashReview::quarantine) since.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use std::time::Duration;
    ///
    /// use jobboard::{Ended, JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let job = board.post(NewJob::new("thumbnail")).await?;
    /// assert_eq!(job.wait(Some(Duration::ZERO)).await?, Ended::TimedOut);
    ///
    /// board.claim(&job, "worker-7").await?.trash("no such file").await?;
    /// assert_eq!(job.wait(None).await?, Ended::Trashed(Some("no such file".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait(&self, timeout: Option<Duration>) -> Result<Ended> {
        let until = from_now(timeout);
        let mut job = self.clone();
        while job.wait_until_gone(until).await? {
            match job.ending(until).await? {
                Ending::Consumed(result) => return Ok(Ended::Consumed(result)),
                Ending::Trashed(reason) => return Ok(Ended::Trashed(reason)),
                Ending::Restored(posted, record) => {
                    let entry = Entry::posted(job.id(), posted, record)
                        .map_err(|why| job.corrupt(why.to_string()))?;
                    job.entry = Arc::new(entry);
                }
                Ending::NewerResult(why) => {
                    return Err(job.corrupt(format!("its result can not be read: {why}")));
                }
                Ending::Unreadable => {
                    return Err(job.corrupt("its posting can not be read any more"));
                }
            }
        }
        Ok(Ended::TimedOut)
    }

    /// Waits until the view shows that this very posting is gone; false if that did not come in time.
    async fn wait_until_gone(&self, until: Option<Instant>) -> Result<bool> {
        // By the view that is waited for: a board that is closed meanwhile has none.
        let gone = |view: &Reader| newest(view, &self.entry).is_none();
        self.board().wait_until(&self.waiting(), gone, until).await
    }

    /// Reads how the job ended, that is gone.
    async fn ending(&self, until: Option<Instant>) -> Result<Ending> {
        let shared = &self.board().0;
        let deadline = self.board().deadline();
        let patience = until.map(|until| until.max(Instant::now() + ASKED));
        let deadline = patience.map_or(deadline, |until| until.min(deadline));
        let asked = shared.store.txn(ended::ask(&shared.keys, self.id()));
        let late = |_| {
            let why = "it ended; how was not told in time";
            Error::new(ErrorKind::Unavailable, self.waiting(), why)
        };
        let answer = timeout_at(deadline, asked).await.map_err(late)?;
        let answer = answer.map_err(|error| failure::of_read(self.waiting(), error))?;
        let job = (self.id(), self.entry.posted, self.uuid());
        ended::ending(&shared.keys, &answer, job).map_err(|why| self.corrupt(why.to_string()))
    }

    fn waiting(&self) -> String {
        format!("wait for job {}", self.id())
    }

    fn corrupt(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, self.waiting(), why)
    }
}
