//! I5: whether what clients saw of the board, and were told of it, is what was there.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    slice,
};

use uuid::Uuid;

use super::{
    super::{
        history::{Change, What},
        noted::{News, Told, View},
        story::{Promise, Violation},
    },
    Judge,
};
use crate::store::Revision;

impl Judge<'_> {
    /// Each view is the board at its revision.
    pub(super) fn views(&self, views: &[View]) -> Result<(), Violation> {
        let mut views: Vec<_> = views.iter().collect();
        views.sort_by_key(|view| view.revision);
        let mut replay = Replay::of(&self.history.changes);
        for View {
            client,
            revision,
            jobs,
        } in views
        {
            replay.go_on(*revision);
            let board = &replay.board;
            let seen: BTreeMap<_, _> = jobs
                .iter()
                .map(|(job, who)| (*job, who.as_deref()))
                .collect();
            if seen != *board || seen.len() != jobs.len() {
                let other = |job: &&Uuid| seen.get(job) != board.get(job);
                let odd = seen.keys().chain(board.keys()).find(other);
                let why = format!("{client} saw {seen:?} at {revision}, where there was {board:?}");
                return Err(self.unseen(odd, why));
            }
        }
        Ok(())
    }

    /// What each subscriber was told happened so, in that order, and it was told all of it; but for what a
    /// list merged.
    pub(super) fn told(&self, told: &[Told], deaf: &BTreeSet<String>) -> Result<(), Violation> {
        let mut subscribers = BTreeMap::<&str, Vec<&Told>>::new();
        for one in told {
            subscribers.entry(&one.client).or_default().push(one);
        }
        for (subscriber, told) in subscribers {
            let there = self.heard(subscriber, &told)?;
            let board = self.history.jobs().values().map(|job| job.uuid).collect();
            if there != board && !deaf.contains(subscriber) {
                let why = format!("{subscriber} was told of {there:?}, and {board:?} is there");
                return Err(self.unseen(there.symmetric_difference(&board).next(), why));
            }
        }
        Ok(())
    }

    /// The jobs that are there by what one subscriber was told.
    fn heard(&self, subscriber: &str, told: &[&Told]) -> Result<BTreeSet<Uuid>, Violation> {
        let mut replay = Replay::of(&self.history.changes);
        let (mut there, mut last, mut merged) = (BTreeSet::new(), None, 0);
        for told in told.chunk_by(|one, next| one.revision == next.revision) {
            let Some(Told { revision, .. }) = told.first() else {
                continue;
            };
            let happened = replay.go_on(*revision);
            for news in told.iter().map(|told| &told.news) {
                let broken = |why: &str| {
                    let why = format!("{subscriber} was told at {revision} {news}, {why}");
                    Err(self.unseen(news.job(), why))
                };
                if last.is_some_and(|last| *revision < last) {
                    return broken("after something later");
                }
                let (alters, came) = match news {
                    News::Listens => continue,
                    News::Came(job) => (there.insert(*job), true),
                    News::Went(job) => (there.remove(job), false),
                };
                if !alters {
                    return broken("for the second time");
                }
                let so = |it: &&Change| Some(&it.uuid) == news.job() && it.moves() == Some(came);
                if !happened.iter().any(so) {
                    return broken("and it was not so");
                }
            }
            if there != replay.jobs() {
                let (board, at) = (replay.jobs(), revision);
                let why =
                    format!("{subscriber} knew of {there:?} at {at}, and {board:?} was there");
                return Err(self.unseen(there.symmetric_difference(&board).next(), why));
            }
            let missed = happened.iter().find(|it| it.revision < *revision);
            if let (Some(missed), Some(_)) = (missed, last) {
                merged += 1;
                let lists = told.iter().filter_map(|told| told.lists).max();
                if lists.is_some_and(|lists| lists < merged) {
                    let why = format!(
                        "{subscriber} was not told that {} {:?} at {}, and no list merged that",
                        missed.uuid, missed.what, missed.revision
                    );
                    return Err(self.unseen(Some(&missed.uuid), why));
                }
            }
            last = Some(*revision);
        }
        Ok(there)
    }

    fn unseen(&self, job: Option<&Uuid>, why: String) -> Violation {
        let number = job.and_then(|job| self.history.number_of(*job));
        Violation::new(Promise::View, number, why)
    }
}

impl Change {
    /// Whether it brings the job onto the board or takes it off, if it does either.
    const fn moves(&self) -> Option<bool> {
        match self.what {
            What::Posted { .. } | What::Restored { .. } => Some(true),
            What::Consumed { .. } | What::Trashed { .. } => Some(false),
            What::Claimed { .. } | What::Freed { .. } => None,
        }
    }
}

/// What happened, played again.
struct Replay<'a> {
    left: Peekable<slice::Iter<'a, Change>>,
    /// The jobs that are on the board, each with its owner.
    board: BTreeMap<Uuid, Option<&'a str>>,
}

impl<'a> Replay<'a> {
    fn of(changes: &'a [Change]) -> Self {
        Self {
            left: changes.iter().peekable(),
            board: BTreeMap::new(),
        }
    }

    /// Goes on up to this revision. Gives what came onto the board and went off it on the way.
    fn go_on(&mut self, to: Revision) -> Vec<&'a Change> {
        let mut moved = Vec::new();
        while let Some(change) = self.left.next_if(|next| next.revision <= to) {
            match &change.what {
                What::Posted { .. } | What::Restored { .. } | What::Freed { .. } => {
                    self.board.insert(change.uuid, None);
                }
                What::Claimed { who } => _ = self.board.insert(change.uuid, Some(who)),
                What::Consumed { .. } | What::Trashed { .. } => _ = self.board.remove(&change.uuid),
            }
            if change.moves().is_some() {
                moved.push(change);
            }
        }
        moved
    }

    fn jobs(&self) -> BTreeSet<Uuid> {
        self.board.keys().copied().collect()
    }
}
