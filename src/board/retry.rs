//! How a job is given back.

use std::time::Duration;

use super::Job;
use crate::{
    error::Result,
    protocol::{
        limits::{check_delay, check_reason},
        state::StateRecord,
    },
};

/// How a job is [given back](super::Claim::abandon_with): when it is to be tried again, why, and
/// whether the try counts.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use std::time::Duration;
///
/// use jobboard::{JobBoard, NewJob, Retry};
///
/// let board = JobBoard::builder("images").connect().await?;
/// let job = board.post(NewJob::new("thumbnail")).await?;
///
/// // It failed: the longer the more often.
/// let claim = board.claim(&job, "worker-7").await?;
/// claim.abandon_with(Retry::backoff().reason("no disk")).await?;
/// assert_eq!(job.attempts(), 1);
///
/// // It can not be done yet, which is nobody's fault.
/// let claim = board.claim(&job, "worker-7").await?;
/// claim.abandon_with(Retry::after(Duration::from_secs(60)).uncounted()).await?;
/// assert_eq!(job.attempts(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it says how a job is given back, and does not give it back"]
pub struct Retry {
    rest: Rest,
    reason: Option<String>,
    counted: bool,
}

/// How long the job is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    None,
    For(Duration),
    Backoff,
}

impl Retry {
    /// The job can be tried again at once, as after a plain [`abandon`](super::Claim::abandon).
    pub const fn at_once() -> Self {
        Self::new(Rest::None)
    }

    /// The job is to be tried again after `delay`, at most ten years. It is not offered before; who
    /// waits for it wakes when it is due.
    pub const fn after(delay: Duration) -> Self {
        Self::new(Rest::For(delay))
    }

    /// The job is to be tried again after a time that grows with its tries: by its own
    /// [backoff](super::NewJob::backoff), else by that of the
    /// [board](super::JobBoardBuilder::backoff).
    pub const fn backoff() -> Self {
        Self::new(Rest::Backoff)
    }

    /// Why the job is given back, for people: at most 4 KiB.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The try is not counted: the job is as if it had not been claimed.
    pub const fn uncounted(mut self) -> Self {
        self.counted = false;
        self
    }

    const fn new(rest: Rest) -> Self {
        Self {
            rest,
            reason: None,
            counted: true,
        }
    }

    pub(crate) fn check(&self, doing: &str) -> Result<()> {
        if let Rest::For(delay) = self.rest {
            check_delay(doing, delay)?;
        }
        check_reason(doing, self.reason.as_deref())
    }

    /// Whether the try counts.
    pub(crate) const fn is_counted(&self) -> bool {
        self.counted
    }

    pub(crate) fn into_reason(self) -> Option<String> {
        self.reason
    }

    /// The state of `job` once it is given back: it was `claimed`, and is as `before` if that does
    /// not count.
    pub(super) fn state(
        self,
        job: &Job,
        claimed: &StateRecord,
        before: StateRecord,
    ) -> StateRecord {
        let shared = &job.board.0;
        let delay = match self.rest {
            Rest::None => None,
            Rest::For(delay) => Some(delay),
            Rest::Backoff => {
                let backoff = job.entry.posting.terms().backoff;
                let backoff = backoff.unwrap_or(shared.settings.backoff);
                Some(shared.random.part_of(backoff.bound(claimed.attempts)))
            }
        };
        let state = if self.counted {
            claimed.abandoned()
        } else {
            before
        };
        let state = state.because(self.reason);
        match delay {
            Some(delay) => state.resting(delay, shared.clock.now()),
            None => state,
        }
    }
}
