//! How long a session may trust that it lives, and how it learns that it does not.
//!
//! Trust ends a margin before the store could let the lease end: counted from when the last good
//! keep-alive was *sent*. It is a hint that lets an owner stop in time; what makes a stale owner
//! harmless is the guard, which every write compares.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::store::{Beat, KeepAlive};

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It was closed.
    Closed,
    /// No keep-alive was answered in time.
    TrustOver,
    /// The store says that the lease is gone.
    LeaseGone,
    /// The guard is gone, or the fence could not be put.
    GuardGone,
    /// The store is not the one that the session was opened on.
    OtherStore,
}

/// A session's life, judged by what is heard of its lease.
#[derive(Debug)]
pub(crate) struct Life {
    /// Let go when the session is lost: it is never kept alive again.
    beats: Mutex<Option<KeepAlive>>,
    margin: Duration,
    loss: Mutex<Option<Loss>>,
    lost: CancellationToken,
}

impl Life {
    pub(crate) fn new(beats: KeepAlive, margin: Duration) -> Self {
        Self {
            beats: Mutex::new(Some(beats)),
            margin,
            loss: Mutex::new(None),
            lost: CancellationToken::new(),
        }
    }

    /// Ends the session. The first reason stays.
    pub(crate) fn lose(&self, why: Loss) {
        lock(&self.loss).get_or_insert(why);
        lock(&self.beats).take();
        self.lost.cancel();
    }

    /// Why the session is over, if it is.
    pub(crate) fn loss(&self) -> Option<Loss> {
        *lock(&self.loss)
    }

    /// Fires when the session is over.
    pub(crate) const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Until when the session may be trusted, by the newest word of the store; `None` if it is
    /// over.
    pub(crate) fn trusted_until(&self) -> Option<Instant> {
        match lock(&self.beats).as_ref()?.latest() {
            Beat::Alive { sent_at, ttl } => Some(sent_at + ttl.saturating_sub(self.margin)),
            Beat::Gone => None,
        }
    }

    /// Whether the session may be trusted now.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted_until()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Watches over the session until it is over.
    pub(crate) async fn keep(&self) {
        let Some(mut beats) = lock(&self.beats).clone() else {
            return;
        };
        while let Some(until) = self.trusted_until() {
            tokio::select! {
                biased;
                () = self.lost.cancelled() => return,
                _ = beats.changed() => {}
                () = sleep_until(until) => {
                    // Whoever did not get to run for a while first looks for newer word.
                    if !self.is_trusted() {
                        return self.lose(Loss::TrustOver);
                    }
                }
            }
        }
        self.lose(Loss::LeaseGone);
    }
}

/// Held for a few instructions only, never across an await. What it guards is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{KeepAliveFeed, Lease, LeaseId};

    const TTL: Duration = Duration::from_secs(10);
    const MARGIN: Duration = Duration::from_secs(1);

    fn setup() -> (KeepAliveFeed, Arc<Life>, tokio::task::JoinHandle<()>) {
        let id = LeaseId::new(1).unwrap();
        let (feed, beats) = KeepAlive::channel(&Lease {
            id,
            ttl: TTL,
            sent_at: Instant::now(),
        });
        let life = Arc::new(Life::new(beats, MARGIN));
        let keeper = Arc::clone(&life);
        (feed, life, tokio::spawn(async move { keeper.keep().await }))
    }

    #[tokio::test(start_paused = true)]
    async fn trust_ends_a_margin_before_the_lease_counted_from_the_sending() {
        let start = Instant::now();
        let (_feed, life, keeper) = setup();
        keeper.await.unwrap();
        assert_eq!(start.elapsed() + MARGIN, TTL);
        assert_eq!(life.loss(), Some(Loss::TrustOver));
        assert!(life.lost().is_cancelled() && !life.is_trusted());
    }

    #[tokio::test(start_paused = true)]
    async fn every_good_answer_prolongs_the_trust() {
        let (feed, life, keeper) = setup();
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(8)).await;
            feed.tell(Beat::Alive {
                sent_at: Instant::now(),
                ttl: TTL,
            });
            tokio::task::yield_now().await;
            assert!(life.is_trusted());
        }
        assert!(!keeper.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn word_that_came_while_nobody_ran_counts() {
        let (feed, life, _keeper) = setup();
        tokio::task::yield_now().await;
        feed.tell(Beat::Alive {
            sent_at: Instant::now() + TTL,
            ttl: TTL,
        });
        tokio::time::advance(TTL + TTL / 2).await;
        assert!(life.is_trusted());
        tokio::task::yield_now().await;
        assert_eq!(life.loss(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn gone_lease_ends_the_session_at_once() {
        let (feed, life, keeper) = setup();
        feed.tell(Beat::Gone);
        keeper.await.unwrap();
        assert_eq!(life.loss(), Some(Loss::LeaseGone));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_session_is_never_kept_alive_again() {
        let (feed, life, keeper) = setup();
        life.lose(Loss::Closed);
        keeper.await.unwrap();
        feed.closed().await;
        assert_eq!(life.loss(), Some(Loss::Closed));
        assert_eq!(life.trusted_until(), None);
    }
}
