//! Leases, and the word of the store that one is alive.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::LeaseId;

/// A lease that was granted. Its keys end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the store tells of a new lease, complete"
)]
pub struct Lease {
    /// The lease.
    pub id: LeaseId,
    /// The time to live that the store gave, which can be more than was asked for.
    pub ttl: Duration,
    /// When the request was *sent*: the store's clock for this lease started no earlier.
    pub sent_at: Instant,
}

/// The store's last good word about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a lease lives or it does not")]
pub enum Beat {
    /// The lease was alive.
    Alive {
        /// When the keep-alive was *sent* that was answered so.
        sent_at: Instant,
        /// How long the lease lives from then on, at least.
        ttl: Duration,
    },
    /// The store says that there is no such lease (any more).
    Gone,
}

/// A running keep-alive: the store's last word, always the newest. Dropping the last clone stops
/// the keep-alive; the lease then ends by itself.
///
/// The store drives it where a handler that blocks its runtime can not stop it, so that
/// [`latest`](Self::latest) is true even for who did not get to run for a while.
#[derive(Clone, Debug)]
pub struct KeepAlive {
    beats: watch::Receiver<Beat>,
}

impl KeepAlive {
    /// A keep-alive of `lease` and the end through which a store feeds it.
    pub fn channel(lease: &Lease) -> (KeepAliveFeed, Self) {
        let granted = Beat::Alive {
            sent_at: lease.sent_at,
            ttl: lease.ttl,
        };
        let (feed, beats) = watch::channel(granted);
        (KeepAliveFeed { beats: feed }, Self { beats })
    }

    /// The newest word.
    pub fn latest(&self) -> Beat {
        *self.beats.borrow()
    }

    /// Waits for a word that this clone has not waited for yet. Never ends if the store says
    /// nothing more. Cancel safe.
    pub async fn changed(&mut self) -> Beat {
        if self.beats.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.beats.borrow_and_update()
    }
}

/// The end of a [`KeepAlive`] that a store holds.
#[derive(Debug)]
pub struct KeepAliveFeed {
    beats: watch::Sender<Beat>,
}

impl KeepAliveFeed {
    /// Tells the newest word.
    pub fn tell(&self, beat: Beat) {
        self.beats.send_replace(beat);
    }

    /// Waits until nobody listens any more. Cancel safe.
    pub async fn closed(&self) {
        self.beats.closed().await;
    }
}
