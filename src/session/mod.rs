//! A session: a process's life on one board, and how it writes.
//!
//! # What a session is
//! A lease that is kept alive at a third of its time to live (or by hand, where the session is a
//! claim's own and its owner wants so), and a *guard*: a key on that lease.
//! Every write compares the guard ([`crate::protocol::envelope`]), so a session whose lease is gone
//! writes nothing at all, whatever is still under way.
//!
//! # What it trusts
//! The instant at which the last answered keep-alive was *sent*, plus the time to live, minus a
//! margin ([`keeper`]). Trust only tells an owner when to stop. No write rests on it.
//!
//! # How it ends
//! ```text
//!            keep-alives answered
//!            ┌─────────┐
//!            ▼         │
//! opened ──▶ alive ────┘
//!              │  trust over · lease or guard gone · closed · another store
//!              ▼
//!            lost: claims fire, nothing is sent or kept alive any more
//!              │  the lease is revoked (not found counts)
//!              ▼
//!            over: what was under way is answered
//! ```
//! A lost session is never revived; the next write opens another ([`pool`]). One of a claim's own ends
//! with the claim ([`own`]).

mod backoff;
mod claims;
mod doubts;
pub(crate) mod failure;
mod held;
mod insist;
mod keeper;
mod line;
mod member;
mod own;
mod plan;
mod pool;
mod reading;
mod sender;
mod settings;
mod settle;
mod slots;
#[cfg(test)]
mod tests;
mod windup;
mod writer;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub(crate) use self::{
    backoff::Backoff,
    claims::Sighting,
    held::{ClaimRequest, Held},
    insist::insist,
    keeper::Loss,
    member::WriteError,
    own::Place,
    pool::Pool,
    reading::Read,
    settings::{LeaseTerms, Renewal, Settings},
    settle::Settle,
};
use self::{claims::Claims, keeper::Life, writer::Writer};
use crate::{
    protocol::{
        envelope::Guard,
        keys::{JobId, Keyspace},
        verb::Verb,
    },
    random::Random,
    store::{self, ErrorKind, Lease, Store},
};

/// How long one request to renew a lease waits for its answer before another is sent.
const RENEWAL_TRY: Duration = Duration::from_secs(2);

/// What sessions are made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keyspace,
    pub(crate) random: Random,
    pub(crate) settings: Settings,
}

/// A process's life on one board.
#[derive(Debug)]
pub(crate) struct Session {
    keys: Keyspace,
    store: Arc<dyn Store>,
    random: Random,
    settings: Settings,
    lease: Lease,
    guard: Guard,
    life: Arc<Life>,
    writer: Writer,
    claims: Arc<Claims>,
    /// Whether it takes no further claim.
    closing: AtomicBool,
    /// The keeper, the writer, and what gives claims back.
    tasks: TaskTracker,
    /// Where claims are given back that are dropped outside of it.
    runtime: Handle,
}

impl Session {
    /// Opens a session on `terms`: grants a lease, keeps it alive, and puts the guard.
    ///
    /// Tries again until `deadline` when etcd can not be reached. A lease whose answer was lost is
    /// left behind to end by itself, and one whose guard was not put is revoked: nothing else is
    /// ever on it.
    pub(crate) async fn open(
        parts: &Parts,
        terms: LeaseTerms,
        deadline: Instant,
    ) -> Result<Arc<Self>, WriteError> {
        let open = || Self::try_open(parts, terms);
        insist("no session was opened", &parts.random, deadline, open).await
    }

