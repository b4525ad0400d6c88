//! When jobs that wait for their time fall due.
//!
//! A point in time is told by the clock of who wrote it, and judged by the clock here, give or take
//! how far they are apart. A delay that is seen as it begins is timed by itself, whatever the clocks
//! say; one that began before it was seen ends by the clock, but never later than that.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::entry::{Entry, Position};
use crate::{
    clock::Clock,
    protocol::{backoff::Backoff, state::StateRecord, time::Timestamp},
    random::Random,
};

/// How long a job rests whose owners died one after the other: 0.5 s after the second, doubling.
const AFTER_A_CRASH: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(5));

/// Tells when a job may be tried.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    clock: Clock,
    random: Random,
}

/// How an entry came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// By a watch, as it was written.
    Live,
    /// By a list, some time later.
    Listed,
}

impl Timing {
    pub(crate) const fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random }
    }

    /// When a job that was just seen falls due; `None` if it is due now.
    pub(super) fn due(&self, entry: &Entry, seen: Seen) -> Option<Instant> {
        let rest = self.rest(entry, seen);
        (!rest.is_zero()).then(|| Instant::now() + rest)
    }

    /// How long a job is still to be left alone, counted from now, when it was just seen.
    fn rest(&self, entry: &Entry, seen: Seen) -> Duration {
        let now = self.clock.now();
        let start = entry.posting.terms().not_before;
        let start = start.map_or(Duration::ZERO, |time| until(time, now));
        let Some(state) = entry.state() else {
            return start;
        };
        start
            .max(delay(&state.record, seen, now))
            .max(self.after_crashes(&state.record))
    }

    /// A job whose owners died in a row may have killed them.
    fn after_crashes(&self, state: &StateRecord) -> Duration {
        if !state.is_suspect() {
            return Duration::ZERO;
        }
        let (first, longest) = AFTER_A_CRASH;
        let bound = Backoff::new(first, longest).bound(state.unsettled - 1);
        self.random.part_of(bound)
    }
}

/// What is left of the delay for which a job was given back.
fn delay(state: &StateRecord, seen: Seen, now: DateTime<Utc>) -> Duration {
    let by_clock = state.not_before.map(|time| until(time, now));
    match (state.delay(), seen, by_clock) {
        (Some(delay), Seen::Live, _) | (Some(delay), Seen::Listed, None) => delay,
        (Some(delay), Seen::Listed, Some(left)) => left.min(delay),
        (None, _, left) => left.unwrap_or_default(),
    }
}

/// How long it is from `now` until `time`; nothing if that is over.
fn until(time: Timestamp, now: DateTime<Utc>) -> Duration {
    (time.get() - now).to_std().unwrap_or_default()
}

/// The jobs that are not due yet.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<Position, Instant>,
    order: BTreeSet<(Instant, Position)>,
}

impl Agenda {
    /// Puts a job down for later. One that is down already is moved.
    pub(super) fn put(&mut self, job: Position, due: Instant) {
        self.remove(&job);
        self.due.insert(job, due);
        self.order.insert((due, job));
    }

    pub(super) fn remove(&mut self, job: &Position) {
        if let Some(due) = self.due.remove(job) {
            self.order.remove(&(due, *job));
        }
    }

    /// When a job falls due, if it is down for later.
    pub(super) fn due(&self, job: &Position) -> Option<Instant> {
        self.due.get(job).copied()
    }

