//! Waiting for jobs, by push: no wait makes a request.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{JobBoard, Jobs};
use crate::{
    cache::Reader,
    error::{Error, ErrorKind, Result},
    store::Revision,
};

const DOING: &str = "wait for a job";

impl JobBoard {
    /// Waits until there is any job on the board, at most for `timeout`, for ever if there is
    /// none. Gives the jobs then, and `None` if time ran out. By push: it makes no request. Cancel
    /// safe.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub async fn wait(&self, timeout: Option<Duration>) -> Result<Option<Jobs>> {
        let found = self
            .wait_until(DOING, |view| view.len() > 0, from_now(timeout))
            .await?;
        Ok(found.then(|| self.jobs()))
    }

    /// As [`wait`](Self::wait), until there is a job to claim: one that nobody holds and that is due,
    /// as it was posted, given back, or its owner's lease ended, or as its time has come. Gives the
    /// jobs that can be claimed.
    ///
    /// All who wait are told of the same job, so that others can have claimed it first, and the
    /// jobs can even be none any more when they are looked at.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub async fn wait_unclaimed(&self, timeout: Option<Duration>) -> Result<Option<Jobs>> {
        let offered = |view: &Reader| view.next(None, true).is_some();
        let found = self.wait_until(DOING, offered, from_now(timeout)).await?;
        Ok(found.then(|| self.jobs().only_unclaimed()))
    }

    /// Waits until the view shows a revision other than `seen`, at once if it does, and gives it:
    /// for who looks at the jobs whenever something is new. A job that falls due is nothing new by
    /// itself: [`next_due`](Self::next_due) tells when to look again for that. By push. Cancel safe.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// board.post(NewJob::new("thumbnail")).await?;
    /// let mut seen = board.revision();
    /// while board.job_count() == 0 {
    ///     seen = board.changed(seen).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn changed(&self, seen: Revision) -> Result<Revision> {
        self.wait_until(DOING, |view| view.applied() != seen, None)
            .await?;
        Ok(self.revision())
    }

    /// Waits until the view is as `wanted`; false if that did not come in time. Looks whenever the
    /// view changes or a job falls due.
    pub(super) async fn wait_until(
        &self,
        doing: &str,
        wanted: impl Fn(&Reader) -> bool,
        until: Option<Instant>,
    ) -> Result<bool> {
        let mut view = self.connection(doing)?.reader().clone();
        while !wanted(&view) {
            let due = view.next_due();
            let alarm = due.into_iter().chain(until).min();
            tokio::select! {
                biased;
                changed = view.changed() => {
                    changed.map_err(|closed| Error::new(ErrorKind::Closed, doing, closed.to_string()))?;
                }
                () = at(alarm) => if alarm == until {
                    return Ok(wanted(&view));
                }
            }
        }
        Ok(true)
    }
}

/// Waits for a point in time; for ever if there is none.
async fn at(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => sleep_until(alarm).await,
        None => std::future::pending().await,
    }
}

/// When a timeout is over; never if there is none, or one that is too long to be counted.
pub(super) fn from_now(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
