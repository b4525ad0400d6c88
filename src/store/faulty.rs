//! [`Faulty`], a store that fails by chance: as networks, clusters and their clients do.
//!
//! Chance is a seeded generator and time is tokio's, so that on paused time a seed replays what went
//! wrong. Each process of a simulation has one of its own before a store that all of them share, so
//! that one can be cut off while others are not.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, pending},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::{sync::watch as signal, time::sleep};

use super::{
    Beat, Error, ErrorKind, KeepAlive, KeepAliveFeed, Lease, LeaseId, Limits, Op, RangeRequest,
    RangeResponse, Result, Revision, Store, Txn, TxnResponse, WatchBatch, WatchRequest,
    WatchStream,
};
use crate::random::Random;

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
    /// Batches of a watch at which it breaks.
    pub cut_watches: u16,
    /// Batches of a watch from which on it says nothing more, and does not end.
    pub silent_watches: u16,
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
        cut_watches: 0,
        silent_watches: 0,
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
        cut_watches: 30,
        silent_watches: 5,
        old_batches: 30,
        lost_beats: 100,
        false_ends: 2,
        latency: Duration::from_millis(40),
        patience: Duration::from_millis(1_500),
    };
}

/// A [`Store`] that fails by chance. Clones fail together.
#[derive(Clone)]
pub struct Faulty<S> {
    inner: Arc<S>,
    chance: Chance,
}

/// What decides.
#[derive(Clone)]
struct Chance {
    random: Random,
    condition: Arc<signal::Sender<Condition>>,
    /// The leases that were granted.
    leases: Arc<Mutex<Vec<Lease>>>,
}

#[derive(Clone, Copy, Debug)]
struct Condition {
    faults: Faults,
    /// Whether nothing comes through.
    cut_off: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Unsent,
    Refused,
    RequestLost,
    AnswerLost,
    Late,
}

impl<S: Store> Faulty<S> {
    /// A store before `inner` with these faults, which come as `random` has it.
    pub fn new(inner: S, random: Random, faults: Faults) -> Self {
        let cut_off = false;
        let condition = Condition { faults, cut_off };
        Self {
            inner: Arc::new(inner),
            chance: Chance {
                random,
                condition: Arc::new(signal::Sender::new(condition)),
                leases: Arc::default(),
            },
        }
    }

    /// Has other faults from now on. A watch that fell silent stays so.
    pub fn set_faults(&self, faults: Faults) {
        self.chance.condition.send_modify(|now| now.faults = faults);
    }

    /// Cuts it off, or connects it again. While it is cut off, requests and answers get lost, watches
    /// say nothing, and leases are not kept alive.
    pub fn cut_off(&self, cut_off: bool) {
        self.chance
            .condition
            .send_modify(|now| now.cut_off = cut_off);
    }

    /// Ends one of the leases that were granted here, as an old leader of etcd can.
    pub async fn lose_a_lease(&self) {
        let Some(lease) = self.chance.any_lease() else {
            return;
        };
        // It can have ended by itself.
        _ = self.inner.revoke(lease.id).await;
    }

    /// Gives the leases that were granted here their whole time to live again, though nobody asks for it,
    /// as a new leader of etcd does.
    pub async fn extend_leases(&self) {
        const SOON: Duration = Duration::from_millis(1);
        let leases = self.chance.leases().clone();
        for lease in leases {
            let mut alive = self.inner.keep_alive(&lease, SOON);
            // One that has ended has nothing to say but that.
            _ = tokio::time::timeout(SOON * 5, alive.changed()).await;
        }
    }

    /// Does what changes something, in a task of its own: it goes on though nobody waits for it.
    async fn deliver<T, F>(&self, what: &'static str, many: bool, request: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let fate = self.chance.fate(many);
        let faults = self.chance.faults();
        match fate {
            Fate::Unsent => {
                sleep(self.chance.part_of(faults.latency)).await;
                return Err(away(what));
            }
            Fate::Refused => {
                sleep(self.chance.part_of(faults.latency)).await;
                return Err(Error::new(
                    ErrorKind::TooManyOps,
                    format!("{what}: refused"),
                ));
            }
            Fate::RequestLost => {
                sleep(faults.patience).await;
                return Err(ambiguous(what));
            }
            Fate::Answered | Fate::AnswerLost | Fate::Late => {}
        }
        let (way, patience) = (self.chance.part_of(faults.latency), faults.patience);
        let late = (fate == Fate::Late).then(|| patience + self.chance.part_of(patience));
        let doing = tokio::spawn(async move {
            sleep(late.unwrap_or(way)).await;
            request.await
        });
        if fate != Fate::Answered {
            sleep(patience).await;
            return Err(ambiguous(what));
        }
        let answer = doing.await.unwrap_or_else(|_ended| Err(ambiguous(what)));
        sleep(self.chance.part_of(faults.latency)).await;
        if self.chance.is_cut_off() {
            sleep(patience).await;
            return Err(ambiguous(what));
        }
        answer
    }

