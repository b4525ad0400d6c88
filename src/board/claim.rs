//! A claim: what the owner of a job holds.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Job, Retry, failure, progress::Reports, results::Results, settle};
use crate::{error::Result, session::Held, store::Revision};

/// A job that this process holds.
///
/// Dropping it unsettled gives the job back at once, as if it had not been claimed. When the
/// session ends (no word from etcd in time, or the process dies), the job is free for others; then
/// [`lost`](Self::lost) resolves here, and every verb of this claim gives
/// [`Lost`](crate::ErrorKind::Lost).
#[derive(Debug)]
#[must_use = "a dropped claim gives its job back"]
pub struct Claim {
    pub(super) job: Job,
    pub(super) who: String,
    pub(super) reports: Reports,
    pub(super) held: Held,
    pub(super) results: Arc<Results>,
}

impl Claim {
    /// The job.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The name of the owner.
    pub fn owner(&self) -> &str {
        &self.who
    }

    /// The fencing token: greater for each later claim of the job. Hand it on to what the job
    /// changes elsewhere, so that a stale owner can be told there.
    pub const fn token(&self) -> Revision {
        self.held.hold().token
    }

    /// Which try of the job this is, the first being 1: claims that were given back unburnt are left
    /// out.
    pub const fn attempt(&self) -> u32 {
        self.held.state().attempts
    }

    /// Whether the job is still held, for all that is known here.
    pub fn is_held(&self) -> bool {
        self.held.is_held()
    }

    /// For how long from now on the job is held, for all that is known here, even if no further word
    /// comes from etcd; zero if it is not held. A claim that is kept alive has some of its time to
    /// live left at any moment; one with [manual renewal](super::ClaimOptions::manual_renewal)
    /// has what is left until it must be [renewed](Self::renew).
    pub fn expires_in(&self) -> Duration {
        self.held.expires_in()
    }

    /// Asks etcd to let the job be held for its whole time to live from now on. Needed for a claim
    /// with [manual renewal](super::ClaimOptions::manual_renewal); for any other it asks whether
    /// its session still lives. Cancel safe.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost) if the job is no longer held;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if no answer came within the
    /// [deadline](super::JobBoardBuilder::deadline): it is held as long as
    /// [`expires_in`](Self::expires_in) says.
    ///
    /// # Examples
    /// See [`JobBoard::claim_with`](super::JobBoard::claim_with).
    pub async fn renew(&self) -> Result<()> {
        let doing = || format!("renew the claim of job {}", self.job.id());
        match self.held.renew(self.deadline()).await {
            Ok(renewed) => renewed.map_err(|not_held| failure::of_not_held(doing(), not_held)),
            Err(error) => Err(failure::of_write(doing(), error)),
        }
    }

    /// Waits until the job is no longer held: somebody took it, the session ended, the board was
    /// closed, or a verb of this claim settled it. So do not wait for this and for such a verb at
    /// once; the verb tells by itself if the claim was lost. Cancel safe.
    pub async fn lost(&self) {
        self.held.lost().cancelled().await;
    }

    /// A token that fires when work on the job is to stop: it is no longer held, or somebody
    /// [asked](Self::cancel_request) for it to be stopped, and it is still held. Then its owner
    /// decides how to end.
    pub fn cancellation(&self) -> CancellationToken {
        self.held.stop().child_token()
    }

    /// Gives the job back in the background as if it had not been claimed, if it is still held.
    pub(crate) fn give_back(&self) {
        self.held.give_back();
    }

    /// Marks the job as done: it is gone from the board for good.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost) if the job is no longer held;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if nothing happened and it is still held;
    /// [`Unknown`](crate::ErrorKind::Unknown) if etcd stayed out of reach past the deadline.
    pub async fn consume(&self) -> Result<Revision> {
        settle::consume(
            self.held.session(),
            self.held.hold(),
            &self.job,
            self.deadline(),
        )
        .await
    }

    /// Marks the job as done, and keeps its result for who [waits](super::Job::wait) for it, for the
    /// [retention](super::JobBoardBuilder::retention) of the board. At most 64 KiB of JSON.
    ///
    /// # Guarantees
    /// Who learns that the job was consumed can read its result: both happen in one piece.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a result that is too long, or nested more than 126
    /// deep: nothing happened and the job is still held; and those of [`consume`](Self::consume).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{Ended, JobBoard, NewJob};
    /// use serde_json::json;
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let job = board.post(NewJob::new("thumbnail")).await?;
    ///
    /// let claim = board.claim(&job, "worker-7").await?;
    /// claim.consume_with(json!({"file": "a-small.png"})).await?;
    /// let made = job.wait(None).await?;
    /// assert_eq!(made, Ended::Consumed(Some(json!({"file": "a-small.png"}))));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn consume_with(&self, result: Value) -> Result<Revision> {
        let to_keep = settle::ToKeep {
            job: &self.job,
            by: &self.who,
            result: &result,
            on: &self.results,
            lost: self.held.lost(),
        };
        settle::consume_with(
            self.held.session(),
            self.held.hold(),
            &to_keep,
            self.deadline(),
        )
        .await
    }

    /// Gives the job back: it is claimable again at once. The attempt counts.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume).
    pub async fn abandon(&self) -> Result<Revision> {
        self.abandon_with(Retry::at_once()).await
    }

    /// Gives the job back, as `retry` says: to be tried later, for a reason, without counting the
    /// attempt.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume), and [`Invalid`](crate::ErrorKind::Invalid) for a delay of
    /// more than ten years or a reason of more than 4 KiB.
    pub async fn abandon_with(&self, retry: Retry) -> Result<Revision> {
        let hold = self.held.hold();
        retry.check(&format!("abandon job {}", hold.job))?;
        // One that is not held any more is not given back either.
        let claimed = self.held.state();
        let before = self.held.back().unwrap_or_else(|| claimed.clone());
        let state = retry.state(&self.job, claimed, before);
        settle::abandon(self.held.session(), hold, Some(state), self.deadline()).await
    }

    /// Moves the job into the trash: it is broken, and nobody is to try it again. `reason` is at
    /// most 4 KiB long. It is left out where the posting is another client's and so large that etcd
    /// takes no record of both.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume), and [`Invalid`](crate::ErrorKind::Invalid) for an
    /// over-long reason.
    pub async fn trash(&self, reason: &str) -> Result<Revision> {
        let attempts = self.held.state().attempts;
        let (job, by, reason) = (&self.job, self.who.as_str(), Some(reason));
        let to_trash = settle::ToTrash {
            job,
            by,
            reason,
            attempts,
        };
        settle::trash(
            self.held.session(),
            self.held.hold(),
            &to_trash,
            self.deadline(),
        )
        .await
    }

    pub(super) fn deadline(&self) -> Instant {
        self.job.board.deadline()
    }
}
