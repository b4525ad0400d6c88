//! Which job a conductor claims next.
//!
//! The first of the jobs that it wants, in the order of the board: but a crowd of conductors must not run
//! into one another over each. So each job has an order of the live conductors ([`super::rank`]), drawn by
//! chance for each job, that all of them know without a word. The first may claim the job as soon as it
//! sees it, each further one a few milliseconds later. Of a window of the most urgent jobs a conductor
//! takes the one that it comes first for. Nobody waits for a job that is left lying: who is busy or gone
//! is passed over after a moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::rank::rank;
use crate::Job;

/// How long a job is left alone that somebody else claimed: longer than the view takes to show it.
const TAKEN: Duration = Duration::from_millis(50);

/// How long a job is left alone that could not be claimed.
const REFUSED: Duration = Duration::from_secs(1);

/// How many jobs one is picked from for each live conductor: of four, one is its own 98 of 100 times
/// (1 - 1/e^4).
const WINDOW: usize = 4;

/// The largest number of jobs that one is picked from.
const LARGEST_WINDOW: usize = 256;

/// How long a suspect waits for a conductor that runs nothing, before one makes room for it.
const ALONE_WITHIN: Duration = Duration::from_mins(1);

/// How much later each further conductor makes room.
const ROOM_STEP: Duration = Duration::from_secs(1);

/// How much later each further conductor may claim a job, at least and at most.
const STEPS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

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

/// Picks jobs for one conductor.
#[derive(Debug)]
pub(super) struct Picker {
    me: Uuid,
    /// The jobs that this conductor claims or runs.
    busy: BTreeSet<Uuid>,
    /// The jobs that are left alone until then.
    resting: BTreeMap<Uuid, Instant>,
    /// Since when each job that could be picked is known to be free.
    seen: BTreeMap<Uuid, Instant>,
    /// The first of the jobs, and how often another was picked before it.
    passed_over: Option<(Uuid, usize)>,
    /// The job for which nothing else is claimed until what runs has ended.
    room_for: Option<Uuid>,
    /// How long a claim takes, about.
    claiming: Duration,
}

impl Picker {
    pub(super) fn new(me: Uuid) -> Self {
        Self {
            me,
            busy: BTreeSet::new(),
            resting: BTreeMap::new(),
            seen: BTreeMap::new(),
            passed_over: None,
            room_for: None,
            claiming: Duration::ZERO,
        }
    }

    /// Picks one of the `wanted` jobs, which come in the order of the board, beside the `others` who pick
    /// from the same. It is not picked again before one of the other calls says what became of it.
    pub(super) fn pick(
        &mut self,
        wanted: impl Iterator<Item = Job>,
        others: &[Uuid],
        now: Instant,
    ) -> Pick {
        self.resting.retain(|_, until| *until > now);
        let (window, suspects) = self.look(wanted, others.len());
        let known = std::mem::take(&mut self.seen);
        let since = |job: &Job| (job.uuid(), known.get(&job.uuid()).copied().unwrap_or(now));
        self.seen = window.iter().chain(&suspects).map(since).collect();

        let lonely = suspects
            .iter()
            .map(|job| self.place(job, others, ALONE_WITHIN, ROOM_STEP));
        let lonely = lonely.min_by_key(|place| place.from);
        self.room_for = match &lonely {
            Some(place) if place.from <= now => Some(place.job),
            // What ran has ended.
            None if self.busy.is_empty() => self.room_for,
            _ => None,
        };
        if lonely.is_some() && self.room_for.is_some() {
            return Pick::MakeRoom;
        }
        let step = self.step();
        let places = window
            .iter()
            .map(|job| self.place(job, others, Duration::ZERO, step));
        let places: Vec<_> = places.collect();
        let Some(index) = self.choose(&places, now) else {
            let next = places.iter().chain(&lonely).map(|place| place.from);
            return Pick::Nothing(next.chain(self.resting.values().copied()).min());
        };
        let (first, picked) = (places[0].job, places[index].job);
        let before = self.passed_over.filter(|(job, _)| *job == first);
        let before = before.map_or(0, |(_, times)| times);
        self.passed_over = (first != picked).then_some((first, before + 1));
        self.busy.insert(picked);
        let mut window = window;
        Pick::Job(window.swap_remove(index))
    }

    /// The job was tried: it is off the board, or the board says when it is to be tried again.
    pub(super) fn tried(&mut self, job: Uuid) {
        self.busy.remove(&job);
    }

    /// Somebody else came first.
    pub(super) fn taken(&mut self, job: Uuid, now: Instant) {
        self.rest(job, now + TAKEN);
    }

    /// The job could not be claimed.
    pub(super) fn refused(&mut self, job: Uuid, now: Instant) {
        self.rest(job, now + REFUSED);
    }

    /// A claim was answered, after this time.
    pub(super) fn claimed(&mut self, took: Duration) {
        self.claiming = (self.claiming * 7 + took) / 8;
    }

    fn rest(&mut self, job: Uuid, until: Instant) {
        self.busy.remove(&job);
        self.resting.insert(job, until);
    }

    /// The most urgent jobs that can be picked, and beside them those that could be if nothing ran.
    fn look(&self, wanted: impl Iterator<Item = Job>, conductors: usize) -> (Vec<Job>, Vec<Job>) {
        let most = (WINDOW * conductors).clamp(WINDOW, LARGEST_WINDOW);
        let (mut window, mut suspects) = (Vec::<Job>::new(), Vec::new());
        let free = |job: &Job| {
            let uuid = job.uuid();
            !self.busy.contains(&uuid) && !self.resting.contains_key(&uuid)
        };
        for job in wanted.filter(free) {
            let first = window.first().unwrap_or(&job);
            if window.len() >= most || first.priority() != job.priority() {
                break;
            }
            if job.is_suspect() && !self.busy.is_empty() {
                suspects.push(job);
            } else {
                window.push(job);
            }
        }
        (window, suspects)
    }

    /// When this conductor may claim a job that it has seen.
    fn place(&self, job: &Job, others: &[Uuid], first: Duration, step: Duration) -> Place {
        let (job, rank) = (job.uuid(), rank(job.uuid(), self.me, others));
        let seen = self.seen.get(&job).copied();
        let wait = step.saturating_mul(u32::try_from(rank).unwrap_or(u32::MAX));
        Place {
            job,
            rank,
            from: seen.unwrap_or_else(Instant::now) + first + wait,
        }
    }

    /// The job to pick: of those that may be claimed, the one for which fewest come before; but the first,
    /// if it was passed over for as many as there are.
    fn choose(&self, places: &[Place], now: Instant) -> Option<usize> {
        let first = places.first()?;
        let room_for = places
            .iter()
            .position(|place| Some(place.job) == self.room_for);
        if room_for.is_some() {
            return room_for;
        }
        let passed_over = self
            .passed_over
            .is_some_and(|(job, times)| job == first.job && times >= places.len());
        if passed_over {
            return Some(0);
        }
        let ready = places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.from <= now);
        let (index, _) = ready.min_by_key(|(index, place)| (place.rank, *index))?;
        Some(index)
    }

    fn step(&self) -> Duration {
        let (least, most) = STEPS;
        (self.claiming * 3 / 2).clamp(least, most)
    }
}

/// Where this conductor stands in the order for a job.
#[derive(Debug)]
struct Place {
    job: Uuid,
    /// How many come before.
    rank: usize,
    /// From when on it may claim the job.
    from: Instant,
}
