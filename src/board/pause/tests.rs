use std::{future, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::{
    ErrorKind, JobBoard, NewJob,
    store::{
        self, KeepAlive, Key, KeyRange, Lease, LeaseId, Memory, RangeRequest, RangeResponse,
        Result, Revision, Store, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// A store in memory that does not let see whether a board is paused.
#[derive(Debug)]
struct Mute(Memory, Hides);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hides {
    /// It never tells of a pause, or of its end, to who does not ask.
    Changes,
    /// It gives no answer to who asks.
    Answers,
    /// It refuses to answer.
    ByRefusal,
}

fn tells_of_pauses(range: &KeyRange) -> bool {
    range.contains(&Key::new("/taskflow/.control/images/paused").unwrap())
}

#[async_trait]
impl Store for Mute {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        match self.1 {
            Hides::Answers if tells_of_pauses(&request.range) => future::pending().await,
            Hides::ByRefusal if tells_of_pauses(&request.range) => {
                Err(store::Error::new(store::ErrorKind::Denied, "not you"))
            }
            _ => self.0.range(request).await,
        }
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.0.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        Ok(if tells_of_pauses(&request.range) {
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

/// A worker that is told no more than that, and an operator on the same board, which has a job.
async fn setup(hides: Hides) -> (JobBoard, JobBoard) {
    let store = Memory::new();
    let operator = board(store.clone()).await;
    operator.post(NewJob::new("a")).await.unwrap();
    (board(Mute(store, hides)).await, operator)
}

async fn board(store: impl Store) -> JobBoard {
    let board = JobBoard::builder("images").store(store);
    board.connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn pause_that_a_claim_met_is_waited_out_even_if_nobody_told_of_it() {
    let (worker, operator) = setup(Hides::Changes).await;
    let second = Some(SECOND);
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

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_of_a_pause_looks_first() {
    let (worker, operator) = setup(Hides::Changes).await;
    for _ in 0..2 {
        assert!(worker.resumed(Some(SECOND)).await.unwrap());
        operator.pause("operator", None).await.unwrap();
        assert!(!worker.resumed(Some(SECOND)).await.unwrap());
        operator.resume().await.unwrap();
    }
    worker.close().await;
    operator.close().await;
}

#[tokio::test(start_paused = true)]
async fn job_is_offered_in_the_end_where_nobody_says_whether_the_board_is_paused() {
    let (worker, operator) = setup(Hides::Answers).await;
    operator.pause("operator", None).await.unwrap();
    for timeout in [Duration::ZERO, SECOND] {
        let begun = Instant::now();
        let offered = worker.wait_unclaimed(Some(timeout)).await.unwrap();
        assert_eq!(offered.unwrap().count(), 1);
        assert!(begun.elapsed() >= timeout);
        // A pause is not taken to be over for that.
        assert!(!worker.resumed(Some(timeout)).await.unwrap());
    }
    let unknown = worker.paused().await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unavailable);
    worker.close().await;
    operator.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_know_of_pauses_is_told_so() {
    let (worker, operator) = setup(Hides::ByRefusal).await;
    for refused in [
        worker.wait_unclaimed(None).await.err(),
        worker.resumed(None).await.err(),
        worker.paused().await.err(),
    ] {
        assert_eq!(refused.unwrap().kind(), ErrorKind::Denied);
    }
    worker.close().await;
    operator.close().await;
}
