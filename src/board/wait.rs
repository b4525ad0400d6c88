//! Waiting for jobs, by push: no wait makes a request.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

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

    /// As [`wait`](Self::wait), until there is a job that nobody holds: one that was posted, given
    /// back, or whose owner's lease ended. Gives the jobs that nobody holds.
    ///
    /// All who wait are told of the same job, so that others can have claimed it first, and the
    /// jobs can even be none any more when they are looked at.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub async fn wait_unclaimed(&self, timeout: Option<Duration>) -> Result<Option<Jobs>> {
        let unclaimed = |view: &Reader| view.next(None, true).is_some();
        let found = self.wait_until(DOING, unclaimed, from_now(timeout)).await?;
        Ok(found.then(|| self.jobs().only_unclaimed()))
    }

    /// Waits until the view shows a revision other than `seen`, at once if it does, and gives it:
    /// for who looks at the jobs whenever something is new. By push. Cancel safe.
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

    /// Waits until the view is as `wanted`; false if that did not come in time.
    pub(super) async fn wait_until(
        &self,
        doing: &str,
        wanted: impl Fn(&Reader) -> bool,
        until: Option<Instant>,
    ) -> Result<bool> {
        let mut view = self.connection(doing)?.reader().clone();
        while !wanted(&view) {
            let changed = match until {
                Some(until) => match timeout_at(until, view.changed()).await {
                    Ok(changed) => changed,
                    Err(_late) => return Ok(false),
                },
                None => view.changed().await,
            };
            changed.map_err(|closed| Error::new(ErrorKind::Closed, doing, closed.to_string()))?;
        }
        Ok(true)
    }
}

/// When a timeout is over; never if there is none, or one that is too long to be counted.
pub(super) fn from_now(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
