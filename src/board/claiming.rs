//! Claiming a job.

use std::{fmt::Write as _, num::NonZeroU32, sync::Arc};

use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::{Claim, Job, JobBoard, connection::Connection, failure, progress::Reports};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        claim::ClaimRefusal,
        limits::{check_name, within_reason},
        offer::NotOffered,
        state::{SeenState, StateRecord},
    },
    session::{ClaimRequest, Held, LeaseTerms, WriteError},
};

/// How many of many calls are under way at once.
pub(super) const AT_ONCE: usize = 256;

/// Why there is no claim: the job was not to be tried any more, and is in the trash for this reason.
#[derive(Debug)]
pub(crate) struct Discarded(pub(crate) String);

impl JobBoard {
    /// Claims `job` for `who`.
    ///
    /// A job that is not due yet is claimed all the same: who names it means it.
    ///
    /// # Guarantees
    /// At most one owner holds a job. If this returns, the claim was in etcd. The try is counted with
    /// it, so that a crash counts too; a job that was tried as often as it may be is moved into the
    /// trash instead.
    ///
    /// # Errors
    /// [`Claimed`](ErrorKind::Claimed) if another owner holds it, or did meanwhile and gave it back to
    /// be tried later; [`NotFound`](ErrorKind::NotFound)
    /// if it is gone, or has gone into the trash instead; [`Paused`](ErrorKind::Paused),
    /// [`Lost`](ErrorKind::Lost) if it was lost again before its answer came,
    /// [`Invalid`](ErrorKind::Invalid) for an empty or over-long name, or a job of which another client
    /// wrote so much that etcd takes no more with it,
    /// [`Corrupt`](ErrorKind::Corrupt) if its state can not be read, and those of
    /// [`post`](Self::post).
    pub async fn claim(&self, job: &Job, who: &str) -> Result<Claim> {
        self.claim_on(job, who, None).await
    }

    /// Claims `job`, in a session of the claim's own if there are terms for its lease.
    pub(super) async fn claim_on(
        &self,
        job: &Job,
        who: &str,
        own: Option<LeaseTerms>,
    ) -> Result<Claim> {
        let claimed = self.claim_or_discard(job, who, own).await?;
        claimed.map_err(|Discarded(reason)| {
            let doing = format!("claim job {}", job.id());
            let why = format!("it went into the trash: {reason}");
            Error::new(ErrorKind::NotFound, doing, why)
        })
    }

    /// As [`claim_on`](Self::claim_on), and tells of a job that it moved into the trash.
    pub(crate) async fn claim_or_discard(
        &self,
        job: &Job,
        who: &str,
        own: Option<LeaseTerms>,
    ) -> Result<Result<Claim, Discarded>> {
        let doing = format!("claim job {}", job.id());
        check_name(&doing, "the owner", who)?;
        let connection = self.connection_to_write(&doing)?;
        let deadline = self.deadline();
        let mut seen = self.seen_state(&job.entry);
        let mut place = None;
        loop {
            if let Some(reason) = self.reason_to_trash(job, &seen.record) {
                let gone = self.discard_unless_moved(job, &seen, who, &reason, deadline);
                match gone.await? {
                    Some(moved) => seen = moved,
                    None => return Ok(Err(Discarded(reason))),
                }
                continue;
            }
            let here = match place.take() {
                Some(place) => Ok(place),
                None => connection.pool().place_to_claim(own, deadline).await,
            };
            let here = here.map_err(|error| failure::of_write(&doing, error))?;
            let (id, posted, now) = (job.id(), job.entry.posted, self.0.clock.now());
            let request = ClaimRequest {
                job: id,
                posted,
                seen: &seen,
                who,
                now,
            };
            match here.claim(&request, deadline).await {
                // Its answer can come later than the end of what it tells.
                Ok(Ok(held)) if !held.is_held() => {
                    return Err(failure::of_write(doing, WriteError::Lost));
                }
                Ok(Ok(held)) => return Ok(Ok(self.claim_of(job, who, held, &connection))),
                Ok(Err(ClaimRefusal::NotOffered(NotOffered::StateMoved(state)))) => {
                    if state.record.not_before.is_some_and(|time| time.get() > now) {
                        let why = "it was given back meanwhile, to be tried later";
                        return Err(Error::new(ErrorKind::Claimed, doing, why));
                    }
                    seen = *state;
                    place = Some(here);
                }
                Ok(Err(refusal)) => {
                    if refusal == ClaimRefusal::Paused {
                        connection.see_pause(deadline).await;
                    }
                    return Err(refused(doing, refusal));
                }
                // It was not sent: another session can make it. One that was sent is not made again when
                // its session is lost: it can have happened, and so be a try that counts.
                Err(WriteError::NotSent) => {}
                Err(error) => return Err(failure::of_write(doing, error)),
            }
        }
    }