    /// Waits as long as a request and its answer are on their way.
    async fn travel(&self, what: &'static str) -> Result<()> {
        let faults = self.chance.faults();
        if self.chance.is_cut_off() {
            sleep(faults.patience).await;
            return Err(away(what));
        }
        sleep(self.chance.part_of(faults.latency)).await;
        if self.chance.hits(faults.unsent) {
            return Err(away(what));
        }
        Ok(())
    }
}

impl Chance {
    fn faults(&self) -> Faults {
        self.condition.borrow().faults
    }

    fn is_cut_off(&self) -> bool {
        self.condition.borrow().cut_off
    }

    /// Whether what happens so often of a thousand times happens.
    fn hits(&self, of_thousand: u16) -> bool {
        of_thousand > 0 && self.random.number() % 1_000 < u64::from(of_thousand)
    }

    /// Some whole milliseconds, up to `bound`.
    fn part_of(&self, bound: Duration) -> Duration {
        let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.random.number() % (bound + 1))
    }

    fn fate(&self, many: bool) -> Fate {
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

    fn leases(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn any_lease(&self) -> Option<Lease> {
        let leases = self.leases();
        let place = self.random.number() % (leases.len() as u64).max(1);
        leases.get(usize::try_from(place).unwrap_or(0)).copied()
    }
}

fn away(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: the store is away"))
}

fn ambiguous(what: &str) -> Error {
    Error::new(ErrorKind::Ambiguous, format!("{what}: no answer came"))
}

#[async_trait]
impl<S: Store> Store for Faulty<S> {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.travel("read").await?;
        self.inner.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        let many = txn.then.iter().any(|op| matches!(op, Op::Txn(_)));
        if !txn.writes() {
            self.travel("read").await?;
            return self.inner.txn(txn).await;
        }
        let inner = Arc::clone(&self.inner);
        self.deliver("transaction", many, async move { inner.txn(txn).await })
            .await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        self.travel("watch").await?;
        let inner = self.inner.watch(request).await?;
        let watch = Watch {
            inner,
            chance: self.chance.clone(),
            past: VecDeque::new(),
            next: None,
        };
        Ok(stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let told = watch.next().await;
            let ends = told.is_err();
            Some((told, (!ends).then_some(watch)))
        })
        .boxed())
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        let (inner, chance) = (Arc::clone(&self.inner), self.chance.clone());
        let grant = async move {
            let lease = inner.grant(ttl).await?;
            chance.leases().push(lease);
            Ok(lease)
        };
        let sent_at = tokio::time::Instant::now();
        let lease = self.deliver("grant", false, grant).await?;
        Ok(Lease { sent_at, ..lease })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        self.deliver("revoke", false, async move { inner.revoke(lease).await })
            .await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        let (feed, alive) = KeepAlive::channel(lease);
        let (inner, chance, lease) = (Arc::clone(&self.inner), self.chance.clone(), *lease);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = feed.closed() => {}
                () = keep(inner.as_ref(), &chance, &lease, every, &feed) => {}
            }
        });
        alive
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.travel("compact").await?;
        self.inner.compact(revision).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

/// Keeps a lease alive whenever it is not cut off, until the lease is gone.
async fn keep(
    store: &impl Store,
    chance: &Chance,
    lease: &Lease,
    every: Duration,
    feed: &KeepAliveFeed,
) {
    let mut condition = chance.condition.subscribe();
    loop {
        // Its sender is in `chance`.
        _ = condition.wait_for(|now| !now.cut_off).await;
        let mut alive = store.keep_alive(lease, every);
        loop {
            let beat = tokio::select! {
                biased;
                _ = condition.wait_for(|now| now.cut_off) => break,
                beat = alive.changed() => beat,
            };
            let faults = chance.faults();
            let beat = match beat {
                Beat::Alive { .. } if chance.hits(faults.false_ends) => Beat::Gone,
                Beat::Alive { .. } if chance.hits(faults.lost_beats) => continue,
                beat => beat,
            };
            feed.tell(beat);
            if beat == Beat::Gone {
                return;
            }
        }
    }
}

/// A watch that fails by chance.
struct Watch {
    inner: WatchStream,
    chance: Chance,
    /// What it told last.
    past: VecDeque<WatchBatch>,
    /// What comes after something old.
    next: Option<WatchBatch>,
}

/// How much of what a watch told it can tell again.
const PAST: usize = 8;

impl Watch {
    async fn next(&mut self) -> Result<WatchBatch> {
        let batch = if let Some(batch) = self.next.take() {
            batch
        } else {
            let ended = || Err(away("watch"));
            self.inner.next().await.unwrap_or_else(ended)?
        };
        let faults = self.chance.faults();
        sleep(self.chance.part_of(faults.latency)).await;
        if self.chance.is_cut_off() || self.chance.hits(faults.silent_watches) {
            return pending().await;
        }
        if self.chance.hits(faults.cut_watches) {
            return Err(away("watch"));
        }
        if self.chance.hits(faults.old_batches)
            && let Some(old) = self.past.front().cloned()
        {
            self.next = Some(batch);
            return Ok(old);
        }
        self.past.push_back(batch.clone());
        if self.past.len() > PAST {
            self.past.pop_front();
        }
        Ok(batch)
    }
}

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("condition", &*self.chance.condition.borrow())
            .finish_non_exhaustive()
    }
}
