//! The jobs of a board in order, made of the keys of its range. Does no IO, and knows of time what it
//! is told.
//!
//! A job is in the view while its posting can be read. Every other key is kept beside it, or waits
//! for it: an owner key counts from the moment it is there, whatever can be read of the job. What
//! can not be read is reported and harms no other job.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    agenda::{Agenda, Seen, Timing},
    change::{Change, ChangeKind, OwnerChange, differences},
    entry::{Entry, Holder, Position},
    slot::{Slot, Touched, holder},
    unreadable::{Register, Unreadable},
};
use crate::{
    protocol::{
        keys::{BoardKey, JobId, JobPart, Keyspace},
        record,
    },
    store::{Event, Key, KeyValue, Revision},
};

/// The view of a board at one revision.
#[derive(Debug)]
pub(crate) struct Index {
    keys: Keyspace,
    revision: Revision,
    jobs: BTreeMap<JobId, Slot>,
    ordered: BTreeMap<Position, Arc<Entry>>,
    /// Those that nobody holds and that are due.
    offered: BTreeMap<Position, Arc<Entry>>,
    /// Those that nobody holds and that are not due yet.
    agenda: Agenda,
    timing: Timing,
    uuids: BTreeSet<(Uuid, JobId)>,
    unreadable: Register,
}

/// What a revision or a list changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// What changed of the jobs, in the order of their numbers.
    pub(crate) jobs: Vec<Change>,
    /// What changed of the owner keys, in the order of the jobs' numbers.
    pub(crate) owners: Vec<OwnerChange>,
}

impl Index {
    /// The view of an empty board.
    pub(crate) fn new(keys: Keyspace, timing: Timing) -> Self {
        Self {
            keys,
            timing,
            agenda: Agenda::default(),
            revision: Revision::ZERO,
            jobs: BTreeMap::new(),
            ordered: BTreeMap::new(),
            offered: BTreeMap::new(),
            uuids: BTreeSet::new(),
            unreadable: Register::default(),
        }
    }

    /// Adds a page of a list. A list is a new view, that [succeeds](Self::succeed) the one before
    /// when it is complete.
    pub(crate) fn load(&mut self, page: &[KeyValue]) {
        let seen = page.iter().map(|kv| (&kv.key, kv.mod_revision, Some(kv)));
        for (job, touched) in self.absorb(seen) {
            self.commit(job, touched, Seen::Listed);
        }
    }

    /// Completes a list of the revision `at`, and says how it differs from the view before it.
    pub(crate) fn succeed(&mut self, old: &Self, at: Revision) -> Changes {
        self.revision = at;
        self.unreadable.succeed(&old.unreadable);
        let mut jobs: Vec<JobId> = old.jobs.keys().chain(self.jobs.keys()).copied().collect();
        jobs.sort();
        jobs.dedup();
        let mut changes = Changes::default();
        for job in jobs {
            self.keep_time(old, job);
            let (before, after) = (old.jobs.get(&job), self.jobs.get(&job));
            changes.add_job(at, before, after);
            let (was, is) = (holder(before), holder(after));
            if was.is_some() || is.is_some() {
                changes.add_owner(at, job, is);
            }
        }
        changes
    }

    /// Applies all events of one revision.
    pub(crate) fn apply(&mut self, revision: Revision, events: &[Event]) -> Changes {
        let seen = events.iter().map(|event| match event {
            Event::Put(kv) => (&kv.key, kv.mod_revision, Some(kv)),
            Event::Delete { key, revision } => (key, *revision, None),
        });
        let touched = self.absorb(seen);
        let mut changes = Changes::default();
        for (job, touched) in touched {
            let before = touched.before.clone();
            self.commit(job, touched, Seen::Live);
            let after = self.jobs.get(&job);
            changes.add_job(revision, before.as_ref(), after);
            let (was, is) = (holder(before.as_ref()), holder(after));
            if was != is {
                changes.add_owner(revision, job, is);
            }
        }
        self.revision = revision;
        changes
    }