    /// Claims many jobs for `who`, each as [`claim`](Self::claim) does, many at once. Gives what came
    /// of each, in their order. Dropping this gives back what was claimed.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{JobBoard, NewJob};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// board.post_many(["a", "b", "c"].map(NewJob::new)).await;
    /// let jobs = board.fresh_jobs().await?.only_unclaimed();
    /// for claimed in board.claim_many(jobs, "worker-7").await {
    ///     claimed?.consume().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn claim_many(
        &self,
        jobs: impl IntoIterator<Item = Job>,
        who: &str,
    ) -> Vec<Result<Claim>> {
        let jobs: Vec<_> = jobs.into_iter().collect();
        // Each future owns its job: a borrow here would keep the whole from being spawned.
        let claims = jobs
            .into_iter()
            .map(|job| async move { self.claim(&job, who).await });
        stream::iter(claims).buffered(AT_ONCE).collect().await
    }

    /// The claim of a job that is held now.
    fn claim_of(&self, job: &Job, who: &str, held: Held, connection: &Connection) -> Claim {
        let (every, tasks) = (self.0.settings.progress_every, connection.tasks());
        let claim = Claim {
            // As this handle sees it, whichever handle it came from.
            job: self.job_of(Arc::clone(&job.entry)),
            who: who.to_owned(),
            reports: Reports::new(every, held.lost(), tasks.clone()),
            held,
            results: Arc::clone(connection.results()),
        };
        claim.notice_request();
        claim
    }

    /// Trashes a job that is not to be tried any more; gives its state instead if that has moved since it was
    /// `seen`.
    async fn discard_unless_moved(
        &self,
        job: &Job,
        seen: &SeenState,
        who: &str,
        reason: &str,
        deadline: Instant,
    ) -> Result<Option<SeenState>> {
        match self.discard(job, seen, who, reason, deadline).await? {
            Ok(_) => Ok(None),
            Err(NotOffered::StateMoved(state)) => Ok(Some(*state)),
            Err(not_offered) => {
                let doing = format!("claim job {}", job.id());
                Err(failure::of_not_offered(doing, not_offered))
            }
        }
    }

    /// Why a job is to go into the trash, and not to be tried once more.
    fn reason_to_trash(&self, job: &Job, state: &StateRecord) -> Option<String> {
        let now = self.entry_now(&job.entry);
        if let Some(request) = now.as_ref().and_then(|now| now.cancel_request()) {
            return Some(request.as_reason());
        }
        let own = job.entry.posting.terms().max_attempts;
        let limit = own.map_or(self.0.settings.max_attempts, NonZeroU32::get);
        (state.attempts >= limit).then(|| tried_too_often(state, limit))
    }
}

fn tried_too_often(state: &StateRecord, limit: u32) -> String {
    let mut why = format!("tried {} times, the limit is {limit}", state.attempts);
    let died = state.unsettled > 0;
    match (&state.last_owner, &state.reason) {
        (Some(owner), _) if died => _ = write!(why, "; {owner} died with it at last"),
        (Some(owner), Some(reason)) => _ = write!(why, "; {owner} gave it back at last: {reason}"),
        _ => {}
    }
    within_reason(why)
}

fn refused(doing: String, refusal: ClaimRefusal) -> Error {
    match refusal {
        ClaimRefusal::NotOffered(not_offered) => failure::of_not_offered(doing, not_offered),
        ClaimRefusal::Paused => Error::new(ErrorKind::Paused, doing, "the board is paused"),
        ClaimRefusal::Released => Error::new(ErrorKind::Lost, doing, "it was released by force"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::limits::MAX_REASON;

    fn state(json: &serde_json::Value) -> StateRecord {
        StateRecord::read(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn reason_tells_how_the_last_try_ended_within_the_limit_of_a_reason() {
        let failed = state(&json!({"attempts": 3, "last_owner": "w", "reason": "no disk"}));
        assert_eq!(
            tried_too_often(&failed, 3),
            "tried 3 times, the limit is 3; w gave it back at last: no disk"
        );
        let died = state(&json!({"attempts": 3, "unsettled": 1, "last_owner": "w"}));
        assert_eq!(
            tried_too_often(&died, 2),
            "tried 3 times, the limit is 2; w died with it at last"
        );
        let long = "ä".repeat(MAX_REASON / 2);
        let long = state(&json!({"attempts": 3, "last_owner": "w", "reason": long}));
        let reason = tried_too_often(&long, 3);
        assert!((MAX_REASON - 1..=MAX_REASON).contains(&reason.len()));
    }
}
