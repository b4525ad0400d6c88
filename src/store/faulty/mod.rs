//! [`Faulty`], a store that fails by chance: as networks, clusters and their clients do.
//!
//! Chance is a seeded generator and time is tokio's, so that on paused time a seed replays what went
//! wrong. Each process of a simulation has one of its own before a store that all of them share, so
//! that one can be cut off while others are not.

mod chance;
mod watch;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::sleep;

pub use self::chance::Faults;
use self::chance::{Chance, Fate};
use super::{
    Beat, Error, ErrorKind, KeepAlive, KeepAliveFeed, Lease, LeaseId, Limits, Op, RangeRequest,
    RangeResponse, Result, Revision, Store, Txn, TxnResponse, WatchRequest, WatchStream,
};
use crate::random::Random;

/// A [`Store`] that fails by chance. Clones fail together.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::store::Result<()> {
/// use jobboard::{
///     random::Random,
///     store::{ErrorKind, Faults, Faulty, Key, Memory, StoreExt},
/// };
///
/// let mut faults = Faults::NONE;
/// faults.lost_answers = 1_000;
/// let store = Faulty::new(Memory::new(), Random::seeded(42), faults);
/// let key = Key::new("greeting")?;
/// let lost = store.put(key.clone(), "hello".into()).await.unwrap_err();
/// assert_eq!(lost.kind(), ErrorKind::Ambiguous);
/// assert!(store.get(key).await?.is_some(), "it was done all the same");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Faulty<S> {
    inner: Arc<S>,
    chance: Chance,
}

impl<S: Store> Faulty<S> {
    /// A store before `inner` with these faults, which come as `random` has it.
    pub fn new(inner: S, random: Random, faults: Faults) -> Self {
        Self {
            inner: Arc::new(inner),
            chance: Chance::new(random, faults),
        }
    }

    /// Has other faults from now on. A watch that fell silent stays so.
    pub fn set_faults(&self, faults: Faults) {
        self.chance.set_faults(faults);
    }

    /// Cuts it off, or connects it again. While it is cut off, requests and answers get lost, watches
    /// say nothing, and leases are not kept alive.
    pub fn cut_off(&self, cut_off: bool) {
        self.chance.cut_off(cut_off);
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

fn away(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: the store is away"))
}

fn no_space() -> Error {
    Error::new(ErrorKind::NoSpace, "transaction: the store has no space")
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
        let is_full = self.chance.hits(self.chance.faults().no_space);
        if is_full && self.chance.hits(500) {
            self.travel("transaction").await?;
            return Err(no_space());
        }
        let inner = Arc::clone(&self.inner);
        let done = self.deliver("transaction", many, async move { inner.txn(txn).await });
        match done.await {
            Ok(_) if is_full => Err(no_space()),
            answer => answer,
        }
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        self.travel("watch").await?;
        let inner = self.inner.watch(request).await?;
        Ok(watch::faulty(inner, self.chance.clone()))
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
    let mut condition = chance.condition();
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

impl<S: fmt::Debug> fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("chance", &self.chance)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
