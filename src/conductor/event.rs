//! What a conductor tells of each step.

use std::fmt;

use futures::{Stream, StreamExt, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::Job;

/// A step of a [`Conductor`](super::Conductor).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConductorEvent {
    /// The job that it is about; `None` for those that are about none.
    pub job: Option<Job>,
    /// Which try of the job it is, once it was claimed.
    pub attempt: Option<u32>,
    /// What happened.
    pub step: Step,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The job was claimed, and its handler is being run.
    Started,
    /// The job could not be claimed because another owner came first.
    Missed,
    /// The job could not be claimed, and this is why. It is tried again later; the others go on.
    Refused(String),
    /// The job is done.
    Consumed,
    /// The job was given back, for this reason if there is one.
    Abandoned(Option<String>),
    /// The job was given back without counting the try, for this reason if there is one.
    Snoozed(Option<String>),
    /// The job went into the trash, for this reason: as its handler said, or without another try
    /// (`attempt` is `None` then), as it was tried as often as it may be or somebody asked for it to be
    /// stopped.
    Trashed(String),
    /// The claim was lost. Whatever its handler did since, somebody else may have done too.
    Lost,
    /// What became of the job is not known, or it could not be settled: this is why. It comes back when
    /// the claim ends, or is done.
    Unsettled(String),
    /// The handler did not end in time when it was to stop, and was dropped.
    Dropped,
    /// The board is paused: nothing is claimed until it is resumed.
    Paused,
    /// No further job is claimed; what runs is waited for.
    Draining,
    /// All that ran has ended: the conductor has stopped.
    Stopped,
    /// Who listens was too slow, and missed that many events.
    Lagged(u64),
}

impl ConductorEvent {
    pub(super) const fn of_conductor(step: Step) -> Self {
        Self {
            job: None,
            attempt: None,
            step,
        }
    }
}

/// Shows the step, and the job that it is about.
impl fmt::Display for ConductorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(job) = &self.job {
            write!(f, "job {} ({}): ", job.id(), job.name())?;
        }
        match &self.step {
            Step::Started => f.write_str("started"),
            Step::Missed => f.write_str("somebody else came first"),
            Step::Refused(why) => write!(f, "not claimed: {why}"),
            Step::Consumed => f.write_str("consumed"),
            Step::Abandoned(why) => reasoned(f, "abandoned", why.as_deref()),
            Step::Snoozed(why) => reasoned(f, "given back uncounted", why.as_deref()),
            Step::Trashed(why) => write!(f, "trashed: {why}"),
            Step::Lost => f.write_str("lost"),
            Step::Unsettled(why) => write!(f, "unsettled: {why}"),
            Step::Dropped => f.write_str("its handler was dropped"),
            Step::Paused => f.write_str("the board is paused"),
            Step::Draining => f.write_str("draining"),
            Step::Stopped => f.write_str("stopped"),
            Step::Lagged(missed) => write!(f, "missed {missed} events"),
        }
    }
}

fn reasoned(f: &mut fmt::Formatter<'_>, step: &str, why: Option<&str>) -> fmt::Result {
    match why {
        Some(why) => write!(f, "{step}: {why}"),
        None => f.write_str(step),
    }
}

/// What comes from `told` on, until nobody can tell more.
pub(super) fn stream(
    told: Receiver<ConductorEvent>,
) -> impl Stream<Item = ConductorEvent> + Send + Unpin + 'static {
    let told = stream::unfold(told, |mut told| async move {
        let event = match told.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(missed)) => ConductorEvent::of_conductor(Step::Lagged(missed)),
            Err(RecvError::Closed) => return None,
        };
        Some((event, told))
    });
    told.boxed()
}
