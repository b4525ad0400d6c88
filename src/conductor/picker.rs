//! Which job a conductor claims next.
//!
//! The first of the jobs that it wants, in the order of the board: but a crowd of conductors must not run
//! into one another over each. So each job has an order of the live conductors ([`super::rank`]), drawn by
//! chance for each job, that all of them know without a word. The first may claim the job as soon as it
//! sees it, each further one a few milliseconds later. Of a window of the most urgent jobs a conductor
//! takes the one that fewest come before it for. Nobody waits for a job that is left lying: who is busy or
//! gone is passed over after a moment, and counts no more after a few seconds, so that no job lies for
//! long while others are done that came after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::rank::rank;
use crate::{Job, JobId, store::Revision};

/// How long a job is left alone that somebody else claimed: longer than the view takes to show it.
const TAKEN: Duration = Duration::from_millis(50);

/// How long a job is left alone that could not be claimed, at first.
const REFUSED: Duration = Duration::from_secs(1);

/// How long a job is left alone at most that can not be claimed as it is. Where there are many of them, all
/// tries together must leave time for the jobs behind them.
const UNFIT: Duration = Duration::from_mins(1);

/// How many jobs one is picked from for each live conductor: of four, one is its own 98 of 100 times
/// (1 - 1/e^4). With two, 7 % of the claims of 32 conductors were wasted, with four 2 %.
const WINDOW: usize = 4;

/// The largest number of jobs that one is picked from.
const LARGEST_WINDOW: usize = 256;

/// How long a suspect waits for a conductor that runs nothing, before one makes room for it.
const ALONE_WITHIN: Duration = Duration::from_mins(1);

/// How much later each further conductor makes room: what runs at the first has that long to end.
const ROOM_STEP: Duration = Duration::from_mins(1);

/// How much later each further conductor may claim a job, at least and at most.
const STEPS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Each time a job has been seen for so long, one fewer counts as coming before. Longer than a job of a
/// crowd's backlog is in the window, unless the jobs take so long that the crowd seldom claims at once.
const AGEING: Duration = Duration::from_secs(5);

/// What there is to claim.
#[derive(Debug)]
pub(super) enum Pick {
    /// This job.
    Job(Job),
    /// A job that is to be run alone, once what runs has ended: nothing else is to be claimed until then.
    MakeRoom,
    /// Nothing yet; if nothing changes before, it is to be looked at again at this time.
    Nothing(Option<Instant>),
}

/// Picks jobs for one conductor. It knows them by their numbers: records of one uuid can lie under several.
#[derive(Debug)]
pub(super) struct Picker {
    me: Uuid,
    /// The jobs that this conductor claims or runs.
    busy: BTreeSet<JobId>,
    /// The revision of the view that was looked at last.
    view: Revision,
    /// The jobs that it claimed and settled, and the revisions of their claims, which the view has not
    /// come up to.
    unseen: BTreeMap<JobId, Revision>,
    /// The jobs that are left alone until then.
    resting: BTreeMap<JobId, Instant>,
    /// The jobs that could not be claimed as they are: until when each was left alone, and how long.
    unfit: BTreeMap<JobId, (Instant, Duration)>,
    /// Since when each job that could be picked is known to be free.
    seen: BTreeMap<JobId, Instant>,
    /// The job for which nothing else is claimed until what runs has ended.
    room_for: Option<JobId>,
    /// How long a claim takes, about.
    claiming: Duration,
}

impl Picker {
    pub(super) const fn new(me: Uuid) -> Self {
        Self {
            me,
            busy: BTreeSet::new(),
            view: Revision::ZERO,
            unseen: BTreeMap::new(),
            resting: BTreeMap::new(),
            unfit: BTreeMap::new(),
            seen: BTreeMap::new(),
            room_for: None,
            claiming: Duration::ZERO,
        }
    }

    /// Picks one of the `wanted` jobs, which come in the order of the board as it is seen at `view` or
    /// later, beside the `others` who pick from the same. It is not picked again before one of the other
    /// calls says what became of it.
    pub(super) fn pick(
        &mut self,
        wanted: impl Iterator<Item = Job>,
        view: Revision,
        others: &[Uuid],
        now: Instant,
    ) -> Pick {
        self.resting.retain(|_, until| *until > now);
        // Long after its rest a job begins anew, if it still is there.
        self.unfit.retain(|_, (until, _)| *until + UNFIT > now);
        // Revisions that go back are those of another history.
        let same = view >= std::mem::replace(&mut self.view, view);
        self.unseen.retain(|_, claimed| same && *claimed > view);
        let (mut window, suspects) = self.look(wanted, others.len());
        let known = std::mem::take(&mut self.seen);
        let since = |job: &Job| (job.id(), known.get(&job.id()).copied().unwrap_or(now));
        self.seen = window.iter().chain(&suspects).map(since).collect();

        let lonely = self.places(&suspects, others);
        let makes_room = |place: &Place| place.from(ROOM_STEP) + ALONE_WITHIN;
        let lonely = lonely.map(|place| (makes_room(&place), place.job)).min();
        if let Some((from, job)) = lonely
            && from <= now
        {
            self.room_for = Some(job);
            return Pick::MakeRoom;
        }
        let places: Vec<_> = self.places(&window, others).collect();
        let Some(index) = self.choose(&places, now) else {
            let step = self.step();
            let next = places.iter().map(|place| place.from(step));
            let next = next.chain(lonely.map(|(from, _)| from));
            return Pick::Nothing(next.chain(self.resting.values().copied()).min());
        };
        self.room_for = None;
        self.busy.insert(places[index].job);
        Pick::Job(window.swap_remove(index))
    }

