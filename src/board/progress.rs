//! Telling how far the owner of a job has come.
//!
//! An owner can tell it as often as it likes, but each time is a write, and an event for everybody who
//! looks at the board. So a claim writes it only every so often: of what comes sooner than that the last
//! is kept, and written when its time has come, by a task that ends with the claim.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{Claim, failure, settle::settled};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        holding::{Hold, NotHeld},
        limits::{MAX_NAME, check_length},
        progress::{Progress, Report},
    },
    session::Session,
};

impl Claim {
    /// Tells how far the work has come: the part that is done, from 0 to 1, and what is being done,
    /// for people, at most 255 bytes. Everybody can [see it](super::Job::progress), and who listens is
    /// told. It ends with the claim.
    ///
    /// It can be called in any loop: of a claim, something is written every second at most, or as
    /// often as the [board](super::JobBoardBuilder::progress_every) says. What can be written at once
    /// is waited for. What comes too soon is not: it is kept, in place of what was kept before, and
    /// written when its time has come, if the job is still held then.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a part that is none, or an over-long message;
    /// [`Lost`](ErrorKind::Lost) if the job is no longer held; and, of what is written at once, those of
    /// [`consume`](Self::consume). What was kept and can not be written within the board's
    /// [deadline](super::JobBoardBuilder::deadline) is forgotten.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("films").connect().await?;
    /// let job = board.post(NewJob::new("cut")).await?;
    ///
    /// let claim = board.claim(&job, "cutter").await?;
    /// for scene in 0..1_000 {
    ///     claim.progress(f64::from(scene) / 1_000.0, Some("cutting")).await?;
    /// }
    /// claim.consume().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn progress(&self, fraction: f64, message: Option<&str>) -> Result<()> {
        let hold = self.held.hold();
        let doing = format!("tell the progress of job {}", hold.job);
        if !(0.0..=1.0).contains(&fraction) {
            let why = format!("{fraction} is not within 0 and 1");
            return Err(Error::new(ErrorKind::Invalid, doing, why));
        }
        check_length(&doing, "the message", message.map_or(0, str::len), MAX_NAME)?;
        if !self.held.is_held() {
            return Err(failure::of_not_held(doing, NotHeld::default()));
        }
        let progress = Progress {
            fraction,
            message: message.map(str::to_owned),
        };
        let state = self.held.state().progressed(progress);
        let report = Report::new(&self.job.board.0.keys, hold, state);
        let session = self.held.session();
        match self.reports.pace.ask(report, Instant::now()) {
            Asked::Now(report) => {
                let written = session.write_held(hold, report, self.deadline()).await;
                settled(doing, &hold, written)?;
            }
            Asked::Kept { first: false } => {}
            Asked::Kept { first: true } => {
                let within = self.job.board.0.settings.deadline;
                self.reports.write_later(session, hold, within);
            }
        }
        Ok(())
    }
}

/// What a claim tells of its progress. When this is dropped, or the claim ends, what is kept is
/// forgotten.
#[derive(Debug)]
pub(super) struct Reports {
    pace: Arc<Pace<Report>>,
    stop: DropGuard,
    tasks: TaskTracker,
}

impl Reports {
    /// The reports of a claim that ends when `lost` fires, with so much time between two of them. What
    /// is kept is written by one of `tasks`.
    pub(super) fn new(every: Duration, lost: &CancellationToken, tasks: TaskTracker) -> Self {
        Self {
            pace: Arc::new(Pace::new(every)),
            stop: lost.child_token().drop_guard(),
            tasks,
        }
    }

    /// Writes what is kept when its time has come. This holds nothing that keeps the claim alive.
    fn write_later(&self, session: &Arc<Session>, hold: Hold, within: Duration) {
        let (pace, session) = (Arc::clone(&self.pace), Arc::clone(session));
        let stop = self.stop.token().clone();
        let writing = async move {
            loop {
                match pace.due(Instant::now()) {
                    Due::Nothing => return,
                    Due::At(time) => sleep_until(time).await,
                    Due::Now(report) => {
                        let deadline = Instant::now() + within;
                        if let Err(error) = session.write_held(hold, report, deadline).await {
                            tracing::debug!(job = %hold.job, %error, "progress was not told");
                        }
                    }
                }
            }
        };
        self.tasks.spawn(async move {
            stop.run_until_cancelled(writing).await;
        });
    }
}

/// When reports are written, at most one in a time.
#[derive(Debug)]
struct Pace<T> {
    every: Duration,
    next: Mutex<Next<T>>,
}

#[derive(Debug)]
struct Next<T> {
    /// When something can be written again; `None` before the first.
    at: Option<Instant>,
    kept: Option<T>,
    /// Whether somebody sees to it that what is kept is written.
    awaited: bool,
}

/// What is to be done with a report.
#[derive(Debug, PartialEq)]
enum Asked<T> {
    /// It can be written now.
    Now(T),
    /// It is kept; if it is the first, somebody must see to it that it is written.
    Kept { first: bool },
}

/// What is to be done for what is kept.
#[derive(Debug, PartialEq)]
enum Due<T> {
    Nothing,
    At(Instant),
    Now(T),
}

impl<T> Pace<T> {
    const fn new(every: Duration) -> Self {
        let next = Next {
            at: None,
            kept: None,
            awaited: false,
        };
        Self {
            every,
            next: Mutex::new(next),
        }
    }

    /// Takes in a report.
    fn ask(&self, report: T, now: Instant) -> Asked<T> {
        let mut next = self.lock();
        if next.at.is_none_or(|at| at <= now) {
            next.at = Some(now + self.every);
            // What was kept is older.
            next.kept = None;
            return Asked::Now(report);
        }
        next.kept = Some(report);
        let first = !mem::replace(&mut next.awaited, true);
        Asked::Kept { first }
    }

    /// What is to be done for what is kept, by who sees to that; with nothing, that is over.
    fn due(&self, now: Instant) -> Due<T> {
        let mut next = self.lock();
        match (next.kept.take(), next.at) {
            (None, _) => {
                next.awaited = false;
                Due::Nothing
            }
            (Some(report), Some(at)) if at > now => {
                next.kept = Some(report);
                Due::At(at)
            }
            (Some(report), _) => {
                next.at = Some(now + self.every);
                Due::Now(report)
            }
        }
    }

    /// Held for a few instructions only, never across an await. No holder leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Next<T>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
