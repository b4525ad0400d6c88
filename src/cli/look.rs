//! `jobboard list` and `jobboard show`: looking at the board, without writing anything.

use std::{collections::BTreeMap, str::FromStr};

use uuid::Uuid;

use super::{
    Failure,
    connect::Place,
    output::{self, Format},
    view::{JobView, UNREADABLE},
};
use crate::{Job, JobBoard, JobId, JobState, Unreadable};

/// Lists the jobs of the board, the most urgent first, then in the order in which they were posted,
/// and below them what can not be read, and why.
///
/// The notes tell what TaskFlow posted and claimed: what carries nothing of jobboard's.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Lists only the jobs in this state.
    #[arg(long)]
    state: Option<Wanted>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Wanted {
    Unclaimed,
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

/// Shows all of a job, its details too; of one that can not be read, why.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The number or the uuid of the job.
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
