//! What the keys were at each revision, until it is compacted away.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use crate::store::{Error, ErrorKind, Event, Key, KeyRange, KeyValue, RangeEnd, Result, Revision};

/// How many revisions a watch looks at in one go, as many as etcd's does.
const REVISIONS_AT_ONCE: usize = 1000;

/// All changes since the compacted revision, by revision and by key.
#[derive(Debug)]
pub(super) struct History {
    keep: usize,
    compacted: Revision,
    /// One record per revision, without a gap.
    log: VecDeque<Record>,
    /// The changes of each key in order: those of the log, and before them the last one that was
    /// compacted, if it left a value.
    versions: BTreeMap<Key, VecDeque<Change>>,
}

#[derive(Debug)]
struct Record {
    revision: Revision,
    changes: Vec<Change>,
}

/// One change of one key.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put(Arc<KeyValue>),
    Delete { key: Key, revision: Revision },
}

/// What a watch finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The changes of the range, of whole revisions.
    pub(super) events: Vec<Event>,
    /// The first revision that was not looked at.
    pub(super) next: Revision,
}

impl History {
    /// A history that forgets by itself what lies more than `keep` revisions back.
    pub(super) const fn new(keep: usize) -> Self {
        Self {
            keep,
            compacted: Revision::ZERO,
            log: VecDeque::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Adds the changes of the next revision.
    pub(super) fn push(&mut self, revision: Revision, changes: Vec<Change>) {
        for change in &changes {
            self.versions
                .entry(change.key().clone())
                .or_insert_with(|| VecDeque::with_capacity(1))
                .push_back(change.clone());
        }
        self.log.push_back(Record { revision, changes });
        if self.log.len() > self.keep
            && let Some(second) = self.log.get(1)
        {
            self.forget_before(second.revision);
        }
    }

    /// Forgets what was before `revision`; what the keys were *at* it is kept.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<()> {
        if revision <= self.compacted {
            return Err(self.gone(format_args!("compact to revision {revision}")));
        }
        self.forget_before(revision);
        Ok(())
    }

    /// The keys of `range` as they were at `revision`, in order.
    pub(super) fn at(
        &self,
        range: &KeyRange,
        revision: Revision,
    ) -> Result<impl Iterator<Item = &KeyValue>> {
        if revision < self.compacted {
            return Err(self.gone(format_args!("read {range:?} at revision {revision}")));
        }
        let kvs = self
            .versions
            .range::<Key, _>(bounds(range))
            .filter_map(move |(_, versions)| {
                let known = versions.partition_point(|change| change.revision() <= revision);
                match versions.get(known.checked_sub(1)?)? {
                    Change::Put(kv) => Some(kv.as_ref()),
                    Change::Delete { .. } => None,
                }
            });
        Ok(kvs)
    }

    /// The changes of `range` in the next revisions from `from` on.
    pub(super) fn find(&self, range: &KeyRange, from: Revision) -> Result<Found> {
        if from < self.compacted {
            return Err(self.gone(format_args!("watch {range:?} from revision {from}")));
        }
        let start = self.log.partition_point(|record| record.revision < from);
        let end = self.log.len().min(start + REVISIONS_AT_ONCE);
        let mut found = Found {
            events: Vec::new(),
            next: from,
        };
        for record in self.log.range(start..end) {
            let changes = record.changes.iter();
            found.events.extend(
                changes
                    .filter(|change| range.contains(change.key()))
                    .map(Change::event),
            );
            found.next = record.revision.next();
        }
        Ok(found)
    }

    fn forget_before(&mut self, revision: Revision) {
        self.compacted = revision;
        while let Some(record) = self.log.pop_front_if(|record| record.revision < revision) {
            record.changes.iter().for_each(|change| self.prune(change));
        }
        free_unused(&mut self.log);
        // The changes of the revision itself can still be watched; what they replaced is gone.
        if let Some(record) = self.log.pop_front_if(|record| record.revision == revision) {
            record.changes.iter().for_each(|change| self.prune(change));
            self.log.push_front(record);
        }
    }

    /// Forgets all of a key before the compacted revision but the value that it had at it.
    fn prune(&mut self, change: &Change) {
        let Some(versions) = self.versions.get_mut(change.key()) else {
            return;
        };
        let past = versions.partition_point(|change| change.revision() <= self.compacted);
        let value = past
            .checked_sub(1)
            .filter(|last| matches!(versions.get(*last), Some(Change::Put(_))));
        versions.drain(..value.unwrap_or(past));
        if versions.is_empty() {
            self.versions.remove(change.key());
        } else {
            free_unused(versions);
        }
    }

    fn gone(&self, request: std::fmt::Arguments<'_>) -> Error {
        let compacted = self.compacted;
        Error::new(
            ErrorKind::Compacted,
            format!("{request}: the store was compacted to revision {compacted}"),
        )
    }
}

impl Change {
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Put(kv) => &kv.key,
            Self::Delete { key, .. } => key,
        }
    }

    fn revision(&self) -> Revision {
        match self {
            Self::Put(kv) => kv.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Put(kv) => Event::Put(KeyValue::clone(kv)),
            Self::Delete { key, revision } => Event::Delete {
                key: key.clone(),
                revision: *revision,
            },
        }
    }
}

