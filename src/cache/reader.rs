//! What the cache gives to those who look at the board.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    entry::{Entry, Holder, Position},
    index::Index,
    link::{Closed, Link, Status, Unlisted},
    unreadable::Unreadable,
};
use crate::{
    protocol::keys::JobId,
    store::{self, Revision},
};

/// A live view of a board. Clones see the same.
///
/// No call makes a request, but for [`relist`](Self::relist). Reading takes a lock for the time of
/// one look-up, never across an await.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    index: Arc<RwLock<Index>>,
    link: Link,
}

/// What happened to the view of a board since its handle was connected, in numbers. They begin anew with each connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Lists after the first of this connection.
    pub relists: u64,
    /// Watches that broke, or were given up because they were silent, and were opened again.
    pub reopened: u64,
    /// Events that told what had been applied before.
    pub dropped_events: u64,
    /// Keys that could not be read. One counts again when it is written again, and one that was
    /// too many to be listed also when the board is listed again.
    pub unreadable: u64,
}

impl Reader {
    pub(super) const fn new(index: Arc<RwLock<Index>>, link: Link) -> Self {
        Self { index, link }
    }

    /// The view itself, for another feed to go on with.
    pub(super) fn shared_index(&self) -> Arc<RwLock<Index>> {
        Arc::clone(&self.index)
    }

    /// The job after a position in the order of the board, from the first on if there is none; of
    /// all jobs, or only of those that are offered: nobody holds them, they can be claimed, and they
    /// are due.
    ///
    /// The position need not be taken any more, so that a loop over this sees every job that is on
    /// the board all the time, each at most once, and of the others those that come after where
    /// it is.
    pub(crate) fn next(
        &self,
        after: Option<&Position>,
        only_offered: bool,
    ) -> Option<(Position, Arc<Entry>)> {
        if only_offered {
            self.next_due();
        }
        let index = self.index();
        let entry = index.next(after, only_offered)?;
        Some((entry.position(), Arc::clone(entry)))
    }

    /// When the next job falls due that nobody holds, and that is not offered yet.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = self.index().next_due();
        if due.is_none_or(|due| due > now) {
            return due;
        }
        // The feed does not look at the time, so that who reads does.
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.offer_due(now);
        index.next_due()
    }

    /// The job with this number.
    pub(crate) fn get(&self, job: JobId) -> Option<Arc<Entry>> {
        self.index().get(job).cloned()
    }

    /// The job with this uuid; the one with the lowest number if several claim to have it.
    pub(crate) fn find(&self, uuid: Uuid) -> Option<Arc<Entry>> {
        self.index().find(uuid).cloned()
    }

    /// Who holds a job, whether or not the job itself can be read.
    pub(crate) fn holder(&self, job: JobId) -> Option<Arc<Holder>> {
        self.index().holder(job).cloned()
    }

    /// The number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.index().len()
    }

    /// The revision that the view shows; zero before the first list.
    pub(crate) fn applied(&self) -> Revision {
        self.index().revision()
    }

    /// The keys that can not be read, at most [`LISTED`](super::unreadable::LISTED) of them.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        self.index().unreadable()
    }

    /// How the cache gets on with the store.
    pub(crate) fn status(&self) -> Status {
        self.link.status()
    }

    /// Whether the store refuses the user the board: what is shown stays as it is until that ends, which
    /// is asked for seldom, and at each [`relist`](Self::relist).
    pub(crate) fn is_denied(&self) -> bool {
        self.link.is_denied()
    }

    /// What happened so far.
    pub(crate) fn counts(&self) -> Counts {
        let counters = self.link.counters();
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            relists: load(&counters.relists),
            reopened: load(&counters.reopened),
            dropped_events: load(&counters.dropped_events),
            unreadable: self.index().unreadable_total(),
        }
    }

    /// Waits until the first list is complete. Cancel safe.
    ///
    /// # Errors
    /// Why the board can not be listed, if trying again can not help: the store refuses the user,
    /// or the request. While the store can not be reached this waits; [`status`](Self::status)
    /// tells why.
    pub(crate) async fn ready(&self) -> store::Result<()> {
        self.link.ready().await
    }

    /// Waits until the view shows `revision` or a later one, and the observer was told of it. If
    /// the store's history turns out to be another one meanwhile, waits for its first list
    /// instead. Cancel safe.
    ///
    /// # Errors
    /// If the cache is closed.
    pub(crate) async fn wait_applied(&self, revision: Revision) -> Result<(), Closed> {
        self.link.applied(revision).await
    }

    /// Waits until the view shows a revision that this clone has not waited for yet, and gives it.
    /// Cancel safe.
    ///
    /// # Errors
    /// If the cache is closed.
    pub(crate) async fn changed(&mut self) -> Result<Revision, Closed> {
        self.link.changed().await
    }

    /// Lists the board, and waits until the view shows a list that began after this call. One list
    /// serves all who called before it began. Cancel safe.
    ///
    /// # Errors
    /// If the cache is closed, or the store refuses the user. While it can not be reached this
    /// waits.
    pub(crate) async fn relist(&self) -> Result<(), Unlisted> {
        self.link.relist().await
    }

    /// A panic of another holder can not have left the index half changed for long: the feed that
    /// changes it ends with the panic, and who waits for it is told.
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}
