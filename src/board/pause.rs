//! Pausing a board, and resuming it.

use std::time::Duration;

use super::{
    JobBoard, failure,
    wait::{from_now, in_time},
};
use crate::{
    cache::{Closed, PauseReader},
    error::{Error, ErrorKind, Result},
    protocol::{
        limits::{check_name, check_reason},
        pause::{self, Pause},
    },
    session::Read,
    store::Revision,
};

impl JobBoard {
    /// A live view of whether the board is paused, once that is known.
    pub(crate) async fn pause_view(&self) -> Result<PauseReader> {
        const DOING: &str = "watch for pauses of the board";
        let view = self.connection(DOING)?.pauses().0.reader().clone();
        let late = || {
            let why = "whether it is paused was not told in time";
            Error::new(ErrorKind::Unavailable, DOING, why)
        };
        let known = in_time(Some(self.deadline()), view.ready()).await;
        known
            .ok_or_else(late)?
            .map_err(|error| failure::of_store(DOING, error))?;
        Ok(view)
    }

    /// Pauses the board: until it is [resumed](Self::resume), nothing is claimed. `by` is who pauses
    /// it, and `reason` is why, at most 4 KiB.
    ///
    /// Everything else goes on: jobs are posted, and those that are held are worked on and settled.
    /// Who [waits](Self::wait_unclaimed) for a job to claim waits on. Pausing a paused board is
    /// harmless: it is paused by the one who did so last.
    ///
    /// # Guarantees
    /// If this returns, nobody claims a job from then on, through whatever handle: every claim gives
    /// [`Paused`](ErrorKind::Paused). The pause outlives this handle, its process and restarts of etcd.
    ///
    /// # Caveats
    /// TaskFlow knows no pause: its clients go on claiming.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a name that is empty or has more than 255 bytes, or an
    /// over-long reason; and those of [`post`](Self::post).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{ErrorKind, JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let job = board.post(NewJob::new("thumbnail")).await?;
    ///
    /// board.pause("operator", Some("the disk is full")).await?;
    /// let refused = board.claim(&job, "worker-7").await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Paused);
    /// let pause = board.paused().await?.expect("it is paused");
    /// assert_eq!(pause.by.as_deref(), Some("operator"));
    ///
    /// board.resume().await?;
    /// board.claim(&job, "worker-7").await?.consume().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pause(&self, by: &str, reason: Option<&str>) -> Result<Revision> {
        const DOING: &str = "pause the board";
        check_name(DOING, "who pauses it", by)?;
        check_reason(DOING, reason)?;
        let connection = self.connection_to_write(DOING)?;
        let pause = Pause {
            by: Some(by.to_owned()),
            reason: reason.map(str::to_owned),
            on: Some(self.0.clock.now()),
        };
        let pause = pause::pause(&self.0.keys, &pause);
        let paused = connection.pool().write(pause, self.deadline()).await;
        paused.map_err(|error| failure::of_write(DOING, error))
    }

    /// Ends a [pause](Self::pause) of the board: jobs are claimed again, and who waits for one is
    /// woken. Resuming a board that is not paused is harmless. Gives a revision at which it is not.
    ///
    /// # Errors
    /// Those of [`post`](Self::post).
    pub async fn resume(&self) -> Result<Revision> {
        const DOING: &str = "resume the board";
        let connection = self.connection_to_write(DOING)?;
        let resume = pause::resume(&self.0.keys);
        let resumed = connection.pool().write(resume, self.deadline()).await;
        resumed.map_err(|error| failure::of_write(DOING, error))
    }

    /// By whom, why and since when the board is paused; `None` if it is not. Asks etcd.
    ///
    /// What can not be read of the record is left out: the board is paused all the same.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed); [`Denied`](ErrorKind::Denied) if etcd refuses the user;
    /// [`Unavailable`](ErrorKind::Unavailable) if no answer came within the
    /// [deadline](crate::JobBoardBuilder::deadline).
    pub async fn paused(&self) -> Result<Option<Pause>> {
        const DOING: &str = "ask whether the board is paused";
        let _connected = self.connection(DOING)?;
        let read = Read::all(self.0.keys.paused());
        let (store, random) = (&*self.0.store, &self.0.random);
        let read = read.at_one_revision(store, random, self.deadline(), DOING);
        let record = read.await?.1.pop();
        Ok(record.map(|record| {
            Pause::read(&record.value).unwrap_or_else(|why| {
                tracing::warn!(key = %record.key, %why, "the record of a pause can not be read");
                Pause::default()
            })
        }))
    }

    /// Waits until the board is not paused, at most for `timeout`, for ever if there is none; false
    /// if time ran out. By push, after a first look. Cancel safe.
    ///
    /// # Guarantees
    /// If the board was paused when this was called, it was resumed since. It can be paused again
    /// by now: a claim finds out.
    ///
    /// # Caveats
    /// The first look takes the time of a request: [`paused`](Self::paused) tells how the board is
    /// now. The first call begins to watch, until the handle is closed.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed); [`Denied`](ErrorKind::Denied) if etcd refuses the user. While
    /// etcd can not be reached this waits.
    pub async fn resumed(&self, timeout: Option<Duration>) -> Result<bool> {
        const DOING: &str = "wait until the board is resumed";
        let until = from_now(timeout);
        let (view, started) = {
            let connection = self.connection(DOING)?;
            let (pauses, started) = connection.pauses();
            (pauses.reader().clone(), started)
        };
        let closed = |closed: Closed| closed.while_doing(DOING);
        let resumed = async {
            let listed = view.ready().await;
            listed.map_err(|error| failure::of_store(DOING, error))?;
            if !started {
                // The list that is shown can have begun before this call.
                let relisted = view.relist().await;
                relisted.map_err(|unlisted| unlisted.while_doing(DOING))?;
            }
            view.until(false).await.map_err(closed)
        };
        in_time(until, resumed)
            .await
            .map_or(Ok(false), |done| done.map(|()| true))
    }
}

#[cfg(test)]
mod tests;
