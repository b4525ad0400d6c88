//! Puts what the feed reads into the index, and tells what that changed.

use std::{
    mem,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use super::{
    agenda::Timing,
    change::{Applied, Origin},
    feed::Sink,
    index::{Changes, Index},
    unreadable::{self, Unreadable},
};
use crate::{
    protocol::keys::Keyspace,
    store::{Event, KeyValue, Revision},
};

/// The sink of a board's jobs. The only one who changes the index.
pub(super) struct Jobs<F> {
    keys: Keyspace,
    timing: Timing,
    index: Arc<RwLock<Index>>,
    incoming: Index,
    observer: F,
}

impl<F: Fn(&Applied<'_>)> Jobs<F> {
    pub(super) fn new(
        keys: Keyspace,
        timing: Timing,
        index: Arc<RwLock<Index>>,
        observer: F,
    ) -> Self {
        Self {
            incoming: Index::new(keys.clone(), timing.clone()),
            keys,
            timing,
            index,
            observer,
        }
    }

    fn empty(&self) -> Index {
        Index::new(self.keys.clone(), self.timing.clone())
    }

    fn tell(
        &self,
        revision: Revision,
        origin: Origin,
        changes: &Changes,
        unreadable: (Vec<Unreadable>, u64),
    ) {
        unreadable::warn(unreadable);
        (self.observer)(&Applied {
            revision,
            origin,
            changes: &changes.jobs,
            owners: &changes.owners,
        });
    }

    /// As for readers: a panic here ends the feed.
    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Fn(&Applied<'_>) + Send + 'static> Sink for Jobs<F> {
    fn list_begins(&mut self) {
        self.incoming = self.empty();
    }

    fn page(&mut self, kvs: Vec<KeyValue>) {
        self.incoming.load(&kvs);
    }

    /// Readers wait for the swap only: the differences are found, and the old index is taken
    /// apart, beside them.
    fn list_complete(&mut self, at: Revision, origin: Origin) {
        let changes = {
            let current = self.index.read().unwrap_or_else(PoisonError::into_inner);
            self.incoming.succeed(&current, at)
        };
        let unreadable = self.incoming.take_fresh_unreadable();
        let empty = self.empty();
        let incoming = mem::replace(&mut self.incoming, empty);
        let old = mem::replace(&mut *self.write(), incoming);
        self.tell(at, origin, &changes, unreadable);
        drop(old);
    }

    fn revision(&mut self, revision: Revision, events: &[Event]) {
        let mut index = self.write();
        let changes = index.apply(revision, events);
        let unreadable = index.take_fresh_unreadable();
        drop(index);
        self.tell(revision, Origin::Watched, &changes, unreadable);
    }
}
