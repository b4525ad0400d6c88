//! Waiting for jobs, by push: no wait makes a request, but to begin a watch.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{JobBoard, Jobs, failure};
use crate::{
    alarm,
    cache::{Closed, Reader},
    error::Result,
    store::Revision,
};

const DOING: &str = "wait for a job";

impl JobBoard {
    /// Waits until there is any job on the board, at most for `timeout`, for ever if there is
    /// none. Gives the jobs then, and `None` if time ran out. By push: it makes no request. Cancel
    /// safe.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub async fn wait(&self, timeout: Option<Duration>) -> Result<Option<Jobs>> {
        let found = self
            .wait_until(DOING, |view| view.len() > 0, from_now(timeout))
            .await?;
        Ok(found.then(|| self.jobs()))
    }

    /// As [`wait`](Self::wait), until there is a job to claim: one that nobody holds and that is due,
    /// as it was posted, given back, or its owner's lease ended, or as its time has come. Gives the
    /// jobs that can be claimed. While the board is [paused](Self::pause) there are none: it waits on
    /// until that is over.
    ///
    /// All who wait are told of the same job, so that others can have claimed it first, and the
    /// jobs can even be none any more when they are looked at. The first call begins to watch for
    /// pauses, until the handle is closed; a board is taken as not paused if the time runs out before
    /// that is known.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed); [`Denied`](crate::ErrorKind::Denied) if etcd refuses to tell
    /// the user whether the board is paused: then it refuses claims too.
    pub async fn wait_unclaimed(&self, timeout: Option<Duration>) -> Result<Option<Jobs>> {
        let until = from_now(timeout);
        let pauses = self.connection(DOING)?.pauses().0.reader().clone();
        if let Some(known) = in_time(until, pauses.ready()).await {
            known.map_err(|error| failure::of_store(DOING, error))?;
        }
        let closed = |closed: Closed| closed.while_doing(DOING);
        let offered = |view: &Reader| view.next(None, true).is_some();
        loop {
            match in_time(until, pauses.until(false)).await {
                Some(resumed) => resumed.map_err(closed)?,
                None => return Ok(None),
            }
            let found = tokio::select! {
                biased;
                paused = pauses.until(true) => {
                    paused.map_err(closed)?;
                    continue;
                }
                found = self.wait_until(DOING, offered, until) => found?,
            };
            return Ok(found.then(|| self.jobs().only_unclaimed()));
        }
    }

    /// Waits until the view shows a revision other than `seen`, at once if it does, and gives it:
    /// for who looks at the jobs whenever something is new. A job that falls due is nothing new by
    /// itself: [`next_due`](Self::next_due) tells when to look again for that. By push. Cancel safe.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
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
        loop {
            // Asked for first: what falls due from then on, whoever lets it in, wakes this.
            let due = view.next_due();
            if wanted(&view) {
                return Ok(true);
            }
            let next = due.into_iter().chain(until).min();
            tokio::select! {
                biased;
                changed = view.changed() => {
                    changed.map_err(|closed| closed.while_doing(doing))?;
                }
                () = alarm::at(next) => if next == until {
                    return Ok(wanted(&view));
                }
            }
        }
    }
}

/// What comes of `work` until a point in time; `None` if nothing did.
pub(super) async fn in_time<T>(
    until: Option<Instant>,
    work: impl Future<Output = T> + Send,
) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, work).await.ok(),
        None => Some(work.await),
    }
}

/// When a timeout is over; never if there is none, or one that is too long to be counted.
pub(super) fn from_now(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
