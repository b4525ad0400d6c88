//! Tells of jobs that come into the trash.

use std::{mem, sync::Arc};

use super::{change::Origin, feed::Sink, upkeep::Upkeep};
use crate::{
    protocol::{
        keys::{JobId, Keyspace},
        record::Unreadable,
        trashed::{Place, TrashRecord},
    },
    random::Random,
    store::{Event, KeyValue, Revision, Store},
};

/// A job that came into the trash.
#[derive(Clone, Debug)]
pub(crate) struct Trashed {
    pub(crate) job: JobId,
    /// The revision at which it came there.
    pub(crate) at: Revision,
    pub(crate) place: Place,
    pub(crate) record: Arc<TrashRecord>,
}

impl Trashed {
    /// Reads what lies in a place of `job`.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub(crate) fn read(job: JobId, kv: KeyValue) -> Result<Self, Unreadable> {
        Ok(Self {
            job,
            at: kv.create_revision,
            place: Place::of(&kv),
            record: Arc::new(TrashRecord::read(kv.value)?),
        })
    }
}

/// The owner of the task that follows the trash. Dropping it stops the task.
#[derive(Debug)]
pub(crate) struct TrashWatch(Upkeep);

impl TrashWatch {
    /// Starts to tell `observer` of every job that came into the trash after the revision `after`;
    /// without one, after the first list. It is told, in order, up to which revision it has heard
    /// all. Must be called inside a tokio runtime.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        keys: Keyspace,
        random: Random,
        after: Option<Revision>,
        observer: impl Fn(Revision, Vec<Trashed>) + Send + Sync + 'static,
    ) -> Self {
        let range = keys.all_trash();
        let sink = Told {
            keys,
            after,
            incoming: Vec::new(),
            observer,
        };
        Self(Upkeep::start(store, range, random, sink).0)
    }

    /// Stops the task and waits until it has ended. Doing it again is harmless. Cancel safe.
    pub(crate) async fn close(&self) {
        self.0.close().await;
    }
}

/// What was told of the trash. What is in it is not kept: a list is told by the revisions at which
/// its keys came to be.
struct Told<F> {
    keys: Keyspace,
    after: Option<Revision>,
    incoming: Vec<Trashed>,
    observer: F,
}

impl<F> Told<F> {
    fn read(&self, kv: KeyValue) -> Option<Trashed> {
        let job = self.keys.parse_trash(&kv.key)?;
        let key = kv.key.clone();
        Trashed::read(job, kv)
            .inspect_err(|why| tracing::warn!(%key, %why, "a record of the trash can not be read"))
            .ok()
    }
}

impl<F: Fn(Revision, Vec<Trashed>) + Send + Sync + 'static> Sink for Told<F> {
    fn list_begins(&mut self) {
        self.incoming.clear();
    }

    fn page(&mut self, kvs: Vec<KeyValue>) {
        let Some(after) = self.after else {
            return;
        };
        for kv in kvs {
            if kv.create_revision > after {
                let trashed = self.read(kv);
                self.incoming.extend(trashed);
            }
        }
    }

    fn list_complete(&mut self, at: Revision, origin: Origin) {
        let mut trashed = mem::take(&mut self.incoming);
        // The revisions of another history say nothing of this one.
        if origin == Origin::OtherHistory || self.after.is_some_and(|after| after > at) {
            trashed.clear();
        }
        trashed.sort_by_key(|trashed| trashed.at);
        self.after = Some(at);
        (self.observer)(at, trashed);
    }

    fn revision(&mut self, revision: Revision, events: &[Event]) {
        let came = events.iter().filter_map(|event| match event {
            Event::Put(kv) if kv.create_revision == kv.mod_revision => self.read(kv.clone()),
            Event::Put(_) | Event::Delete { .. } => None,
        });
        let trashed = came.collect();
        self.after = Some(revision);
        (self.observer)(revision, trashed);
    }
}

#[cfg(test)]
mod tests;
