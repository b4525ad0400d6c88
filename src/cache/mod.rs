//! A live view of a board: its jobs in order, in memory, kept by a list and a watch.
//!
//! ```text
//!   store ──▶ feed ──▶ jobs ──▶ index ◀── reader
//!                        └────▶ observer
//! ```
//!
//! One watch covers all keys of the jobs, so that postings and owners share one order of revisions.
//! A revision is applied whole: readers never see a part of it, and the observer is told of it when
//! it can be read. At each revision the view equals a list of that revision. It is always behind
//! the store by a little, so that it decides nothing: what is true is decided by the compares of a
//! transaction.

mod agenda;
mod change;
mod entities;
mod entry;
mod feed;
mod index;
mod jobs;
mod link;
mod pauses;
mod reader;
mod retry;
mod roll;
mod silence;
mod slot;
mod trash;
mod unreadable;
mod upkeep;

use std::sync::{Arc, RwLock};

pub(crate) use self::{
    agenda::Timing,
    change::{Applied, Change, ChangeKind, Origin, OwnerChange},
    entities::{Batch, EntityCache, EntityReader},
    entry::{Entry, Holder, Position},
    link::{Closed, Unlisted},
    pauses::{PauseCache, PauseReader},
    reader::Reader,
    trash::{TrashWatch, Trashed},
};
use self::{index::Index, jobs::Jobs, upkeep::Upkeep};
pub use self::{
    reader::Counts,
    roll::{EntityEvent, Registered},
    unreadable::Unreadable,
};
use crate::{protocol::keys::Keyspace, random::Random, store::Store};

/// The owner of the task that keeps a view of a board. Dropping it stops the task.
#[derive(Debug)]
pub(crate) struct Cache {
    reader: Reader,
    upkeep: Upkeep,
}

impl Cache {
    /// Starts to keep a view of the board of `keys`. Must be called inside a tokio runtime.
    ///
    /// `observer` is told of each revision once it can be read, in order, by the task that keeps
    /// the view: while it works, nothing new is applied. If an `earlier` view is given, this one
    /// goes on from it: the first list is told by its differences to that.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        keys: Keyspace,
        (random, timing): (Random, Timing),
        earlier: Option<&Reader>,
        observer: impl Fn(&Applied<'_>) + Send + Sync + 'static,
    ) -> Self {
        let index = earlier.map_or_else(
            || Arc::new(RwLock::new(Index::new(keys.clone(), timing.clone()))),
            Reader::shared_index,
        );
        let range = keys.jobs();
        let jobs = Jobs::new(keys, timing, Arc::clone(&index), observer);
        let (upkeep, link) = Upkeep::start(store, range, random, jobs);
        Self {
            reader: Reader::new(index, link),
            upkeep,
        }
    }

    /// The view.
    pub(crate) const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Stops the task and waits until it has ended. The view stays as it is. Doing it again is
    /// harmless. Cancel safe.
    pub(crate) async fn close(&self) {
        self.upkeep.close().await;
    }
}
