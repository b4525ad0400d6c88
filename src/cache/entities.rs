//! A live view of who is registered at a board, kept by a list and a watch of its own: beside that
//! of the jobs, and not ordered against it.

use std::{
    mem,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::broadcast;

use super::{
    change::Origin,
    feed::Sink,
    link::{Closed, Link, Status, Unlisted},
    roll::{EntityEvent, Registered, Roll},
    unreadable::{self, Unreadable},
    upkeep::Upkeep,
};
use crate::{
    protocol::keys::Keyspace,
    random::Random,
    store::{self, Event, KeyValue, Revision, Store},
};

/// How many revisions wait for the slowest listener. Whoever is further behind misses some, and is
/// told so.
pub(super) const WAITING: usize = 256;

/// What one revision, or one list, changed.
pub(crate) type Batch = Arc<[EntityEvent]>;

/// The owner of the task that keeps a view of the entities. Dropping it stops the task.
#[derive(Debug)]
pub(crate) struct EntityCache {
    reader: EntityReader,
    upkeep: Upkeep,
}

impl EntityCache {
    /// Starts to keep a view of the entities of the board of `keys`. Must be called inside a tokio
    /// runtime.
    pub(crate) fn start(store: Arc<dyn Store>, keys: Keyspace, random: Random) -> Self {
        let range = keys.entities();
        let (batches, _) = broadcast::channel(WAITING);
        let listeners = batches.downgrade();
        let roll = Arc::new(RwLock::new(Roll::new(keys.clone())));
        let sink = Entities {
            incoming: Roll::new(keys.clone()),
            keys,
            roll: Arc::clone(&roll),
            batches,
        };
        let (upkeep, link) = Upkeep::start(store, range, random, sink);
        let reader = EntityReader {
            roll,
            link,
            listeners,
        };
        Self { reader, upkeep }
    }

    /// The view.
    pub(crate) const fn reader(&self) -> &EntityReader {
        &self.reader
    }

    /// Stops the task and waits until it has ended. The view stays as it is. Doing it again is
    /// harmless. Cancel safe.
    pub(crate) async fn close(&self) {
        self.upkeep.close().await;
    }
}

/// A live view of the entities. Clones see the same.
///
/// No call makes a request, but for [`relist`](Self::relist). Reading takes a lock for the time of
/// one look, never across an await.
#[derive(Clone, Debug)]
pub(crate) struct EntityReader {
    roll: Arc<RwLock<Roll>>,
    link: Link,
    /// Ends with the feed, who alone can tell them anything.
    listeners: broadcast::WeakSender<Batch>,
}

impl EntityReader {
    /// All that are registered, by kind, name and age.
    pub(crate) fn list(&self) -> Vec<Registered> {
        self.roll().list(|_| true)
    }

    /// All of one kind that are registered, by name and age.
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<Registered> {
        self.roll().list(|entity| entity.kind() == kind)
    }

    /// The keys that can not be read, at most [`LISTED`](super::unreadable::LISTED) of them.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        self.roll().unreadable()
    }

    /// The revision that the view shows; zero before the first list.
    pub(crate) fn applied(&self) -> Revision {
        self.roll().revision()
    }

    /// What changes from now on, revision by revision, each told when it can be read; `None` if
    /// the feed has ended.
    pub(crate) fn listen(&self) -> Option<broadcast::Receiver<Batch>> {
        Some(self.listeners.upgrade()?.subscribe())
    }

    /// How the feed gets on with the store.
    pub(crate) fn status(&self) -> Status {
        self.link.status()
    }

    /// Waits until the first list is complete. Cancel safe.
    ///
    /// # Errors
    /// Those of [`Reader::ready`](super::Reader::ready).
    pub(crate) async fn ready(&self) -> store::Result<()> {
        self.link.ready().await
    }

    /// Waits until the view shows a revision that this clone has not waited for yet. Cancel safe.
    ///
    /// # Errors
    /// If the feed has ended.
    pub(crate) async fn changed(&mut self) -> Result<Revision, Closed> {
        self.link.changed().await
    }

    /// Lists the entities, and waits until the view shows a list that began after this call. One
    /// list serves all who called before it began. Cancel safe.
    ///
    /// # Errors
    /// If the feed has ended, or the store refuses the user. While it can not be reached this
    /// waits.
    pub(crate) async fn relist(&self) -> Result<(), Unlisted> {
        self.link.relist().await
    }

    /// A panic of another holder can not have left the roll half changed for long: the feed that
    /// changes it ends with the panic, and who waits for it is told.
    fn roll(&self) -> RwLockReadGuard<'_, Roll> {
        self.roll.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sink of a board's entities. The only one who changes the roll.
struct Entities {
    keys: Keyspace,
    roll: Arc<RwLock<Roll>>,
    incoming: Roll,
    batches: broadcast::Sender<Batch>,
}

impl Entities {
    fn tell(&self, changes: Vec<EntityEvent>, unreadable: (Vec<Unreadable>, u64)) {
        unreadable::warn(unreadable);
        if !changes.is_empty() {
            // Whether anybody listens matters to nobody.
            _ = self.batches.send(changes.into());
        }
    }

    /// As for readers: a panic here ends the feed.
    fn write(&self) -> RwLockWriteGuard<'_, Roll> {
        self.roll.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Entities {
    fn list_begins(&mut self) {
        self.incoming = Roll::new(self.keys.clone());
    }

    fn page(&mut self, kvs: Vec<KeyValue>) {
        self.incoming.load(&kvs);
    }

    fn list_complete(&mut self, at: Revision, _: Origin) {
        let mut incoming = mem::replace(&mut self.incoming, Roll::new(self.keys.clone()));
        let mut roll = self.write();
        let changes = incoming.succeed(&roll, at);
        let unreadable = incoming.take_fresh_unreadable();
        *roll = incoming;
        drop(roll);
        self.tell(changes, unreadable);
    }

    fn revision(&mut self, revision: Revision, events: &[Event]) {
        let mut roll = self.write();
        let changes = roll.apply(revision, events);
        let unreadable = roll.take_fresh_unreadable();
        drop(roll);
        self.tell(changes, unreadable);
    }
}

#[cfg(test)]
mod tests;
