//! One try of one job: claim, handle, settle.

use std::{any::Any, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use super::{Conducting, ConductorEvent, Context, HandlerError, Outcome, Step, StopReason};
use crate::{
    Claim, Error, ErrorKind, Job, Result, Retry, board::Discarded, panicked,
    protocol::limits::within_reason, store::Revision,
};

/// How long is waited before a verb is tried again that etcd could not serve.
const AGAIN: Duration = Duration::from_secs(1);

/// What a try of a job means for the conductor.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The job was claimed, at this revision, and whatever became of it is on the board.
    Tried(Revision),
    /// Somebody else claimed it first, or it is gone, into the trash for one.
    Taken,
    /// It could not be claimed now: it is to be left alone for a moment.
    Refused,
    /// It can not be claimed as it is: it is to be left alone for longer each time.
    Unfit,
    /// The board is paused.
    Paused,
    /// etcd refused the user: no other job is to be tried for a while.
    Denied,
    /// No job can be claimed: the conductor ends.
    Failed(Error),
}

impl Conducting {
    /// Tries a job. Tells how long its claim took.
    pub(super) async fn attempt(self: Arc<Self>, job: Job) -> (Verdict, Duration) {
        let asked = Instant::now();
        let claimed = self.board.claim_or_discard(&job, &self.who, None).await;
        let took = asked.elapsed();
        let verdict = match claimed {
            Ok(Ok(claim)) => {
                let (id, name, attempt) = (claim.job().id(), claim.job().name(), claim.attempt());
                let token = claim.token();
                let span = tracing::info_span!("job", %id, name, attempt);
                self.run(claim).instrument(span).await;
                Verdict::Tried(token)
            }
            Ok(Err(Discarded(reason))) => {
                tracing::warn!(job = %job.id(), reason, "a job went into the trash untried");
                self.tell_untried(job, Step::Trashed(reason));
                Verdict::Taken
            }
            Err(error) => self.not_claimed(job, error),
        };
        (verdict, took)
    }

    fn not_claimed(&self, job: Job, error: Error) -> Verdict {
        let (verdict, step) = match error.kind() {
            ErrorKind::Claimed | ErrorKind::NotFound => (Verdict::Taken, Step::Missed),
            ErrorKind::Paused => return Verdict::Paused,
            ErrorKind::Closed => return Verdict::Failed(error),
            // The conductor's own name was checked when it was set up: what can not be done or read is of
            // this job, as one that is too large for the trash. The others go on.
            ErrorKind::Invalid | ErrorKind::Corrupt => {
                (Verdict::Unfit, Step::Refused(error.to_string()))
            }
            ErrorKind::Denied => {
                tracing::warn!(%error, "etcd refuses the conductor its jobs");
                (Verdict::Denied, Step::Refused(error.to_string()))
            }
            _ => (Verdict::Refused, Step::Refused(error.to_string())),
        };
        self.tell_untried(job, step);
        verdict
    }

    fn tell_untried(&self, job: Job, step: Step) {
        self.tell(ConductorEvent {
            job: Some(job),
            attempt: None,
            step,
        });
    }

    /// Has the handler do a claimed job, and does with the job what it says.
    async fn run(&self, claim: Claim) {
        let claim = Arc::new(claim);
        let context = Context::new(Arc::clone(&claim), self.stopping.shutdown().clone());
        let _over = Over(context.clone());
        let tell = |step| {
            tracing::debug!(?step);
            self.tell(ConductorEvent {
                job: Some(claim.job().clone()),
                attempt: Some(claim.attempt()),
                step,
            });
        };
        tell(Step::Started);
        let ended = self.handle(&context).await;
        if ended.is_none() {
            tell(Step::Dropped);
        }
        if let Some(settle) = self.decide(&context, ended) {
            tell(self.settle(&claim, settle).await);
        } else {
            tell(Step::Lost);
        }
    }

    /// Runs the handler; `None` if it was dropped, as it did not end in time when it was to stop.
    async fn handle(&self, context: &Context) -> Option<Result<Outcome, String>> {
        let handling = Arc::clone(&self.handler).run(context.clone());
        let mut handling = AssertUnwindSafe(handling).catch_unwind().map(told);
        let stop = context.stop();
        tokio::select! {
            biased;
            () = self.stopping.halt().cancelled() => return None,
            ended = &mut handling => return Some(ended),
            () = stop.cancelled() => {}
            () = self.stopping.shutdown().cancelled() => stop.cancel(),
        }
        tokio::select! {
            biased;
            () = self.stopping.halt().cancelled() => None,
            ended = timeout(self.settings.grace, handling) => ended.ok(),
        }
    }

