//! How long a session may trust that it lives, and how it learns that it does not.
//!
//! Trust ends a margin before the store could let the lease end: counted from when the last good
//! keep-alive was *sent*. It is a hint that lets an owner stop in time; what makes a stale owner
//! harmless is the guard, which every write compares.

use std::{
    future::pending,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::store::{Beat, KeepAlive, KeepAliveFeed, Lease};

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
    words: Mutex<Option<Words>>,
    /// Where an answer to a [renewal](Self::renew) is told.
    renewed: KeepAliveFeed,
    margin: Duration,
    loss: Mutex<Option<Loss>>,
    lost: CancellationToken,
}

/// What the store said of the lease.
#[derive(Clone, Debug)]
struct Words {
    /// To the keep-alive that runs, if one does.
    kept: Option<KeepAlive>,
    /// When it granted the lease, and to the last renewal.
    renewed: KeepAlive,
}

impl Life {
    /// The life of a session on `lease`, which `kept` keeps alive; without that, it lives as long as
    /// it is [renewed](Self::renew).
    pub(crate) fn new(lease: &Lease, kept: Option<KeepAlive>, margin: Duration) -> Self {
        let (feed, renewed) = KeepAlive::channel(lease);
        Self {
            words: Mutex::new(Some(Words { kept, renewed })),
            renewed: feed,
            margin,
            loss: Mutex::new(None),
            lost: CancellationToken::new(),
        }
    }

    /// Ends the session. The first reason stays.
    pub(crate) fn lose(&self, why: Loss) {
        lock(&self.loss).get_or_insert(why);
        lock(&self.words).take();
        self.lost.cancel();
    }

    /// Takes in what `asked`, a keep-alive that was just started, hears first. Gives why the session
    /// is over, if it is. Cancel safe.
    pub(crate) async fn renew(&self, mut asked: KeepAlive) -> Result<(), Loss> {
        tokio::select! {
            biased;
            () = self.lost.cancelled() => {}
            word = asked.changed() => {
                self.renewed.tell(word);
                if word == Beat::Gone {
                    self.lose(Loss::LeaseGone);
                }
            }
        }
        self.loss().map_or(Ok(()), Err)
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
        lock(&self.words).as_ref()?.trusted_until(self.margin)
    }

    /// Whether the session may be trusted now.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted_until()
            .is_some_and(|until| Instant::now() < until)
    }

    /// Watches over the session until it is over.
    pub(crate) async fn keep(&self) {
        let Some(mut words) = lock(&self.words).clone() else {
            return;
        };
        while let Some(until) = self.trusted_until() {
            tokio::select! {
                biased;
                () = self.lost.cancelled() => return,
                () = words.changed() => {}
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

impl Words {
    /// Until when they let a session be trusted; `None` if the lease is gone.
    fn trusted_until(&self, margin: Duration) -> Option<Instant> {
        let until = |words: &KeepAlive| match words.latest() {
            Beat::Alive { sent_at, ttl } => Some(sent_at + ttl.saturating_sub(margin)),
            Beat::Gone => None,
        };
        let renewed = until(&self.renewed)?;
        let kept = self.kept.as_ref().map_or(Some(renewed), until)?;
        Some(kept.max(renewed))
    }

    /// Waits for another word. Cancel safe.
    async fn changed(&mut self) {
        let Self { kept, renewed } = self;
        let kept = async {
            match kept {
                Some(kept) => kept.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = kept => {}
            _ = renewed.changed() => {}
        }
    }
}

/// Held for a few instructions only, never across an await. What it guards is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::*;
    use crate::store::LeaseId;

    const TTL: Duration = Duration::from_secs(10);
    const MARGIN: Duration = Duration::from_secs(1);

    fn lease() -> Lease {
        Lease {
            id: LeaseId::new(1).unwrap(),
            ttl: TTL,
            sent_at: Instant::now(),
        }
    }

    fn setup() -> (KeepAliveFeed, Arc<Life>, tokio::task::JoinHandle<()>) {
        let (feed, kept) = KeepAlive::channel(&lease());
        let (life, keeper) = keep(Some(kept));
        (feed, life, keeper)
    }

    fn keep(kept: Option<KeepAlive>) -> (Arc<Life>, tokio::task::JoinHandle<()>) {
        let life = Arc::new(Life::new(&lease(), kept, MARGIN));
        let keeper = Arc::clone(&life);
        (life, tokio::spawn(async move { keeper.keep().await }))
    }

    fn alive() -> Beat {
        Beat::Alive {
            sent_at: Instant::now(),
            ttl: TTL,
        }
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
            feed.tell(alive());
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

    #[tokio::test(start_paused = true)]
    async fn session_that_nobody_keeps_alive_lives_as_long_as_it_is_renewed() {
        let (life, keeper) = keep(None);
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(8)).await;
            let (feed, asked) = KeepAlive::channel(&lease());
            feed.tell(alive());
            life.renew(asked).await.unwrap();
            tokio::task::yield_now().await;
            assert!(feed.closed().now_or_never().is_some(), "it is let go");
        }
        let renewed = Instant::now();
        keeper.await.unwrap();
        assert_eq!(renewed.elapsed() + MARGIN, TTL);
        assert_eq!(life.loss(), Some(Loss::TrustOver));
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_counts_beside_the_word_of_the_keep_alive() {
        let (_kept, life, _keeper) = setup();
        tokio::time::advance(Duration::from_secs(5)).await;
        let (feed, asked) = KeepAlive::channel(&lease());
        feed.tell(alive());
        life.renew(asked).await.unwrap();
        let trusted = life.trusted_until().unwrap() - Instant::now();
        assert_eq!(trusted + MARGIN, TTL);
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_that_finds_the_lease_gone_ends_the_session() {
        let (_kept, life, keeper) = setup();
        let (feed, asked) = KeepAlive::channel(&lease());
        feed.tell(Beat::Gone);
        assert_eq!(life.renew(asked).await, Err(Loss::LeaseGone));
        keeper.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn renewal_ends_with_the_session() {
        let (_kept, life, _keeper) = setup();
        let (_feed, asked) = KeepAlive::channel(&lease());
        let mut renewing = Box::pin(life.renew(asked));
        assert!(futures::poll!(&mut renewing).is_pending());
        life.lose(Loss::OtherStore);
        assert_eq!(renewing.await, Err(Loss::OtherStore));
    }
}
