//! The terms on which a job is posted: how often and when it is to be tried, and beside what.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{backoff::Backoff, time::Timestamp};

/// What a poster can ask for beyond TaskFlow's contract. Lies in the posting's `"jobboard"` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// How often the job is tried before it goes into the trash; else as the board says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_attempts: Option<NonZeroU32>,
    /// When the job is to be tried first; else at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<Timestamp>,
    /// How long it waits between its tries; else as the board says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backoff: Option<Backoff>,
    /// The unique key that the job holds for as long as it is on the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unique: Option<String>,
}

impl Terms {
    /// Nothing is asked for.
    pub(crate) const NONE: &'static Self = &Self {
        max_attempts: None,
        not_before: None,
        backoff: None,
        unique: None,
    };
}
