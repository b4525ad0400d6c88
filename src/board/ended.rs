//! Waiting for a job to end.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout_at;

use super::{Job, failure, wait::from_now};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::ended::{self, Ending},
};

/// How a wait for a job ended.
#[derive(Clone, Debug, PartialEq)]
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

impl Job {
    /// Waits until the job is consumed or trashed, at most for `timeout`, for ever if there is none,
    /// and tells how it ended. By push: it makes one request, when the job is gone. Cancel safe.
    ///
    /// # Caveats
    /// A job of which nothing is kept was consumed, as far as anybody can tell: one that TaskFlow
    /// removed, or whose trash was emptied, too.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed); [`Denied`](ErrorKind::Denied) if the user may not read the
    /// trash; [`Unavailable`](ErrorKind::Unavailable) if the job is gone and etcd could not be asked
    /// in time how it ended; [`Corrupt`](ErrorKind::Corrupt) if somebody overwrote its posting.
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
        let doing = || format!("wait for job {}", self.id());
        let until = from_now(timeout);
        if !self
            .board()
            .wait_until(&doing(), |_| self.now().is_none(), until)
            .await?
        {
            return Ok(Ended::TimedOut);
        }
        let shared = &self.board().0;
        let deadline = self.board().deadline();
        let deadline = until.map_or(deadline, |until| until.min(deadline));
        let asked = shared.store.txn(ended::ask(&shared.keys, self.id()));
        let late = |_| {
            Error::new(
                ErrorKind::Unavailable,
                doing(),
                "it ended; how was not told in time",
            )
        };
        let answer = timeout_at(deadline, asked).await.map_err(late)?;
        let answer = answer.map_err(|error| failure::of_read(doing(), error))?;
        match ended::ending(&answer, self.entry.posted, self.uuid()) {
            Ok(Ending::Consumed(result)) => Ok(Ended::Consumed(result)),
            Ok(Ending::Trashed(reason)) => Ok(Ended::Trashed(reason)),
            Ok(Ending::Unreadable) => {
                let why = "its posting can not be read any more";
                Err(Error::new(ErrorKind::Corrupt, doing(), why))
            }
            Err(malformed) => Err(Error::new(
                ErrorKind::Corrupt,
                doing(),
                malformed.to_string(),
            )),
        }
    }
}
