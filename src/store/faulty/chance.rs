//! What goes wrong, and when.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch as signal;

use crate::{random::Random, store::Lease};

/// How often what goes wrong, of a thousand times, and how long what takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// Requests that can not be sent, as is told.
    pub unsent: u16,
    /// Transactions, grants and revocations that get lost on their way.
    pub lost_requests: u16,
    /// The same, done, but without an answer.
    pub lost_answers: u16,
    /// The same, done a while after the caller has been told that there is no answer.
    pub late_requests: u16,
    /// Transactions of several members that are refused as a whole.
    pub refused: u16,
    /// Transactions that are answered by there being no space: every other one of them is done all the same, as
    /// etcd does with one that was under way when its space ran out.
    pub no_space: u16,
    /// Batches of a watch at which it breaks.
    pub cut_watches: u16,
    /// Batches of a watch from which on it says nothing more, and does not end.
    pub silent_watches: u16,
    /// Batches of a watch at which it is cancelled, as if what comes next had been compacted.
    pub cancelled_watches: u16,
    /// Batches of a watch before which an older one is told again.
    pub old_batches: u16,
    /// Keep-alives whose answer does not come.
    pub lost_beats: u16,
    /// Keep-alives that are answered by a lease's being gone, though it is not.
    pub false_ends: u16,
    /// The longest that a request, an answer or a batch is on its way.
    pub latency: Duration,
    /// How long a caller waits for an answer that does not come, and at most how late a late request
    /// is done after that.
    pub patience: Duration,
}

impl Faults {
    /// Nothing goes wrong, and nothing takes time.
    pub const NONE: Self = Self {
        unsent: 0,
        lost_requests: 0,
        lost_answers: 0,
        late_requests: 0,
        refused: 0,
        no_space: 0,
        cut_watches: 0,
        silent_watches: 0,
        cancelled_watches: 0,
        old_batches: 0,
        lost_beats: 0,
        false_ends: 0,
        latency: Duration::ZERO,
        patience: Duration::ZERO,
    };

    /// Everything goes wrong now and then.
    pub const ALL: Self = Self {
        unsent: 60,
        lost_requests: 40,
        lost_answers: 60,
        late_requests: 60,
        refused: 30,
        no_space: 20,
        cut_watches: 30,
        silent_watches: 5,
        cancelled_watches: 5,
        old_batches: 30,
        lost_beats: 100,
        false_ends: 2,
        latency: Duration::from_millis(40),
        patience: Duration::from_millis(1_500),
    };
}

/// What decides.
#[derive(Clone)]
pub(super) struct Chance {
    random: Random,
    condition: Arc<signal::Sender<Condition>>,
    /// The leases that were granted.
    leases: Arc<Mutex<Vec<Lease>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    faults: Faults,
    /// Whether nothing comes through.
    pub(super) cut_off: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    Unsent,
    Refused,
    RequestLost,
    AnswerLost,
    Late,
}

impl Chance {
    pub(super) fn new(random: Random, faults: Faults) -> Self {
        let cut_off = false;
        let condition = Condition { faults, cut_off };
        Self {
            random,
            condition: Arc::new(signal::Sender::new(condition)),
            leases: Arc::default(),
        }
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.condition.send_modify(|now| now.faults = faults);
    }

    pub(super) fn cut_off(&self, cut_off: bool) {
        self.condition.send_modify(|now| now.cut_off = cut_off);
    }

    pub(super) fn condition(&self) -> signal::Receiver<Condition> {
        self.condition.subscribe()
    }

    pub(super) fn faults(&self) -> Faults {
        self.condition.borrow().faults
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.condition.borrow().cut_off
    }

    /// Whether what happens so often of a thousand times happens.
    pub(super) fn hits(&self, of_thousand: u16) -> bool {
        of_thousand > 0 && self.random.number() % 1_000 < u64::from(of_thousand)
    }

    /// Some whole milliseconds, up to `bound`.
    pub(super) fn part_of(&self, bound: Duration) -> Duration {
        let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.random.number() % (bound + 1))
    }

    pub(super) fn fate(&self, many: bool) -> Fate {
        if self.is_cut_off() {
            return Fate::RequestLost;
        }
        let faults = self.faults();
        let mut number = self.random.number() % 1_000;
        let refused = if many { faults.refused } else { 0 };
        for (fate, of_thousand) in [
            (Fate::Unsent, faults.unsent),
            (Fate::RequestLost, faults.lost_requests),
            (Fate::AnswerLost, faults.lost_answers),
            (Fate::Late, faults.late_requests),
            (Fate::Refused, refused),
        ] {
            match number.checked_sub(of_thousand.into()) {
                Some(rest) => number = rest,
                None => return fate,
            }
        }
        Fate::Answered
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn any_lease(&self) -> Option<Lease> {
        let leases = self.leases();
        let place = self.random.number() % (leases.len() as u64).max(1);
        leases.get(usize::try_from(place).unwrap_or(0)).copied()
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.borrow().fmt(f)
    }
}
