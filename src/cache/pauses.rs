//! A live view of whether a board is paused, kept by a list and a watch of its own: beside that of
//! the jobs, and not ordered against it.

use std::{mem, sync::Arc};

use tokio::sync::watch;

use super::{
    change::Origin,
    feed::Sink,
    link::{Closed, Link, Unlisted},
    upkeep::Upkeep,
};
use crate::{
    protocol::keys::Keyspace,
    random::Random,
    store::{self, Event, Key, KeyValue, Revision, Store},
};

/// The owner of the task that watches whether a board is paused. Dropping it stops the task.
#[derive(Debug)]
pub(crate) struct PauseCache {
    reader: PauseReader,
    upkeep: Upkeep,
}

impl PauseCache {
    /// Starts to watch whether the board of `keys` is paused. Must be called inside a tokio runtime.
    pub(crate) fn start(store: Arc<dyn Store>, keys: &Keyspace, random: Random) -> Self {
        let (tell, paused) = watch::channel(false);
        let sink = Pauses {
            key: keys.paused(),
            incoming: false,
            paused: tell,
        };
        let (upkeep, link) = Upkeep::start(store, keys.control(), random, sink);
        let reader = PauseReader { paused, link };
        Self { reader, upkeep }
    }

    /// The view.
    pub(crate) const fn reader(&self) -> &PauseReader {
        &self.reader
    }

    /// Stops the task and waits until it has ended. Doing it again is harmless. Cancel safe.
    pub(crate) async fn close(&self) {
        self.upkeep.close().await;
    }
}

/// A live view of whether a board is paused. Clones see the same.
///
/// No call makes a request, but for [`relist`](Self::relist).
#[derive(Clone, Debug)]
pub(crate) struct PauseReader {
    /// Ends with the feed.
    paused: watch::Receiver<bool>,
    link: Link,
}

impl PauseReader {
    /// Waits until the first list is complete; before, the board is taken as not paused. Cancel safe.
    ///
    /// # Errors
    /// Those of [`Reader::ready`](super::Reader::ready).
    pub(crate) async fn ready(&self) -> store::Result<()> {
        self.link.ready().await
    }

    /// Looks anew, and waits until the view shows what was seen after this call. Cancel safe.
    ///
    /// # Errors
    /// If the feed has ended, or the store refuses the user. While it can not be reached this
    /// waits.
    pub(crate) async fn relist(&self) -> Result<(), Unlisted> {
        self.link.relist().await
    }

    /// Whether the board is paused, as far as the view has come.
    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until the board is paused, or is not, as `wanted`. Cancel safe.
    ///
    /// # Errors
    /// If the feed has ended, and ended with the other.
    pub(crate) async fn until(&self, wanted: bool) -> Result<(), Closed> {
        let mut paused = self.paused.clone();
        let reached = paused.wait_for(|paused| *paused == wanted).await;
        reached.map(drop).map_err(|_| Closed)
    }
}

/// The sink of a board's pause.
struct Pauses {
    key: Key,
    incoming: bool,
    paused: watch::Sender<bool>,
}

impl Pauses {
    /// Wakes those who wait, if it is news.
    fn tell(&self, now: bool) {
        self.paused
            .send_if_modified(|paused| mem::replace(paused, now) != now);
    }
}

impl Sink for Pauses {
    fn list_begins(&mut self) {
        self.incoming = false;
    }

    fn page(&mut self, kvs: Vec<KeyValue>) {
        self.incoming |= kvs.iter().any(|kv| kv.key == self.key);
    }

    fn list_complete(&mut self, _: Revision, _: Origin) {
        self.tell(self.incoming);
    }

    fn revision(&mut self, _: Revision, events: &[Event]) {
        for event in events {
            match event {
                Event::Put(kv) if kv.key == self.key => self.tell(true),
                Event::Delete { key, .. } if *key == self.key => self.tell(false),
                Event::Put(_) | Event::Delete { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