    /// What is to become of the job; nothing, if it is not held any more.
    fn decide(&self, context: &Context, ended: Option<Result<Outcome, String>>) -> Option<Outcome> {
        let stop = context.stop_reason();
        let failed = match ended {
            Some(Ok(outcome)) if context.claim().is_held() => return Some(outcome),
            Some(Ok(_)) => return None,
            Some(Err(why)) => why,
            None => "its handler did not end in time".to_owned(),
        };
        match stop {
            Some(StopReason::Lost) => None,
            Some(StopReason::Requested(request)) => Some(Outcome::Trash(request.as_reason())),
            None if !self.stopping.halt().is_cancelled() => {
                let retry = self.settings.retry.clone().unwrap_or_else(Retry::backoff);
                Some(Outcome::Abandon(retry.reason(within_reason(failed))))
            }
            // It did not get the time that it needs.
            Some(StopReason::Shutdown) | None => {
                Some(Outcome::Abandon(Retry::at_once().uncounted()))
            }
        }
    }

    /// Does with the job what was decided, however long etcd takes while the claim is held and the
    /// conductor is not to end.
    async fn settle(&self, claim: &Claim, outcome: Outcome) -> Step {
        let shutdown = self.stopping.shutdown();
        let mut too_late = pin!(async {
            shutdown.cancelled().await;
            sleep(self.settings.grace).await;
        });
        loop {
            let settled = settle(claim, &outcome).await;
            match settled {
                Ok(()) => return done(outcome),
                Err(error) => match error.kind() {
                    ErrorKind::Lost => return Step::Lost,
                    kind @ (ErrorKind::Unavailable | ErrorKind::Denied) => {
                        // A claim outlives any refusal, and that there is no space: only the conductor's end
                        // bounds the tries then.
                        let denied = kind == ErrorKind::Denied;
                        if denied {
                            tracing::warn!(%error, "etcd refuses to let a job be settled");
                        }
                        tokio::select! {
                            biased;
                            () = claim.lost() => return Step::Lost,
                            () = self.stopping.halt().cancelled() => {
                                return Step::Unsettled(error.to_string());
                            }
                            () = shutdown.cancelled(), if denied => {
                                return Step::Unsettled(error.to_string());
                            }
                            () = &mut too_late => return Step::Unsettled(error.to_string()),
                            () = sleep(AGAIN) => {}
                        }
                    }
                    // What can not be is the handler's fault: the job is not to be lost for that.
                    ErrorKind::Invalid => return self.give_back(claim, &error).await,
                    _ => return Step::Unsettled(error.to_string()),
                },
            }
        }
    }

    async fn give_back(&self, claim: &Claim, why: &Error) -> Step {
        let why = within_reason(why.to_string());
        match claim
            .abandon_with(Retry::backoff().reason(why.as_str()))
            .await
        {
            Ok(_) => Step::Abandoned(Some(why)),
            Err(error) => Step::Unsettled(error.to_string()),
        }
    }
}

/// The end of a try, dropped or not: the job is held no longer, whoever still has a handle to it, and that
/// one is told.
struct Over(Context);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.claim().give_back();
        self.0.stop().cancel();
    }
}

async fn settle(claim: &Claim, outcome: &Outcome) -> Result<()> {
    let at = match outcome {
        Outcome::Consume => claim.consume().await,
        Outcome::ConsumeWith(result) => claim.consume_with(result.clone()).await,
        Outcome::Abandon(retry) => claim.abandon_with(retry.clone()).await,
        Outcome::Snooze(delay) => claim.abandon_with(Retry::after(*delay).uncounted()).await,
        Outcome::Trash(reason) => claim.trash(reason).await,
    };
    at.map(drop)
}

fn done(outcome: Outcome) -> Step {
    match outcome {
        Outcome::Consume | Outcome::ConsumeWith(_) => Step::Consumed,
        Outcome::Abandon(retry) if retry.is_counted() => Step::Abandoned(retry.into_reason()),
        Outcome::Abandon(retry) => Step::Snoozed(retry.into_reason()),
        Outcome::Snooze(_) => Step::Snoozed(None),
        Outcome::Trash(reason) => Step::Trashed(reason),
    }
}

/// What a handler gave, an error or a panic as text.
fn told(
    ended: Result<Result<Outcome, HandlerError>, Box<dyn Any + Send>>,
) -> Result<Outcome, String> {
    match ended {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("panicked: {}", panicked::words(&*panic))),
    }
}
