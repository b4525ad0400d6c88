//! Watches: every change of a range, in order, in whole revisions.

use futures::stream::BoxStream;

use super::{Header, Key, KeyRange, KeyValue, Result, Revision};

/// What a watch asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchRequest {
    /// The keys to watch.
    pub range: KeyRange,
    /// The first revision to tell of, past or future.
    pub from: Revision,
}

impl WatchRequest {
    /// Watches `range` from the revision `from` on, that one included.
    pub fn new(range: impl Into<KeyRange>, from: Revision) -> Self {
        Self {
            range: range.into(),
            from,
        }
    }
}

/// A running watch. It ends with its first error, and never without one; dropping it ends the
/// watch in the store as well.
///
/// A stream ends with [`Compacted`](super::ErrorKind::Compacted) when what it has to tell has been
/// compacted away, with [`Denied`](super::ErrorKind::Denied) when the store refuses the user, and
/// with [`Unavailable`](super::ErrorKind::Unavailable) when the connection broke: then it can be
/// opened again from the last revision that it told of, plus one. What it has to tell of one
/// revision can be [`TooLarge`](super::ErrorKind::TooLarge) for the client, and will be again.
pub type WatchStream = BoxStream<'static, Result<WatchBatch>>;

/// The changes of one or more whole revisions: a revision is never split between two batches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a watch tells, complete")]
pub struct WatchBatch {
    /// Who tells, and its revision at that time, which can be ahead of the events told so far:
    /// never a place to resume from.
    pub header: Header,
    /// The changes, in the order of their revisions; at least one.
    pub events: Vec<Event>,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's two events")]
pub enum Event {
    /// The key was put.
    Put(KeyValue),
    /// The key was deleted, or ended with its lease.
    Delete {
        /// The key.
        key: Key,
        /// When.
        revision: Revision,
    },
}

impl Event {
    /// The key that changed.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// The revision of the change.
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Put(kv) => kv.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}