    /// Takes what this conductor claims or runs from the front of `jobs`.
    pub(super) fn pass_over_busy(&self, jobs: &mut (impl Iterator<Item = Job> + Clone)) {
        let mut rest = jobs.clone();
        while rest.next().is_some_and(|job| self.busy.contains(&job.id())) {
            jobs.clone_from(&rest);
        }
    }

    /// The job was claimed, at this revision, and tried: it is off the board, or the board says when it
    /// is to be tried again.
    pub(super) fn tried(&mut self, job: JobId, claimed: Revision) {
        self.busy.remove(&job);
        self.unfit.remove(&job);
        self.unseen.insert(job, claimed);
    }

    /// The job was not claimed, for a reason that has nothing to do with it.
    pub(super) fn untried(&mut self, job: JobId) {
        self.busy.remove(&job);
    }

    /// Somebody else came first.
    pub(super) fn taken(&mut self, job: JobId, now: Instant) {
        self.rest(job, now + TAKEN);
    }

    /// The job could not be claimed now.
    pub(super) fn refused(&mut self, job: JobId, now: Instant) {
        self.rest(job, now + REFUSED);
    }

    /// The job can not be claimed as it is: until somebody mends it, each try is in vain.
    pub(super) fn unfit(&mut self, job: JobId, now: Instant) {
        let before = self.unfit.get(&job);
        let rest = before.map_or(REFUSED, |(_, rest)| (*rest * 2).min(UNFIT));
        self.unfit.insert(job, (now + rest, rest));
        self.rest(job, now + rest);
    }

    /// A claim was answered, after this time.
    pub(super) fn claimed(&mut self, took: Duration) {
        self.claiming = (self.claiming * 7 + took) / 8;
    }

    fn rest(&mut self, job: JobId, until: Instant) {
        self.busy.remove(&job);
        self.resting.insert(job, until);
    }

    /// The most urgent jobs that can be picked, and beside them those that could be if nothing ran.
    fn look(&self, wanted: impl Iterator<Item = Job>, conductors: usize) -> (Vec<Job>, Vec<Job>) {
        let most = (WINDOW * conductors).clamp(WINDOW, LARGEST_WINDOW);
        let (mut window, mut suspects) = (Vec::<Job>::new(), Vec::new());
        let free = |job: &Job| {
            let id = job.id();
            !self.busy.contains(&id)
                && !self.unseen.contains_key(&id)
                && !self.resting.contains_key(&id)
        };
        for job in wanted.filter(free) {
            let first = window.first().unwrap_or(&job);
            if window.len() >= most || first.priority() != job.priority() {
                break;
            }
            if !self.busy.is_empty() && job.is_suspect() {
                if suspects.len() < most {
                    suspects.push(job);
                }
            } else {
                window.push(job);
            }
        }
        (window, suspects)
    }

    /// Where this conductor stands for each of these jobs, which it has seen.
    fn places(&self, jobs: &[Job], others: &[Uuid]) -> impl Iterator<Item = Place> {
        let place = |job: &Job| {
            let rank = rank(job.uuid(), self.me, others);
            Some(Place {
                job: job.id(),
                rank: u32::try_from(rank).unwrap_or(u32::MAX),
                seen: *self.seen.get(&job.id())?,
            })
        };
        jobs.iter().filter_map(place)
    }

    /// The job to pick: the one for which room was made; else of those that may be claimed, the first of
    /// those that fewest come before for.
    fn choose(&self, places: &[Place], now: Instant) -> Option<usize> {
        let made = places
            .iter()
            .position(|place| Some(place.job) == self.room_for);
        let step = self.step();
        let ready = places.iter().enumerate();
        let ready = ready.filter(|(_, place)| place.from(step) <= now);
        let next = ready.min_by_key(|(index, place)| (place.before(now), *index));
        made.or(next.map(|(index, _)| index))
    }

    fn step(&self) -> Duration {
        let (least, most) = STEPS;
        (self.claiming * 3 / 2).clamp(least, most)
    }
}

/// Where this conductor stands in the order for a job.
#[derive(Debug)]
struct Place {
    job: JobId,
    /// How many come before.
    rank: u32,
    /// Since when it sees the job.
    seen: Instant,
}

impl Place {
    /// The time when all who come before have had this much time for the job, one after the other.
    fn from(&self, step: Duration) -> Instant {
        self.seen + step.saturating_mul(self.rank)
    }

    /// How many still count as coming before.
    fn before(&self, now: Instant) -> u32 {
        let times = (now - self.seen).as_secs() / AGEING.as_secs();
        self.rank
            .saturating_sub(u32::try_from(times).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
