//! What users see of verbs that go together, on real etcd: nothing but speed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a test did not expect fails it"
)]

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use jobboard::{
    Claim, JobBoard, NewJob,
    store::{Etcd, Key, KeyRange, RangeRequest, Store},
    testing::LocalEtcd,
};
use serde_json::json;

/// More than fit into one transaction.
const JOBS: usize = 300;

/// A board on an etcd of each tested version, with these flags.
async fn on_each_etcd<F: Future<Output = ()>>(
    flags: &[&str],
    story: impl Fn(Arc<Etcd>, JobBoard) -> F,
) {
    for binary in LocalEtcd::binaries().unwrap() {
        let etcd = LocalEtcd::builder().binary(&binary);
        let etcd = flags.iter().fold(etcd, |etcd, flag| etcd.flag(*flag));
        let etcd = etcd.start().await.unwrap();
        println!("etcd {}", etcd.version().await.unwrap());
        let store = Arc::new(Etcd::connect([etcd.endpoint()]).await.unwrap());
        let board = JobBoard::builder("images").store(Arc::clone(&store));
        let board = board.connect().await.unwrap();
        story(store, board.clone()).await;
        board.close().await;
    }
}

/// Posts so many jobs, claims them and consumes them, in a task of its own: as services do their work.
async fn do_all(board: JobBoard, jobs: usize, letters: usize) {
    let all = async move { do_each(&board, jobs, letters).await };
    tokio::spawn(all).await.unwrap();
}

async fn do_each(board: &JobBoard, jobs: usize, letters: usize) {
    let new = |number: usize| {
        let text = "a".repeat(letters);
        NewJob::new(format!("job-{number}")).details(json!({"text": text}))
    };
    let posted = board.post_many((0..jobs).map(new)).await;
    let posted: Vec<_> = posted.into_iter().map(Result::unwrap).collect();
    let claims = board.claim_many(posted, "worker-7").await;
    let claims: Vec<_> = claims.into_iter().map(Result::unwrap).collect();
    let consumed = join_all(claims.iter().map(Claim::consume)).await;
    assert!(consumed.len() == jobs && consumed.iter().all(Result::is_ok));
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
}

#[tokio::test]
async fn many_posts_take_few_transactions() {
    on_each_etcd(&[], |store, board| async move {
        let posted = board.post_many((0..JOBS).map(|_| NewJob::new("job"))).await;
        assert!(posted.iter().all(Result::is_ok));
        let jobs = KeyRange::prefix(Key::new("/taskflow/jobs/images/job").unwrap());
        let there = store.range(RangeRequest::new(jobs)).await.unwrap();
        assert_eq!(there.kvs.len(), JOBS);
        let revisions = there.kvs.iter().map(|kv| kv.create_revision);
        let transactions = revisions.collect::<BTreeSet<_>>().len();
        // Sixty-four are under way at a time: five groups at best.
        assert!(transactions < JOBS / 4, "{transactions}");
    })
    .await;
}

#[tokio::test]
async fn etcd_that_does_little_at_once_is_given_little() {
    on_each_etcd(&["--max-txn-ops=12"], |_, board| async move {
        do_all(board, JOBS, 1).await;
    })
    .await;
}

#[tokio::test]
async fn etcd_that_takes_small_requests_is_sent_small_ones() {
    on_each_etcd(&["--max-request-bytes=65536"], |_, board| async move {
        do_all(board, JOBS, 8_000).await;
    })
    .await;
}

#[tokio::test]
async fn jobs_with_large_details_go_together_as_far_as_they_fit() {
    on_each_etcd(&[], |_, board| async move {
        do_all(board, 20, 400_000).await;
    })
    .await;
}
