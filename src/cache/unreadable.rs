//! The keys of a board that can not be read: listed for a person, and counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    protocol::{keys::JobId, record},
    store::{Key, Revision},
};

/// How many unreadable keys are listed. Further ones are only counted until some of these go.
pub(crate) const LISTED: usize = 1_000;

/// The longest key that is listed, in bytes. No key of a board's own is as long.
const LONGEST_LISTED: usize = 3 << 10;

/// A key of a board that can not be read, and that its view does without.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The key. Where other keys of a job are there and its posting is not, it is that of the posting.
    pub key: Key,
    /// The number of the job among whose keys it is, if it is among those of one.
    pub job: Option<JobId>,
    /// The revision at which it was put so, or at which the posting was seen to be missing.
    pub revision: Revision,
    /// What is wrong with it; never its content.
    pub why: String,
    /// Whether a newer version of this library wrote it: there is nothing wrong with it then, and it is
    /// to be left alone.
    pub newer: bool,
    /// Whether there is nothing at the key, which is that of a posting.
    pub(crate) missing: bool,
}

impl Unreadable {
    /// A key that was put at `revision`, of a job or of none.
    pub(crate) fn new(
        key: Key,
        job: Option<JobId>,
        revision: Revision,
        why: &record::Unreadable,
    ) -> Self {
        Self {
            key,
            job,
            revision,
            why: why.to_string(),
            newer: why.is_newer(),
            missing: false,
        }
    }

    /// The posting of a job, that was seen to be missing at `revision`.
    pub(crate) fn missing(posting: Key, job: JobId, revision: Revision) -> Self {
        Self {
            key: posting,
            job: Some(job),
            revision,
            why: "other keys of the job are there, its posting is not".to_owned(),
            newer: false,
            missing: true,
        }
    }

    /// Whether a person can do about it what can be done about `other`. The words alone can differ by
    /// whoever writes the key.
    const fn is_like(&self, other: &Self) -> bool {
        self.newer == other.newer && self.missing == other.missing
    }
}

/// The unreadable keys of one view.
#[derive(Debug, Default)]
pub(super) struct Register {
    listed: BTreeMap<Key, Unreadable>,
    fresh: BTreeSet<Key>,
    /// What was told, and has been taken off since anybody asked: it can come back at once.
    taken_off: BTreeMap<Key, Unreadable>,
    unlisted: u64,
    /// How many of those there were when that was told last.
    unlisted_told: u64,
    total: u64,
}

impl Register {
    pub(super) fn add(&mut self, unreadable: Unreadable) {
        self.total = self.total.saturating_add(1);
        let key = &unreadable.key;
        let full = self.listed.len() >= LISTED && !self.listed.contains_key(key);
        if full || key.as_bytes().len() > LONGEST_LISTED {
            self.unlisted += 1;
            return;
        }
        let before = self.taken_off.remove(key);
        if !before.is_some_and(|before| before.is_like(&unreadable)) {
            self.fresh.insert(key.clone());
        }
        self.listed.insert(key.clone(), unreadable);
    }

    /// Takes a key off the list. One that was not told yet is as if it had never been on it.
    pub(super) fn remove(&mut self, key: &Key) {
        let before = self.listed.remove(key);
        if self.fresh.remove(key) {
            self.total = self.total.saturating_sub(1);
        } else if let Some(before) = before {
            self.taken_off.insert(key.clone(), before);
        }
    }

    /// Carries over from the view that this one replaces what it has told already.
    pub(super) fn succeed(&mut self, old: &Self) {
        let Self { listed, fresh, .. } = self;
        let before = fresh.len();
        fresh.retain(|key| match (old.listed.get(key), listed.get(key)) {
            (Some(before), Some(now)) => !now.is_like(before),
            _ => true,
        });
        let told = u64::try_from(before - fresh.len()).unwrap_or(u64::MAX);
        self.total = old.total.saturating_add(self.total.saturating_sub(told));
        self.unlisted_told = old.unlisted_told.min(self.unlisted);
    }

    /// What is to be reported since this was asked last: the keys that were added, each once for as
    /// long as it stays as unreadable, and how many could not be listed, whenever that has doubled.
    /// So nobody can fill the log of every process by writing a key again and again.
    pub(super) fn take_fresh(&mut self) -> (Vec<Unreadable>, u64) {
        self.taken_off.clear();
        let fresh = std::mem::take(&mut self.fresh);
        let fresh = fresh.iter().filter_map(|key| self.listed.get(key).cloned());
        (fresh.collect(), self.take_unlisted())
    }

    fn take_unlisted(&mut self) -> u64 {
        let least = self.unlisted_told.saturating_mul(2).max(1);
        if self.unlisted < least {
            return 0;
        }
        self.unlisted_told = self.unlisted;
        self.unlisted
    }

    pub(super) fn listed(&self) -> Vec<Unreadable> {
        self.listed.values().cloned().collect()
    }

    /// How many there were since the cache began. A key counts again when it is written again, and
    /// one that is not listed when it is listed anew.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }
}

/// Reports what [`Register::take_fresh`] gave.
pub(super) fn warn((fresh, unlisted): (Vec<Unreadable>, u64)) {
    for unreadable in fresh {
        let Unreadable {
            key, revision, why, ..
        } = unreadable;
        tracing::warn!(%key, %revision, why, "a key of the board can not be read");
    }
    if unlisted > 0 {
        tracing::warn!(
            number = unlisted,
            "more keys of the board can not be read than are listed"
        );
    }
}
