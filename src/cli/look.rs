//! `jobboard list` and `jobboard show`: looking at the board, without writing anything.
#![expect(
    clippy::doc_markdown,
    reason = "help on a terminal, where backticks are noise"
)]

use std::{collections::BTreeMap, str::FromStr};

use uuid::Uuid;

use super::{
    Failure,
    connect::Place,
    output::{self, Format},
    view::{JobView, UNREADABLE},
};
use crate::{Job, JobBoard, JobId, JobState, Unreadable};

/// Lists the jobs of the board, and what can not be read.
///
/// The most urgent come first, then those that were posted first; below them is what can not be read,
/// and why. Jobs that are done or in the trash are not on the board any more. The columns are:
///
///   NUMBER    the number of the job on this board, which show takes
///   STATE     UNCLAIMED, CLAIMED or UNREADABLE (see --state)
///   PRIORITY  VERY_HIGH, HIGH, NORMAL, LOW or VERY_LOW
///   NAME      what its poster called it
///   OWNER     who holds it, as NAME@HOST:PID
///   CREATED   when it was posted, by the poster's clock, in UTC
///   NOTES     what TaskFlow posted or claimed, what stays claimed when its owner dies, and why
///             something can not be read
///
/// A dash stands for nothing, and ? for an owner that can not be read. With --output json each row is
/// an object with the same and more. The details of a job are told by show alone.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct List {
    /// Lists only what is in this state.
    #[arg(long)]
    state: Option<Wanted>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Wanted {
    /// Held by nobody: it waits for an owner, or for the time of its next try.
    Unclaimed,
    /// Held by an owner, who works on it.
    Claimed,
    /// No job, as far as can be told, or one whose posting can not be read.
    Unreadable,
}

impl Wanted {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unclaimed => JobState::Unclaimed.as_str(),
            Self::Claimed => JobState::Claimed.as_str(),
            Self::Unreadable => UNREADABLE,
        }
    }
}

impl List {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let board = place.look().await?;
        let mut jobs = all(&board);
        board.close().await;
        if let Some(wanted) = self.state {
            jobs.retain(|job| job.state == wanted.as_str());
        }
        output::jobs(format, &jobs)
    }
}

/// All jobs of the board, then what is there of others.
fn all(board: &JobBoard) -> Vec<JobView> {
    let mut unreadable = unreadable(board);
    let mut all = Vec::new();
    for job in board.jobs() {
        let of_job = unreadable.remove(&Some(job.id())).unwrap_or_default();
        all.extend(JobView::brief(&job, &of_job));
    }
    for (job, keys) in unreadable {
        match job {
            Some(job) => all.push(JobView::unreadable(board, job, &keys)),
            None => all.extend(keys.iter().map(JobView::stray)),
        }
    }
    all
}

/// The keys of the board that can not be read, by the job that they are of.
fn unreadable(board: &JobBoard) -> BTreeMap<Option<JobId>, Vec<Unreadable>> {
    let mut by_job = BTreeMap::<_, Vec<_>>::new();
    for key in board.unreadable() {
        by_job.entry(key.job).or_default().push(key);
    }
    by_job
}

/// Shows all of one job, its details too.
///
/// Beside what list tells these are its uuid, when it was last claimed or else posted (last modified),
/// the logbook that it refers to (book), and its details. If the job can not be read, this shows why.
/// Exits with 1 if it is not on the board: it was never posted, is done, or is in the trash.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Show {
    /// Which job: its number or its uuid, as post prints both.
    #[arg(value_name = "NUMBER|UUID")]
    job: Which,
}

impl Show {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let board = place.look().await?;
        let view = self.job.view(&board);
        board.close().await;
        let Some(view) = view else {
            let (name, job) = (board.name(), self.job);
            return Err(Failure::new(format!(
                "show job {job}: it is not on board {name}"
            )));
        };
        output::job(format, &view)
    }
}

/// How a person names a job.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Number(JobId),
    Uuid(Uuid),
}

impl Which {
    fn view(self, board: &JobBoard) -> Option<JobView> {
        let job = self.find(board);
        let number = job.as_ref().map(Job::id).or(self.number())?;
        let keys = unreadable(board).remove(&Some(number));
        match job {
            Some(job) => JobView::full(&job, &keys.unwrap_or_default()),
            None => Some(JobView::unreadable(board, number, &keys?)),
        }
    }

    const fn number(self) -> Option<JobId> {
        match self {
            Self::Number(id) => Some(id),
            Self::Uuid(_) => None,
        }
    }

    fn find(self, board: &JobBoard) -> Option<Job> {
        match self {
            Self::Number(id) => board.get(id),
            Self::Uuid(uuid) => board.find(uuid),
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().map(Self::Number).ok();
        let uuid = || Uuid::from_str(text).map(Self::Uuid).ok();
        number
            .or_else(uuid)
            .ok_or_else(|| "this is neither a number from 1 on nor a uuid".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_is_named_by_its_number_or_its_uuid() {
        let uuid = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        assert_eq!(uuid.parse(), Ok(Which::Uuid(uuid.parse().unwrap())));
        assert_eq!("42".parse(), Ok(Which::Number(JobId::new(42).unwrap())));
        assert!("0".parse::<Which>().is_err());
        assert!("job42".parse::<Which>().is_err());
    }
}
