//! Does the jobs of a board, several at a time, until told to stop.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Failure, picker::Picker};
use crate::{Error, ErrorKind, Job, JobBoard, random::Random};

/// What became of a job that was picked.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was tried, and is off the board or given back.
    Tried,
    /// Somebody else claimed it first.
    Taken,
    /// The board is paused.
    Paused,
    /// It could not be claimed, and is to be left alone for a while.
    Refused,
    /// No job can be done: the crew ends.
    Failed(Failure),
}

impl Verdict {
    /// What a claim that was refused means for the job.
    pub(super) fn of_claim(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Claimed | ErrorKind::NotFound => Self::Taken,
            ErrorKind::Paused => Self::Paused,
            ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::Closed => {
                Self::Failed(Failure::new(error.to_string()))
            }
            _ => Self::Refused,
        }
    }
}

/// How much is done.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// How many jobs at a time.
    pub(super) concurrency: usize,
    /// How many jobs are tried, for ever if there is no limit.
    pub(super) max: Option<u64>,
    /// From when on no further job is begun.
    pub(super) stop: CancellationToken,
}

/// Picks jobs and has each `done`, until the limits are reached and all that was begun has ended.
///
/// # Errors
/// The first [`Failed`](Verdict::Failed), once all that was begun has ended.
pub(super) async fn work<F>(
    board: &JobBoard,
    limits: Limits,
    done: impl Fn(Job) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Verdict> + Send + 'static,
{
    let mut picker = Picker::new(board.clone(), Random::from_system());
    let mut running = JoinSet::new();
    let mut tried: u64 = 0;
    let mut failure = None;
    let mut paused = false;
    loop {
        let more = |running: &JoinSet<_>, tried: u64| {
            let begun = tried + running.len() as u64;
            limits.max.is_none_or(|max| begun < max) && !limits.stop.is_cancelled()
        };
        while more(&running, tried) && running.len() < limits.concurrency && !paused {
            let Some(job) = picker.pick() else { break };
            let doing = done(job.clone());
            running.spawn(async move { (job, doing.await) });
        }
        let more = more(&running, tried);
        if running.is_empty() && !more {
            break;
        }
        tokio::select! {
            biased;
            Some(ended) = running.join_next() => match ended {
                Ok((job, verdict)) => match verdict {
                    Verdict::Tried => { tried += 1; picker.tried(&job); }
                    Verdict::Taken => picker.taken(job),
                    Verdict::Paused => { picker.tried(&job); paused = true; }
                    Verdict::Refused => picker.refused(job),
                    Verdict::Failed(why) => {
                        failure.get_or_insert(why);
                        limits.stop.cancel();
                    }
                },
                Err(error) => {
                    failure.get_or_insert(Failure::new(format!("do a job: {error}")));
                    limits.stop.cancel();
                }
            },
            () = limits.stop.cancelled(), if more => {}
            resumed = board.resumed(None), if more && paused => match resumed {
                Ok(_) => paused = false,
                Err(error) => {
                    failure.get_or_insert(Failure::new(error.to_string()));
                    limits.stop.cancel();
                }
            },
            () = picker.changed(), if more && !paused && running.len() < limits.concurrency => {}
        }
    }
    failure.map_or(Ok(()), Err)
}
