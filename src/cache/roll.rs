//! Who is registered at a board: a pure copy of the entities' keys at one revision.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::unreadable::{Register, Unreadable};
use crate::{
    protocol::{entity::Entity, keys::Keyspace, record},
    store::{Event, Key, KeyValue, Revision},
};

/// An entity that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// The entity, as it was registered last.
    pub entity: Entity,
    /// The session that it was registered in and goes with. It tells namesakes from one another, and
    /// changes when a process loses its session and registers in another.
    pub session: Uuid,
    /// The revision at which it was registered in this session. New metadata leave it as it is.
    pub since: Revision,
}

/// What happened to an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntityEvent {
    /// It was registered.
    Registered(Registered),
    /// It was registered again in the same session, with other metadata.
    Changed(Registered),
    /// It is registered no more. This is how it stood last.
    Gone(Registered),
    /// Who listens was too slow, and missed some of the changes: what is true now is in the list.
    Lagged,
}

/// Who is registered, and what of their keys can not be read.
#[derive(Debug)]
pub(super) struct Roll {
    keys: Keyspace,
    revision: Revision,
    present: BTreeMap<Key, Registered>,
    unreadable: Register,
}

impl Roll {
    /// The roll of a board that was not listed yet.
    pub(super) fn new(keys: Keyspace) -> Self {
        Self {
            keys,
            revision: Revision::ZERO,
            present: BTreeMap::new(),
            unreadable: Register::default(),
        }
    }

    /// Adds a page of a list. A list is a new roll, that [succeeds](Self::succeed) the one before
    /// when it is complete.
    pub(super) fn load(&mut self, page: &[KeyValue]) {
        for kv in page {
            self.take(&kv.key, kv.mod_revision, Some(kv));
        }
    }

    /// Completes a list of the revision `at`, and says how it differs from the roll before it.
    pub(super) fn succeed(&mut self, old: &Self, at: Revision) -> Vec<EntityEvent> {
        self.revision = at;
        self.unreadable.succeed(&old.unreadable);
        let all: BTreeSet<_> = old.present.keys().chain(self.present.keys()).collect();
        let mut changes = Vec::new();
        for key in all {
            let (before, after) = (old.present.get(key), self.present.get(key));
            differences(before, after, &mut changes);
        }
        changes
    }

    /// Applies all events of one revision, and says what they changed.
    pub(super) fn apply(&mut self, revision: Revision, events: &[Event]) -> Vec<EntityEvent> {
        self.revision = revision;
        let mut changes = Vec::new();
        for event in events {
            let (key, kv) = match event {
                Event::Put(kv) => (&kv.key, Some(kv)),
                Event::Delete { key, .. } => (key, None),
            };
            let before = self.take(key, revision, kv);
            differences(before.as_ref(), self.present.get(key), &mut changes);
        }
        changes
    }

    /// The unreadable keys that were added since this was called last, and the number of those
    /// that are too many to list.
    pub(super) fn take_fresh_unreadable(&mut self) -> (Vec<Unreadable>, u64) {
        self.unreadable.take_fresh()
    }

    /// The revision that is shown.
    pub(super) const fn revision(&self) -> Revision {
        self.revision
    }

    /// All that are registered and `wanted`, by kind, name and age.
    pub(super) fn list(&self, wanted: impl Fn(&Entity) -> bool) -> Vec<Registered> {
        let mut list: Vec<_> = self
            .present
            .values()
            .filter(|one| wanted(&one.entity))
            .cloned()
            .collect();
        list.sort_by(|a, b| place(a).cmp(&place(b)));
        list
    }

    /// The unreadable keys, at most [`LISTED`](super::unreadable::LISTED) of them.
    pub(super) fn unreadable(&self) -> Vec<Unreadable> {
        self.unreadable.listed()
    }

    /// Takes a key in, and gives who stood under it.
    fn take(&mut self, key: &Key, at: Revision, kv: Option<&KeyValue>) -> Option<Registered> {
        let before = self.present.remove(key);
        self.unreadable.remove(key);
        match kv.map(|kv| self.read(kv)) {
            Some(Ok(registered)) => {
                self.present.insert(key.clone(), registered);
            }
            Some(Err(why)) => self
                .unreadable
                .add(Unreadable::new(key.clone(), None, at, &why)),
            None => {}
        }
        before
    }

    fn read(&self, kv: &KeyValue) -> Result<Registered, record::Unreadable> {
        let session = self.keys.session_of_entity(&kv.key);
        let session = session.ok_or_else(|| record::Unreadable::new("its key names no session"))?;
        let entity = Entity::read(&kv.value)?;
        if self.keys.entity(entity.kind(), entity.name(), session) != kv.key {
            return Err(record::Unreadable::new("its key is not that of the entity"));
        }
        Ok(Registered {
            entity,
            session,
            since: kv.create_revision,
        })
    }
}

fn place(one: &Registered) -> (&str, &str, Revision, Uuid) {
    (one.entity.kind(), one.entity.name(), one.since, one.session)
}

/// Says what leads from who stood under a key to who stands there now.
fn differences(
    before: Option<&Registered>,
    after: Option<&Registered>,
    into: &mut Vec<EntityEvent>,
) {
    match (before, after) {
        (Some(before), Some(after)) if before.since == after.since => {
            if before.entity != after.entity {
                into.push(EntityEvent::Changed(after.clone()));
            }
        }
        (before, after) => {
            into.extend(before.cloned().map(EntityEvent::Gone));
            into.extend(after.cloned().map(EntityEvent::Registered));
        }
    }
}

#[cfg(test)]
mod tests;
