//! What came of a job, as its handler says it.

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::Retry;

/// What came of a job, as its [handler](super::Handler) says it: what is to become of it now.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The job is done.
    Consume,
    /// The job is done, and this result is [kept](crate::Claim::consume_with) for who waits for it.
    ConsumeWith(Value),
    /// The job is given back, to be tried again as this says. The try counts, unless it says otherwise.
    Abandon(Retry),
    /// The job can not be done yet, which is nobody's fault: it is to be tried again after this time,
    /// and the try does not count.
    Snooze(Duration),
    /// The job is broken, for this reason: it goes into the trash, and is not tried again.
    Trash(String),
}

/// Leaves the result out: it can be a secret.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consume => f.write_str("Consume"),
            Self::ConsumeWith(_) => f.write_str("ConsumeWith(..)"),
            Self::Abandon(retry) => f.debug_tuple("Abandon").field(retry).finish(),
            Self::Snooze(delay) => f.debug_tuple("Snooze").field(delay).finish(),
            Self::Trash(reason) => f.debug_tuple("Trash").field(reason).finish(),
        }
    }
}