    async fn try_open(parts: &Parts, terms: LeaseTerms) -> Result<Arc<Self>, store::Error> {
        let Parts {
            store,
            keys,
            random,
            settings,
        } = parts;
        let lease = store.grant(terms.ttl).await?;
        let kept = match terms.renewal {
            Renewal::BySession => {
                Some(store.keep_alive(&lease, Settings::keep_alive_every(lease.ttl)))
            }
            Renewal::ByHand => None,
        };
        let guard = Guard::new(keys, random.uuid(), lease.id);
        let opened = match store.txn(guard.open()).await {
            Ok(opened) if opened.succeeded => opened,
            refused => {
                drop(kept);
                // As well as it can be done: the lease ends by itself otherwise.
                _ = store.revoke(lease.id).await;
                let why = "a new session found its guard in place";
                let taken = || store::Error::new(ErrorKind::Ambiguous, why);
                return Err(refused.err().unwrap_or_else(taken));
            }
        };
        let life = Arc::new(Life::new(&lease, kept, settings.margin_of(lease.ttl)));
        let known = opened.header.revision;
        let (writer, writing) = Writer::new(parts, guard.clone(), known, Arc::clone(&life));
        let tasks = TaskTracker::new();
        let end = EndOfWriting(Arc::clone(&life));
        tasks.spawn(async move {
            let _end = end;
            writing.await;
        });
        let keeper = Arc::clone(&life);
        tasks.spawn(async move { keeper.keep().await });
        tracing::debug!(session = %guard.session(), lease = %lease.id, "session opened");
        Ok(Arc::new(Self {
            keys: keys.clone(),
            store: Arc::clone(store),
            random: random.clone(),
            settings: *settings,
            lease,
            claims: Arc::new(Claims::new(guard.session(), life.lost().clone())),
            guard,
            closing: AtomicBool::new(false),
            life,
            writer,
            tasks,
            runtime: Handle::current(),
        }))
    }

    /// Ends the session: gives back what it holds, as if it had not been claimed, and revokes the
    /// lease. Waits for that until `deadline`; true if it was done by then.
    pub(crate) async fn close(&self, deadline: Instant) -> bool {
        let now = Instant::now();
        // The revocation frees all the same, so that it gets its share of the time.
        self.give_all_back(now + deadline.saturating_duration_since(now) / 2)
            .await;
        self.life.lose(Loss::Closed);
        self.tasks.close();
        timeout_at(deadline, self.tasks.wait()).await.is_ok()
    }

    /// Writes `verb`, and waits for its outcome until `deadline`.
    pub(crate) async fn write<V: Verb>(
        &self,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        self.writer.write(verb, deadline).await
    }

    /// As [`write`](Self::write), a verb of this very session: one that puts keys on its lease, or
    /// that names it. Waits for what `then` makes of its outcome.
    ///
    /// `then` is called when the outcome is known, or it is known that there will be none: even if
    /// that is after the deadline, or when the caller has gone. It must be quick, and must not
    /// panic.
    pub(crate) async fn write_own<V: Verb, T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Keyspace, &Guard) -> V,
        deadline: Instant,
        then: impl FnOnce(Result<V::Outcome, WriteError>) -> T + Send + 'static,
    ) -> Result<T, WriteError> {
        let verb = verb(&self.keys, &self.guard);
        self.writer
            .write_then(verb, deadline, |outcome| Ok(then(outcome)))
            .await
    }

    /// Asks the store for a fresh word: that the lease lives for its whole time from now on, whoever
    /// keeps it alive besides. Not to be asked for a session that is lost. Waits for that until
    /// `deadline`. Cancel safe.
    pub(super) async fn renew(&self, deadline: Instant) -> Result<(), WriteError> {
        let every = Settings::keep_alive_every(self.lease.ttl).min(RENEWAL_TRY);
        let asked = self.store.keep_alive(&self.lease, every);
        match timeout_at(deadline, self.life.renew(asked)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_loss)) => Err(WriteError::Lost),
            Err(_late) => Err(WriteError::Unreached("no answer came in time".to_owned())),
        }
    }

    /// Until when the session may be trusted without another word of the store; `None` if it is
    /// over.
    pub(crate) fn trusted_until(&self) -> Option<Instant> {
        self.life.trusted_until()
    }

    /// Fires when the session is lost.
    pub(crate) fn lost(&self) -> &CancellationToken {
        self.life.lost()
    }

    /// Names the session.
    pub(crate) fn id(&self) -> Uuid {
        self.guard.session()
    }

    /// Whether the session may be trusted to live now.
    pub(crate) fn is_trusted(&self) -> bool {
        self.life.is_trusted()
    }

    /// Whether the session is lost and everything that was under way in it is answered.
    fn is_over(&self) -> bool {
        self.life.loss().is_some() && self.tasks.is_empty()
    }

    /// The jobs of which it knows something.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.claims.jobs()
    }
}

/// Without its writer a session is over, however that ended.
struct EndOfWriting(Arc<Life>);

impl Drop for EndOfWriting {
    fn drop(&mut self) {
        self.0.lose(Loss::Closed);
    }
}

/// A session that nobody holds any more is closed, as well as that can be done without waiting.
impl Drop for Session {
    fn drop(&mut self) {
        self.life.lose(Loss::Closed);
        self.tasks.close();
    }
}
