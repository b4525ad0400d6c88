//! Promises that were broken, with the story that led to it.

use std::fmt;

/// A promise of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// I1: at every revision a job has at most one owner, and only jobs that are there have one.
    OneOwner,
    /// I2: a job that was posted is on the board, in the trash, or was consumed once; none is lost,
    /// none comes back.
    Kept,
    /// Of the jobs on the board, one at most has a unique key.
    Unique,
    /// I3: no change carries the token of an owner that was not the owner before it.
    Fenced,
    /// I4: what failed for sure changed nothing, what succeeded is in the store, and the order of
    /// revisions agrees with that of the calls.
    Definite,
    /// I5: a view is what a list at its revision is, and what subscribers are told is the history.
    View,
    /// I6: when the trouble is over, each job can be claimed or has ended within the time that is promised.
    Recovered,
    /// I7: no two believe at the same time that they own a job.
    OneBelief,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    promise: Promise,
    number: Option<u64>,
    why: String,
    story: Vec<String>,
}

impl Violation {
    pub(super) fn new(promise: Promise, number: Option<u64>, why: impl Into<String>) -> Self {
        Self {
            promise,
            number,
            why: why.into(),
            story: Vec::new(),
        }
    }

    /// Which one.
    pub const fn promise(&self) -> Promise {
        self.promise
    }

    /// The number of the job that it is about.
    pub(super) const fn number(&self) -> Option<u64> {
        self.number
    }

    /// Adds what led to it.
    pub(super) fn with(mut self, story: Vec<String>) -> Self {
        self.story = story;
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, why, .. } = self;
        match self.number {
            Some(number) => write!(f, "{promise:?} is broken for job {number}: {why}")?,
            None => write!(f, "{promise:?} is broken: {why}")?,
        }
        for line in &self.story {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}
