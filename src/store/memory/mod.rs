//! [`Memory`], the store in this process: etcd's semantics without etcd.
//!
//! The core is pure and knows no time: `mvcc` (keys and transactions), `history` (what was),
//! `rules` (what is refused), `lease` (who ends when). Around it is a thin shell: a lock, held for
//! one request and never across an await; `watch`, whose watches read the history by a cursor; and
//! `life`, the tasks that end leases and keep them alive.

mod history;
mod lease;
mod life;
mod mvcc;
mod rules;
mod watch;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch as signal, task::coop::consume_budget, time::Instant};

use self::{lease::Leases, life::Tasks, mvcc::Mvcc};
use super::{
    Error, ErrorKind, KeepAlive, Lease, LeaseId, RangeRequest, RangeResponse, Result, Revision,
    Store, Txn, TxnResponse, WatchRequest, WatchStream,
};

/// A store in this process. It is for tests and for boards that one process has to itself; what it
/// holds is gone when its last handle is dropped.
///
/// It behaves as etcd does, down to what etcd refuses: at most 128 operations on a level of a
/// transaction, 1.5 MiB in a request, a time to live of at least 2 s. Unlike etcd it forgets the
/// past by itself, so that it can run for ever: see [`history`](MemoryBuilder::history).
///
/// Clones are handles to the same store. A watch or a keep-alive is not: with the last handle a
/// watch ends as [`Unavailable`](ErrorKind::Unavailable), and a keep-alive has no more to say.
///
/// It can be made anywhere. Leases are timed by tokio's clock, so that they obey paused time, and
/// end by themselves where [`grant`](Store::grant) was called inside a runtime that still runs;
/// elsewhere they end when the store is asked next.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::store::Result<()> {
/// use jobboard::store::{Key, Memory, StoreExt};
///
/// let store = Memory::new();
/// let key = Key::new("greeting")?;
/// store.put(key.clone(), "hello".into()).await?;
/// let found = store.get(key).await?;
/// assert_eq!(found.map(|kv| kv.value), Some("hello".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

/// Settings of a [`Memory`] that is to be made.
#[derive(Clone, Debug)]
pub struct MemoryBuilder {
    history: usize,
    cluster_id: u64,
}

struct Shared {
    state: Mutex<State>,
    changed: signal::Sender<()>,
}

struct State {
    mvcc: Mvcc,
    leases: Leases,
    tasks: Tasks,
}

impl Memory {
    /// An empty store with the default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// How many leases live.
    pub fn leases(&self) -> usize {
        self.shared.with(|state| state.leases.count())
    }

    /// The settings of a new store.
    pub const fn builder() -> MemoryBuilder {
        MemoryBuilder {
            history: 100_000,
            cluster_id: 1,
        }
    }
}

impl MemoryBuilder {
    /// Keeps the changes of the last `revisions` revisions; at least one. Defaults to 100,000.
    ///
    /// What lies further back is compacted as the store is written to: a read of it or a watch
    /// that has not got further ends as [`Compacted`](ErrorKind::Compacted). The newest values are
    /// always kept.
    #[must_use]
    pub fn history(mut self, revisions: usize) -> Self {
        self.history = revisions.max(1);
        self
    }

    /// Answers as the cluster with this id. Defaults to 1.
    ///
    /// Stores whose ids differ in the lower 31 bits never grant the same lease.
    #[must_use]
    pub const fn cluster_id(mut self, id: u64) -> Self {
        self.cluster_id = id;
        self
    }

    /// Makes the store.
    pub fn build(self) -> Memory {
        let state = State {
            mvcc: Mvcc::new(self.cluster_id, self.history),
            leases: Leases::new(self.cluster_id),
            tasks: Tasks::new(),
        };
        Memory {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: signal::Sender::new(()),
            }),
        }
    }
}

/// A request takes no time; it yields now and then, so that a loop of requests starves nobody.
#[async_trait]
impl Store for Memory {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        consume_budget().await;
        self.shared.with(|state| state.mvcc.range(&request))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        consume_budget().await;
        self.shared.with(|state| {
            let leases = &state.leases;
            state.mvcc.txn(txn, |lease| leases.lives(lease))
        })
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        consume_budget().await;
        watch::open(&self.shared, request)
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        consume_budget().await;
        self.shared.with(|state| {
            let lease = state.leases.grant(ttl, Instant::now())?;
            state.tasks.watch_leases(&self.shared);
            Ok(lease)
        })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        consume_budget().await;
        self.shared.with(|state| {
            if !state.leases.end(lease) {
                return Err(Error::new(
                    ErrorKind::LeaseNotFound,
                    format!("revoke lease {lease}: there is no such lease"),
                ));
            }
            state.mvcc.end_lease(lease);
            Ok(())
        })
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.shared
            .with(|state| state.tasks.keep_alive(&self.shared, lease, every))
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        consume_budget().await;
        self.shared.with(|state| state.mvcc.compact(revision))
    }
}

impl Shared {
    /// Does `act` on the state as it is now: what has expired by now has ended before.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.mvcc.header().revision;
        state.end_due(Instant::now());
        let answer = act(&mut state);
        let changed = state.mvcc.header().revision != before;
        drop(state);
        if changed {
            self.changed.send_replace(());
        }
        answer
    }

    /// Held for one request. No request panics half-way: what it checks, it checks before it
    /// changes anything.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the leases whose time is over, each with its keys at a revision of its own.
    fn end_due(&mut self, now: Instant) {
        while let Some(lease) = self.leases.end_due(now) {
            self.mvcc.end_lease(lease);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for MemoryBuilder {
    fn default() -> Self {
        Memory::builder()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.shared.lock().mvcc.header();
        f.debug_struct("Memory")
            .field("cluster_id", &header.cluster_id)
            .field("revision", &header.revision)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
