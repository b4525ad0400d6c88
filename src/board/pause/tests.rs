use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::{
    ErrorKind, JobBoard, NewJob,
    store::{
        KeepAlive, Key, Lease, LeaseId, Memory, RangeRequest, RangeResponse, Result, Revision,
        Store, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};

/// A store in memory that never tells of a pause, or of its end.
#[derive(Debug)]
struct Mute(Memory);

#[async_trait]
impl Store for Mute {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.0.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.0.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        let paused = Key::new("/taskflow/.control/images/paused").unwrap();
        Ok(if request.range.contains(&paused) {
            stream::pending().boxed()
        } else {
            self.0.watch(request).await?
        })
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        self.0.grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        self.0.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.0.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.0.compact(revision).await
    }
}

async fn board(store: impl Store) -> JobBoard {
    let board = JobBoard::builder("images").store(store);
    board.connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn pause_that_a_claim_met_is_waited_out_even_if_nobody_told_of_it() {
    let store = Memory::new();
    let (worker, operator) = (board(Mute(store.clone())).await, board(store).await);
    operator.post(NewJob::new("a")).await.unwrap();
    let second = Some(Duration::from_secs(1));
    let mut jobs = worker.wait_unclaimed(second).await.unwrap().unwrap();
    let job = jobs.next().unwrap();
    operator.pause("operator", None).await.unwrap();
    // Nothing has told the worker.
    assert!(worker.wait_unclaimed(second).await.unwrap().is_some());
    let refused = worker.claim(&job, "one").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Paused);
    assert!(worker.wait_unclaimed(second).await.unwrap().is_none());

    operator.resume().await.unwrap();
    assert!(worker.resumed(second).await.unwrap());
    worker
        .claim(&job, "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    worker.close().await;
    operator.close().await;
}
