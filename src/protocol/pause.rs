//! Pausing a board: while the record is there, nothing is claimed.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    keys::Keyspace,
    record::{self, Layout, Unreadable},
    repeatable::Repeatable,
    time::Timestamp,
};
use crate::store::Op;

/// Why nothing is claimed on a board, as far as that can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pause {
    /// Who paused it.
    pub by: Option<String>,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// When it was paused, by the clock of who paused it.
    pub on: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Wire {
    paused_by: Option<String>,
    reason: Option<String>,
    paused_on: Option<Timestamp>,
    jobboard: Option<Layout>,
}

impl Pause {
    /// Reads a record. What can not be read is a pause too, of which nothing else is known.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let wire: Wire = record::read_versioned(bytes)?;
        Layout::check(wire.jobboard)?;
        Ok(Self {
            by: wire.paused_by,
            reason: wire.reason,
            on: wire.paused_on.map(Timestamp::get),
        })
    }

    fn write(&self) -> Bytes {
        #[derive(Serialize)]
        struct Wire<'a> {
            paused_by: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
            paused_on: Option<Timestamp>,
            jobboard: Layout,
        }
        record::write(&Wire {
            paused_by: self.by.as_deref(),
            reason: self.reason.as_deref(),
            paused_on: self.on.map(Timestamp::from),
            jobboard: Layout::CURRENT,
        })
    }
}

/// Pauses a board. One that is paused stays so, for the newer reason.
pub(crate) fn pause(keys: &Keyspace, pause: &Pause) -> Repeatable {
    Repeatable::new("pause the board", Op::put(keys.paused(), pause.write()))
}

/// Ends the pause of a board. One that is not paused stays so.
pub(crate) fn resume(keys: &Keyspace) -> Repeatable {
    Repeatable::new("resume the board", Op::delete(keys.paused()))
}

#[cfg(test)]
mod tests;