    /// The unreadable keys that were added since this was called last, and the number of those
    /// that are too many to list.
    pub(crate) fn take_fresh_unreadable(&mut self) -> (Vec<Unreadable>, u64) {
        self.unreadable.take_fresh()
    }

    /// The revision that the view shows.
    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    /// The number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.ordered.len()
    }

    /// When the next job falls due that nobody holds.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.agenda.next()
    }

    /// Offers the jobs that are due by `now`.
    pub(crate) fn offer_due(&mut self, now: Instant) {
        while let Some(place) = self.agenda.pop(now) {
            if let Some(entry) = self.ordered.get(&place) {
                self.offered.insert(place, Arc::clone(entry));
            }
        }
    }

    /// The job after a position in the order, of all jobs or of those that are offered. The
    /// position need not be taken (any more).
    pub(crate) fn next(&self, after: Option<&Position>, offered: bool) -> Option<&Arc<Entry>> {
        let order = if offered {
            &self.offered
        } else {
            &self.ordered
        };
        let from = after.map_or(Bound::Unbounded, |position| Bound::Excluded(*position));
        let mut rest = order.range((from, Bound::Unbounded));
        rest.next().map(|(_, entry)| entry)
    }

    /// The job with this number.
    pub(crate) fn get(&self, job: JobId) -> Option<&Arc<Entry>> {
        self.jobs.get(&job).and_then(Slot::entry)
    }

    /// The job with this uuid; the one with the lowest number if several claim to have it.
    pub(crate) fn find(&self, uuid: Uuid) -> Option<&Arc<Entry>> {
        let lowest = JobId::new(1)?;
        let (_, job) = self
            .uuids
            .range((uuid, lowest)..)
            .next()
            .filter(|(found, _)| *found == uuid)?;
        self.get(*job)
    }

    /// Who holds a job, whether or not the job itself can be read.
    pub(crate) fn holder(&self, job: JobId) -> Option<&Arc<Holder>> {
        holder(self.jobs.get(&job))
    }

    /// The keys that can not be read, at most [`LISTED`](super::unreadable::LISTED) of them.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        self.unreadable.listed()
    }

    /// How many unreadable keys there were since the cache began.
    pub(crate) const fn unreadable_total(&self) -> u64 {
        self.unreadable.total()
    }

    /// Takes keys in, gathered by job so that each job changes once.
    fn absorb<'a>(
        &mut self,
        seen: impl Iterator<Item = (&'a Key, Revision, Option<&'a KeyValue>)>,
    ) -> BTreeMap<JobId, Touched> {
        let mut touched = BTreeMap::new();
        for (key, revision, kv) in seen {
            self.unreadable.remove(key);
            let (job, part) = match self.keys.parse(key) {
                Some(BoardKey::Job(job, part)) => (job, part),
                Some(BoardKey::Barrier) => continue,
                odd @ (Some(BoardKey::Foreign(..)) | None) => {
                    if kv.is_some() {
                        let why = record::Unreadable::new("it is no key of a board");
                        let job = odd.and_then(BoardKey::job);
                        self.unreadable
                            .add(Unreadable::new(key.clone(), job, revision, &why));
                    }
                    continue;
                }
            };
            let touched = touched
                .entry(job)
                .or_insert_with(|| Touched::new(self.jobs.get(&job)));
            touched.revision = revision;
            if let Err(why) = touched.take(part, kv) {
                self.unreadable
                    .add(Unreadable::new(key.clone(), Some(job), revision, &why));
            }
        }
        touched
    }

    /// Puts a job in its places.
    fn commit(&mut self, job: JobId, touched: Touched, seen: Seen) {
        let revision = touched.revision;
        let (before, after) = touched.finish(job);
        self.note_orphan(job, revision, before.as_ref(), after.as_ref());
        let (was, is) = (
            before.as_ref().and_then(Slot::entry),
            after.as_ref().and_then(Slot::entry),
        );
        if let Some(was) = was {
            let place = was.position();
            if is.is_none_or(|is| is.position() != place) {
                self.ordered.remove(&place);
            }
            if is.is_none_or(|is| is.uuid() != was.uuid()) {
                self.uuids.remove(&(was.uuid(), job));
            }
        }
        if let Some(is) = is {
            self.ordered.insert(is.position(), Arc::clone(is));
            self.uuids.insert((is.uuid(), job));
        }
        let seen = match is.and_then(|is| is.state()) {
            Some(state) if state.mod_revision == revision => seen,
            // What is said of its rest was said before.
            _ => Seen::Listed,
        };
        self.schedule(was, is, seen);
        match after {
            Some(slot) => self.jobs.insert(job, slot),
            None => self.jobs.remove(&job),
        };
    }

    /// Offers a job, puts it down for later, or takes it from both.
    fn schedule(&mut self, was: Option<&Arc<Entry>>, is: Option<&Arc<Entry>>, seen: Seen) {
        let is = is.filter(|is| is.is_free());
        let rests_as_before = |was: &&Arc<Entry>| is.is_some_and(|is| is.rests_as(was));
        let due = was
            .filter(rests_as_before)
            .map(|was| self.agenda.due(&was.position()));
        if let Some(place) = was.map(|was| was.position()) {
            self.offered.remove(&place);
            self.agenda.remove(&place);
        }
        let Some(is) = is else {
            return;
        };
        let due = due.unwrap_or_else(|| self.timing.due(is, seen));
        self.put_down(is, due);
    }

    /// Puts a job down for later, or offers it; never both.
    fn put_down(&mut self, entry: &Arc<Entry>, due: Option<Instant>) {
        let place = entry.position();
        if let Some(due) = due {
            self.offered.remove(&place);
            self.agenda.put(place, due);
        } else {
            self.agenda.remove(&place);
            self.offered.insert(place, Arc::clone(entry));
        }
    }

    /// Lets a job of a list rest as long as the view before this one does, if it is as it was.
    fn keep_time(&mut self, old: &Self, job: JobId) {
        let (Some(was), Some(is)) = (old.get(job), self.get(job)) else {
            return;
        };
        if is.rests_as(was) {
            let (is, due) = (Arc::clone(is), old.agenda.due(&was.position()));
            self.put_down(&is, due);
        }
    }

    /// Reports a job that has keys but no posting, under the key where that should be.
    fn note_orphan(
        &mut self,
        job: JobId,
        revision: Revision,
        before: Option<&Slot>,
        after: Option<&Slot>,
    ) {
        let orphan = |slot: Option<&Slot>| slot.is_some_and(Slot::is_orphan);
        match (orphan(before), orphan(after)) {
            (false, true) => {
                let posting = self.keys.job(job, JobPart::Data);
                self.unreadable
                    .add(Unreadable::missing(posting, job, revision));
            }
            (true, false) if after.is_none() => {
                self.unreadable.remove(&self.keys.job(job, JobPart::Data));
            }
            _ => {}
        }
    }
}

impl Changes {
    fn add_job(&mut self, at: Revision, before: Option<&Slot>, after: Option<&Slot>) {
        let lost = match after {
            Some(Slot::Hidden(hidden)) if hidden.posted => ChangeKind::BecameUnreadable,
            _ => ChangeKind::Removed,
        };
        let (before, after) = (before.and_then(Slot::entry), after.and_then(Slot::entry));
        differences(at, before, after, lost, &mut self.jobs);
    }

    fn add_owner(&mut self, revision: Revision, job: JobId, holder: Option<&Arc<Holder>>) {
        self.owners.push(OwnerChange {
            job,
            holder: holder.cloned(),
            revision,
        });
    }
}

#[cfg(test)]
mod tests;
