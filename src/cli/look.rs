//! `jobboard list` and `jobboard show`: looking at the board, without writing anything.

use std::str::FromStr;

use uuid::Uuid;

use super::{
    Failure,
    connect::Place,
    output::{self, Format, JobView},
};
use crate::{Job, JobBoard, JobId, JobState};

/// Lists the jobs of the board, the most urgent first, then in the order in which they were posted.
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
}

impl Wanted {
    const fn is(self, state: JobState) -> bool {
        matches!(
            (self, state),
            (Self::Unclaimed, JobState::Unclaimed) | (Self::Claimed, JobState::Claimed)
        )
    }
}

impl List {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let board = place.look().await?;
        let wanted = |job: &Job| self.state.is_none_or(|state| state.is(job.state()));
        let jobs = board.jobs().filter(wanted);
        let jobs: Vec<JobView> = jobs.filter_map(|job| JobView::brief(&job)).collect();
        board.close().await;
        output::jobs(format, &jobs)
    }
}

/// Shows all of a job, its details too.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The number or the uuid of the job.
    job: Which,
}

impl Show {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let board = place.look().await?;
        let job = self.job.find(&board);
        let view = job.as_ref().and_then(JobView::full);
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
