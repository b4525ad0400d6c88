//! The tasks of the store: one that ends leases when their time is over, and one for each lease
//! that is kept alive. None of them keeps the store itself alive, and all end with it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::{
    alarm,
    store::{Beat, KeepAlive, KeepAliveFeed, Lease, LeaseId},
};

/// What the store holds of its tasks. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Tasks {
    ended: CancellationToken,
    granted: Arc<Notify>,
    expiry: Option<JoinHandle<()>>,
}

impl Tasks {
    /// No task yet.
    pub(super) fn new() -> Self {
        Self {
            ended: CancellationToken::new(),
            granted: Arc::new(Notify::new()),
            expiry: None,
        }
    }

    /// Sees to it that leases end in time, the one just granted included. Without a runtime around
    /// they end when the store is asked next.
    pub(super) fn watch_leases(&mut self, shared: &Arc<Shared>) {
        self.granted.notify_one();
        if self.expiry.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let task = end_leases(Arc::downgrade(shared), Arc::clone(&self.granted));
            let ended = self.ended.clone();
            self.expiry = Some(runtime.spawn(async move {
                ended.run_until_cancelled(task).await;
            }));
        }
    }

    /// Keeps `lease` alive until nobody listens any more.
    pub(super) fn keep_alive(
        &self,
        shared: &Arc<Shared>,
        lease: &Lease,
        every: Duration,
    ) -> KeepAlive {
        let (feed, keep_alive) = KeepAlive::channel(lease);
        let task = renew(Arc::downgrade(shared), lease.id, every, feed);
        let ended = self.ended.clone();
        tokio::spawn(async move {
            ended.run_until_cancelled(task).await;
        });
        keep_alive
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Ends each lease at its time.
async fn end_leases(shared: Weak<Shared>, granted: Arc<Notify>) {
    while let Some(store) = shared.upgrade() {
        // The store ends what is due before it answers anything.
        let next = store.with(|state| state.leases.next_end());
        drop(store);
        tokio::select! {
            biased;
            () = granted.notified() => {}
            () = alarm::at(next) => {}
        }
    }
}

/// Renews a lease each `every`, beginning now.
async fn renew(shared: Weak<Shared>, lease: LeaseId, every: Duration, feed: KeepAliveFeed) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = feed.closed() => return,
            _ = ticks.tick() => {}
        }
        let Some(store) = shared.upgrade() else {
            return;
        };
        let sent_at = Instant::now();
        match store.with(|state| state.leases.renew(lease, sent_at)) {
            Some(ttl) => feed.tell(Beat::Alive { sent_at, ttl }),
            None => return feed.tell(Beat::Gone),
        }
    }
}
