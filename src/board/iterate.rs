//! Looking at the jobs of a board, one after the other.

use super::{Job, JobBoard};
use crate::cache::Position;

/// The jobs of a board, in order and live: a job that vanishes meanwhile is left out.
#[derive(Clone, Debug)]
pub struct Jobs {
    board: JobBoard,
    after: Option<Position>,
    only_unclaimed: bool,
}

impl Jobs {
    pub(super) const fn of(board: JobBoard) -> Self {
        Self {
            board,
            after: None,
            only_unclaimed: false,
        }
    }

    /// Leaves out what can not be claimed now: what somebody holds, what is not due yet, and what has
    /// a state that can not be read.
    #[must_use]
    pub const fn only_unclaimed(mut self) -> Self {
        self.only_unclaimed = true;
        self
    }

    /// The board of the jobs.
    pub const fn board(&self) -> &JobBoard {
        &self.board
    }
}

impl Iterator for Jobs {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        let (at, entry) = self
            .board
            .reader()?
            .next(self.after.as_ref(), self.only_unclaimed)?;
        self.after = Some(at);
        Some(self.board.job_of(entry))
    }
}
