//! What a handler knows of its job, and can do beside saying what came of it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{CancelRequest, Claim, Job, LogBook, Result, store::Revision};

/// A job that is being done: what its [handler](super::Handler) is given. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Context {
    claim: Arc<Claim>,
    /// What the conductor knows of whether the work is to stop: nobody else can say so.
    stop: CancellationToken,
    /// What the handler is told by.
    told: CancellationToken,
    shutdown: CancellationToken,
}

/// Why the work on a job is to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The job is held no longer: whatever is done for it now, somebody else may be doing too.
    Lost,
    /// Somebody [asked](crate::JobBoard::cancel) for the job to be stopped. It is still held, and the
    /// outcome of the handler still counts.
    Requested(CancelRequest),
    /// The conductor stops, and the time that it gives to what runs is over.
    Shutdown,
}

impl Context {
    pub(super) fn new(claim: Arc<Claim>, shutdown: CancellationToken) -> Self {
        let stop = claim.cancellation().child_token();
        Self {
            claim,
            told: stop.child_token(),
            stop,
            shutdown,
        }
    }

    /// The job.
    pub fn job(&self) -> &Job {
        self.claim.job()
    }

    /// Which try of the job this is, the first being 1.
    pub fn attempt(&self) -> u32 {
        self.claim.attempt()
    }

    /// The fencing token: greater for each later claim of the job. Hand it on to what the job changes
    /// elsewhere.
    pub fn token(&self) -> Revision {
        self.claim.token()
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    pub(super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Fires when the work is to stop; [`stop_reason`](Self::stop_reason) tells why. It is the handler's own:
    /// to cancel it stops what listens to it, and says nothing to the conductor.
    pub const fn cancellation(&self) -> &CancellationToken {
        &self.told
    }

    /// Why the work is to stop, once it is.
    pub fn stop_reason(&self) -> Option<StopReason> {
        if !self.stop.is_cancelled() {
            None
        } else if !self.claim.is_held() {
            Some(StopReason::Lost)
        } else if self.shutdown.is_cancelled() {
            Some(StopReason::Shutdown)
        } else if self.claim.cancellation().is_cancelled() {
            let request = self.claim.cancel_request().unwrap_or_default();
            Some(StopReason::Requested(request))
        } else {
            // Its handler has ended, and it is being given back.
            Some(StopReason::Lost)
        }
    }

    /// Tells how far the work has come: [`Claim::progress`].
    ///
    /// # Errors
    /// Those of [`Claim::progress`].
    pub async fn progress(&self, fraction: f64, message: Option<&str>) -> Result<()> {
        self.claim.progress(fraction, message).await
    }

    /// Reads the logbook that the job refers to: [`Job::book`].
    ///
    /// # Errors
    /// Those of [`Job::book`].
    pub async fn book(&self) -> Result<Option<LogBook>> {
        self.job().book().await
    }

    /// Saves what changed in the job's logbook, as long as the job is held: [`Claim::save_book`].
    ///
    /// # Errors
    /// Those of [`Claim::save_book`].
    pub async fn save_book(&self, book: &mut LogBook) -> Result<()> {
        self.claim.save_book(book).await
    }
}