    /// When the next job falls due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes out a job that is due by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Position> {
        self.order.first().filter(|(due, _)| *due <= now)?;
        let (_, job) = self.order.pop_first()?;
        self.due.remove(&job);
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        protocol::{
            keys::{JobId, JobPart},
            record,
        },
        store::{Key, KeyValue, Revision},
    };

    fn timing() -> Timing {
        let noon = Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get();
        Timing::new(Clock::counted_from(noon), Random::seeded(1))
    }

    fn entry(jobboard: &Value, state: &Value) -> Entry {
        let posting = json!({
            "uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11", "name": "n", "priority": "NORMAL",
            "jobboard": jobboard,
        });
        let job = JobId::new(1).unwrap();
        let mut entry = Entry::posted(job, Revision::new(1), record::write(&posting)).unwrap();
        let kv = KeyValue {
            key: Key::new("state").unwrap(),
            value: Bytes::from(state.to_string()),
            create_revision: Revision::new(2),
            mod_revision: Revision::new(2),
            version: 1,
            lease: None,
        };
        entry.beside.put(JobPart::State, &kv).unwrap();
        entry
    }

    fn rest(jobboard: &Value, state: &Value) -> [u64; 2] {
        [Seen::Live, Seen::Listed]
            .map(|seen| timing().rest(&entry(jobboard, state), seen).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn job_rests_until_the_time_that_its_poster_gave() {
        assert_eq!(rest(&json!({}), &json!({})), [0, 0]);
        let later = json!({"not_before": "2026-01-31T12:00:30.000000"});
        assert_eq!(rest(&later, &json!({})), [30, 30]);
        let over = json!({"not_before": "2026-01-31T11:00:00.000000"});
        assert_eq!(rest(&over, &json!({})), [0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn delay_is_timed_from_when_it_is_seen_and_by_the_clock_where_that_was_not() {
        // By a clock that is 40 s fast, and by one that is 5 s slow.
        let fast = json!({"delay_ms": 10_000, "not_before": "2026-01-31T12:00:50.000000"});
        assert_eq!(rest(&json!({}), &fast), [10, 10]);
        let slow = json!({"delay_ms": 10_000, "not_before": "2026-01-31T12:00:05.000000"});
        assert_eq!(rest(&json!({}), &slow), [10, 5]);
        let alone = json!({"not_before": "2026-01-31T12:00:05.000000"});
        assert_eq!(rest(&json!({}), &alone), [5, 5]);
        assert_eq!(rest(&json!({}), &json!({"delay_ms": 7_000})), [7, 7]);
        let start = json!({"not_before": "2026-01-31T12:00:30.000000"});
        assert_eq!(rest(&start, &slow), [30, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn job_rests_from_the_second_crash_in_a_row_on() {
        let timing = timing();
        let longest = |unsettled: u32| {
            let entry = entry(&json!({}), &json!({"unsettled": unsettled}));
            let rests = (0..200).map(|_| timing.rest(&entry, Seen::Live));
            rests.max().unwrap().as_millis()
        };
        assert_eq!(longest(1), 0);
        assert!((400..=500).contains(&longest(2)));
        assert!((800..=1_000).contains(&longest(3)));
        assert!((240_000..=300_000).contains(&longest(u32::MAX)));
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_fall_due_in_the_order_of_their_times() {
        let place = |number| {
            let record = json!({"uuid": uuid::Uuid::nil(), "name": "n", "priority": "NORMAL"});
            let job = JobId::new(number).unwrap();
            let entry = Entry::posted(job, Revision::new(1), record::write(&record)).unwrap();
            entry.position()
        };
        let (one, two, now) = (place(1), place(2), Instant::now());
        let in_secs = |secs| now + Duration::from_secs(secs);
        let mut agenda = Agenda::default();
        agenda.put(one, in_secs(1));
        agenda.put(two, in_secs(2));
        agenda.put(one, in_secs(3));
        assert_eq!(agenda.next(), Some(in_secs(2)));
        assert_eq!(agenda.pop(in_secs(1)), None);
        assert_eq!(agenda.pop(in_secs(2)), Some(two));
        assert_eq!(
            (agenda.due(&one), agenda.due(&two)),
            (Some(in_secs(3)), None)
        );
        agenda.remove(&one);
        assert_eq!((agenda.next(), agenda.pop(in_secs(9))), (None, None));
    }
}
