//! The store as a process sees it whose time is not the store's.

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jobboard::store::{
    Beat, KeepAlive, KeepAliveFeed, Lease, LeaseId, Memory, RangeRequest, RangeResponse, Result,
    Revision, Store, Txn, TxnResponse, WatchRequest, WatchStream,
};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// A store in memory, reached over its runtime: what it times, it times there.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    memory: Memory,
    there: Handle,
}

impl Remote {
    /// The store, which lives in the runtime that this is called in.
    pub(crate) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            there: Handle::current(),
        }
    }

    /// Does something where the store lives.
    async fn there<T, F>(&self, act: impl FnOnce(Memory) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.there.spawn(act(self.memory.clone())).await.unwrap()
    }

    /// Has a lease kept alive once.
    async fn beat(&self, lease: Lease) -> Beat {
        self.there(|memory| async move {
            let mut alive = memory.keep_alive(&lease, Duration::from_millis(1));
            alive.changed().await
        })
        .await
    }

    /// Keeps a lease alive until it is gone.
    async fn keep(&self, lease: Lease, every: Duration, feed: &KeepAliveFeed) {
        let mut next = Instant::now();
        loop {
            next = Instant::now().max(next + every);
            sleep_until(next).await;
            let sent_at = Instant::now();
            match self.beat(lease).await {
                Beat::Alive { ttl, .. } => feed.tell(Beat::Alive { sent_at, ttl }),
                Beat::Gone => return feed.tell(Beat::Gone),
            }
        }
    }
}

#[async_trait]
impl Store for Remote {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.there(|memory| async move { memory.range(request).await })
            .await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.there(|memory| async move { memory.txn(txn).await })
            .await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        let opened = self.there(|memory| async move { memory.watch(request).await });
        let mut batches = opened.await?;
        let (send, receive) = mpsc::channel(1);
        self.there.spawn(async move {
            let tell = async {
                while let Some(batch) = batches.next().await {
                    // Whoever hears it no longer has closed the channel.
                    _ = send.send(batch).await;
                }
            };
            tokio::select! {
                biased;
                () = send.closed() => {}
                () = tell => {}
            }
        });
        let batches = stream::unfold(receive, |mut receive| async move {
            Some((receive.recv().await?, receive))
        });
        Ok(batches.boxed())
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        let sent_at = Instant::now();
        let granted = self.there(|memory| async move { memory.grant(ttl).await });
        Ok(Lease {
            sent_at,
            ..granted.await?
        })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        self.there(|memory| async move { memory.revoke(lease).await })
            .await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        let (feed, alive) = KeepAlive::channel(lease);
        let (this, lease) = (self.clone(), *lease);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = feed.closed() => {}
                () = this.keep(lease, every, &feed) => {}
            }
        });
        alive
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.there(|memory| async move { memory.compact(revision).await })
            .await
    }
}