/// Gives memory back when little of it is used any more.
fn free_unused<T>(deque: &mut VecDeque<T>) {
    if deque.capacity() > 4 * deque.len() {
        deque.shrink_to(2 * deque.len());
    }
}

/// The bounds of `range` in an ordered collection of keys.
pub(super) const fn bounds(range: &KeyRange) -> (Bound<&Key>, Bound<&Key>) {
    let start = range.start();
    let end = match range.end() {
        RangeEnd::Single => Bound::Included(start),
        RangeEnd::Before(end) => Bound::Excluded(end),
        RangeEnd::Unbounded => Bound::Unbounded,
    };
    (Bound::Included(start), end)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn key(text: &'static str) -> Key {
        Key::new(text).unwrap()
    }

    fn put(name: &'static str, revision: u64) -> Change {
        Change::Put(Arc::new(KeyValue {
            key: key(name),
            value: Bytes::from(revision.to_string()),
            create_revision: Revision::new(revision),
            mod_revision: Revision::new(revision),
            version: 1,
            lease: None,
        }))
    }

    fn delete(name: &'static str, revision: u64) -> Change {
        Change::Delete {
            key: key(name),
            revision: Revision::new(revision),
        }
    }

    /// a: put at 2 and 4, deleted at 5; b: put at 3.
    fn setup() -> History {
        let mut history = History::new(100);
        for (revision, change) in [
            (2, put("a", 2)),
            (3, put("b", 3)),
            (4, put("a", 4)),
            (5, delete("a", 5)),
        ] {
            history.push(Revision::new(revision), vec![change]);
        }
        history
    }

    fn revisions_at(history: &History, revision: u64) -> Vec<u64> {
        history
            .at(&KeyRange::prefix(key("a")), Revision::new(revision))
            .unwrap()
            .map(|kv| kv.mod_revision.get())
            .collect()
    }

    #[test]
    fn each_revision_shows_the_key_as_it_was() {
        let history = setup();
        assert!(revisions_at(&history, 1).is_empty());
        assert_eq!(revisions_at(&history, 3), [2]);
        assert_eq!(revisions_at(&history, 4), [4]);
        assert!(revisions_at(&history, 5).is_empty());
    }

    #[test]
    fn compacted_revision_can_be_read_and_the_one_before_it_can_not() {
        let mut history = setup();
        history.compact(Revision::new(4)).unwrap();
        assert_eq!(revisions_at(&history, 4), [4]);
        let range = key("a").into();
        let past = history.at(&range, Revision::new(3));
        assert_eq!(
            past.err().map(|error| error.kind()),
            Some(ErrorKind::Compacted)
        );
    }

    #[test]
    fn compaction_frees_what_can_not_be_read_any_more() {
        let mut history = setup();
        history.compact(Revision::new(4)).unwrap();
        assert_eq!(history.versions[&key("a")].len(), 2);
        history.compact(Revision::new(5)).unwrap();
        assert!(!history.versions.contains_key(&key("a")));
        assert_eq!(history.versions[&key("b")].len(), 1);
        assert_eq!(history.log.len(), 1);
    }

    #[test]
    fn history_keeps_no_more_revisions_than_it_may() {
        let mut history = History::new(3);
        for revision in 2..1000 {
            history.push(Revision::new(revision), vec![put("a", revision)]);
        }
        assert_eq!(
            (history.log.len(), history.versions[&key("a")].len()),
            (3, 3)
        );
        assert!(history.log.capacity() < 20 && history.versions[&key("a")].capacity() < 20);
        assert_eq!(revisions_at(&history, 997), [997]);
        assert!(history.at(&key("a").into(), Revision::new(996)).is_err());
    }

    #[test]
    fn watch_looks_at_a_bounded_number_of_revisions_and_says_where_to_go_on() {
        let mut history = History::new(10_000);
        for revision in 2..3000 {
            history.push(Revision::new(revision), vec![put("a", revision)]);
        }
        let found = history.find(&key("b").into(), Revision::new(5)).unwrap();
        let next = Revision::new(5 + REVISIONS_AT_ONCE as u64);
        assert_eq!(
            found,
            Found {
                events: vec![],
                next
            }
        );
        let rest = history.find(&key("a").into(), Revision::new(2990)).unwrap();
        assert_eq!((rest.events.len(), rest.next), (10, Revision::new(3000)));
    }

    #[test]
    fn watch_of_the_future_finds_nothing_and_stays_where_it_is() {
        let found = setup().find(&key("a").into(), Revision::new(50)).unwrap();
        assert_eq!(found.next, Revision::new(50));
    }
}
