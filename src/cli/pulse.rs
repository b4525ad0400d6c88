//! Tells when the view of a board may have changed, by listening to the watch that feeds it.
//!
//! A board's feed applies each batch of a watch before it asks the watch for the next one. So when
//! it asks again, whatever the watch told before can be read; that is the moment that is told here.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use futures::{Stream, StreamExt};
use tokio::sync::watch;

use crate::store::{
    KeepAlive, Lease, LeaseId, RangeRequest, RangeResponse, Result, Revision, Store, Txn,
    TxnResponse, WatchBatch, WatchRequest, WatchStream,
};

/// A store whose watches tell a [`Pulse`] how far they were read.
#[derive(Debug)]
pub(super) struct Listening<S> {
    store: S,
    beats: watch::Sender<u64>,
}

/// Wakes whoever looks at a board when there may be something new to see.
#[derive(Clone, Debug)]
pub(super) struct Pulse(watch::Receiver<u64>);

impl<S: Store> Listening<S> {
    /// Listens to `store`.
    pub(super) fn new(store: S) -> (Self, Pulse) {
        let (beats, pulse) = watch::channel(0);
        (Self { store, beats }, Pulse(pulse))
    }
}

impl Pulse {
    /// Waits until something was applied that this clone was not woken for yet; for ever once the
    /// store is gone. Cancel safe.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Listening<S> {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.store.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.store.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        let stream = self.store.watch(request).await?;
        // A watch begins where a list was applied, which can have told something new too.
        Ok(Listened {
            stream,
            told: true,
            beats: self.beats.clone(),
        }
        .boxed())
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        self.store.grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        self.store.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.store.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.store.compact(revision).await
    }
}

/// A watch that tells when it is asked for more.
struct Listened {
    stream: WatchStream,
    told: bool,
    beats: watch::Sender<u64>,
}

impl Stream for Listened {
    type Item = Result<WatchBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.told) {
            self.beats
                .send_modify(|beats| *beats = beats.wrapping_add(1));
        }
        let next = self.stream.poll_next_unpin(context);
        self.told = next.is_ready();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobBoard, NewJob, store::Memory};

    #[tokio::test(start_paused = true)]
    async fn pulse_wakes_once_the_view_shows_the_change() {
        let memory = Memory::new();
        let (store, mut pulse) = Listening::new(memory.clone());
        let here = JobBoard::builder("images").store(store);
        let there = JobBoard::builder("images").store(memory);
        let here = here.connect().await.unwrap();
        let there = there.connect().await.unwrap();

        there.post(NewJob::new("thumbnail")).await.unwrap();
        while here.job_count() == 0 {
            pulse.changed().await;
        }
        here.close().await;
        there.close().await;
    }
}
