//! Asking for a job to be stopped.

use super::{Claim, Job, JobBoard, failure};
use crate::{
    error::Result,
    protocol::{
        cancel::{CancelRequest, RequestCancel},
        limits::{check_name, check_reason},
        offer::NotOffered,
        state::SeenState,
    },
};

/// What became of a job that was to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "somebody holds a job, or nobody does"
)]
pub enum Cancelled {
    /// Somebody holds the job, and was asked to stop.
    Requested,
    /// Nobody held the job: it is in the trash.
    Trashed,
}

impl JobBoard {
    /// Asks for `job` to be stopped: `by` is who asks, and `reason` is why, at most 4 KiB.
    ///
    /// A job that nobody holds goes into the trash, with that reason. The owner of one that is held
    /// sees the request at once ([`Claim::cancellation`]) and decides itself how to end; if it dies or
    /// gives the job back, whoever would claim it next trashes it instead.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the job is gone, [`Invalid`](crate::ErrorKind::Invalid) for a
    /// name that is empty or has more than 255 bytes, or an over-long reason,
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if its state can not be read, and those of
    /// [`post`](Self::post).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{Cancelled, JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let job = board.post(NewJob::new("thumbnail")).await?;
    /// let claim = board.claim(&job, "worker-7").await?;
    ///
    /// let cancelled = board.cancel(&job, "operator", Some("wrong file")).await?;
    /// assert_eq!(cancelled, Cancelled::Requested);
    /// claim.cancellation().cancelled().await;
    /// let request = claim.cancel_request().unwrap();
    /// claim.trash(&format!("cancelled: {}", request.reason.unwrap())).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel(&self, job: &Job, by: &str, reason: Option<&str>) -> Result<Cancelled> {
        let doing = format!("cancel job {}", job.id());
        check_name(&doing, "who asks", by)?;
        check_reason(&doing, reason)?;
        let connection = self.connection_to_write(&doing)?;
        let deadline = self.deadline();
        let request = CancelRequest {
            by: Some(by.to_owned()),
            reason: reason.map(str::to_owned),
            on: Some(self.0.clock.now()),
        };
        loop {
            let now = self.read_job(job.id(), &doing, deadline).await?;
            now.check_posted(job, &doing)?;
            if let Some(owner) = now.owner {
                let (posted, token) = (job.entry.posted, owner.create_revision);
                let verb = RequestCancel::new(&self.0.keys, job.id(), posted, token, &request);
                let asked = connection.pool().write(verb, deadline).await;
                match asked.map_err(|error| failure::of_write(&doing, error))? {
                    Ok(_) => return Ok(Cancelled::Requested),
                    Err(_moved) => continue,
                }
            }
            let seen = SeenState::read(now.state.as_ref())
                .map_err(|why| failure::of_not_offered(&doing, NotOffered::Unreadable(why)))?;
            match self
                .discard(job, &seen, by, &request.as_reason(), deadline)
                .await?
            {
                Ok(_) => return Ok(Cancelled::Trashed),
                Err(NotOffered::Owned(_) | NotOffered::StateMoved(_)) => {}
                Err(not_offered) => return Err(failure::of_not_offered(&doing, not_offered)),
            }
        }
    }
}

impl Job {
    /// The request to stop the job, if somebody [made](JobBoard::cancel) one, as far as the board's view
    /// has come.
    pub fn cancel_request(&self) -> Option<CancelRequest> {
        Some(CancelRequest::clone(self.now()?.cancel_request()?))
    }
}

impl Claim {
    /// The request to stop the job, if somebody [made](JobBoard::cancel) one: it is there when
    /// [`cancellation`](Self::cancellation) fires for it.
    pub fn cancel_request(&self) -> Option<CancelRequest> {
        self.job.cancel_request()
    }

    /// Tells a claim that was made when the job was to be stopped already.
    pub(super) fn notice_request(&self) {
        if self.cancel_request().is_some() {
            self.held.stop().cancel();
        }
    }
}

#[cfg(test)]
mod tests;
