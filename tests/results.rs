//! What a user does with the results of jobs, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/gone.rs"]
mod gone;
#[path = "support/stories.rs"]
mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jobboard::{
    Claim, Ended, ErrorKind, Job, JobBoard, NewJob,
    store::{Key, KeyRange, LeaseId, RangeRequest, Store, StoreExt},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::{
    gone::until_gone,
    support::{board, builder, stories},
};

stories! {
    result_is_seen_by_everybody_who_waits
    every_json_can_be_a_result
    result_ends_after_its_retention
    over_long_result_is_refused_and_the_job_is_still_held
    results_share_a_lease_which_outlives_the_board
    result_is_kept_though_the_lease_of_those_before_was_lost
    stale_owner_leaves_no_result
    named_owner_consumes_with_a_result
    record_of_a_result_says_whose_it_is
    retention_that_can_not_be_is_refused
}

const SECOND: Duration = Duration::from_secs(1);

async fn held(board: &JobBoard) -> (Job, Claim) {
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    (job, claim)
}

fn done(job: &Job) -> Key {
    Key::new(format!("/taskflow/.done/images/job{}", job.id())).unwrap()
}

/// The leases of all results, and how many results there are.
async fn leases(store: &Arc<dyn Store>) -> (BTreeSet<LeaseId>, usize) {
    let all = KeyRange::prefix(Key::new("/taskflow/.done/images/").unwrap());
    let kept = store.range(RangeRequest::new(all)).await.unwrap().kvs;
    let leases = kept.iter().map(|kv| kv.lease.unwrap());
    (leases.collect(), kept.len())
}

async fn result_of(job: &Job) -> Option<Value> {
    match job.wait(Some(10 * SECOND)).await.unwrap() {
        Ended::Consumed(result) => result,
        other => panic!("{other:?}"),
    }
}

async fn result_is_seen_by_everybody_who_waits(store: Arc<dyn Store>) {
    let (worker, poster) = (board(&store).await, board(&store).await);
    let job = poster.post(NewJob::new("thumbnail")).await.unwrap();
    let claim = worker.claim(&job, "one").await.unwrap();
    let also_seen = worker.fresh_jobs().await.unwrap().next().unwrap();
    let made = json!({"file": "a-small.png", "bytes": 1_234});
    let (there, here, consumed) = tokio::join!(
        result_of(&job),
        result_of(&also_seen),
        claim.consume_with(made.clone()),
    );
    consumed.unwrap();
    assert_eq!((there.as_ref(), here.as_ref()), (Some(&made), Some(&made)));
    assert_eq!(result_of(&job).await, Some(made), "long after");
    worker.close().await;
    poster.close().await;
}

async fn every_json_can_be_a_result(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for result in [json!(null), json!(false), json!(0.5), json!("ä"), json!([])] {
        let (job, claim) = held(&board).await;
        claim.consume_with(result.clone()).await.unwrap();
        assert_eq!(result_of(&job).await, Some(result));
    }
    let (job, claim) = held(&board).await;
    claim.consume().await.unwrap();
    assert_eq!(result_of(&job).await, None);
    board.close().await;
}

async fn result_ends_after_its_retention(store: Arc<dyn Store>) {
    let board = builder("images").store(Arc::clone(&store));
    let board = board.retention(SECOND).deadline(3 * SECOND);
    let board = board.connect().await.unwrap();
    let (job, claim) = held(&board).await;
    claim.consume_with(json!("made")).await.unwrap();
    let consumed = Instant::now();
    until_gone(&done(&job), &store).await;
    assert!(consumed.elapsed() >= SECOND, "{:?}", consumed.elapsed());
    assert_eq!(result_of(&job).await, None);

    // The lease went with it, and is not used again.
    let (job, claim) = held(&board).await;
    claim.consume_with(json!("made")).await.unwrap();
    assert_eq!(result_of(&job).await, Some(json!("made")));
    board.close().await;
}

async fn over_long_result_is_refused_and_the_job_is_still_held(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, claim) = held(&board).await;
    // As JSON, it has quotes.
    let longest = "x".repeat((64 << 10) - 2);
    let refused = claim.consume_with(json!(format!("{longest}x"))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(
        refused.to_string(),
        "consume job 1: the result has 65537 bytes, the limit is 65536"
    );
    let deep = (0..127).fold(json!(1), |deep, _| json!([deep]));
    let refused = claim.consume_with(deep).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(claim.is_held());
    assert_eq!(leases(&store).await.1, 0);

    claim.consume_with(json!(longest)).await.unwrap();
    assert_eq!(result_of(&job).await, Some(json!(longest)));
    board.close().await;
}

async fn results_share_a_lease_which_outlives_the_board(store: Arc<dyn Store>) {
    let first = board(&store).await;
    let mut claims = Vec::new();
    for _ in 0..20 {
        claims.push(held(&first).await.1);
    }
    let consuming = claims.iter().map(|claim| claim.consume_with(json!("made")));
    for consumed in futures::future::join_all(consuming).await {
        consumed.unwrap();
    }
    let (of_first, count) = leases(&store).await;
    assert_eq!((of_first.len(), count), (1, 20));
    first.close().await;

    let second = board(&store).await;
    held(&second).await.1.consume_with(json!(1)).await.unwrap();
    let (of_both, count) = leases(&store).await;
    assert_eq!((of_both.len(), count), (2, 21), "none went with its board");
    second.close().await;
}

async fn result_is_kept_though_the_lease_of_those_before_was_lost(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (first, claim) = held(&board).await;
    claim.consume_with(json!("first")).await.unwrap();
    let lease = store.get(done(&first)).await.unwrap().unwrap().lease;
    store.revoke(lease.unwrap()).await.unwrap();
    assert_eq!(result_of(&first).await, None);

    let bystander = held(&board).await.1;
    let (second, claim) = held(&board).await;
    claim.consume_with(json!("second")).await.unwrap();
    assert_eq!(result_of(&second).await, Some(json!("second")));
    assert!(bystander.is_held(), "the session lives");
    bystander.consume().await.unwrap();
    board.close().await;
}

async fn stale_owner_leaves_no_result(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, claim) = held(&board).await;
    claim.abandon().await.unwrap();
    let next = board.claim(&job, "two").await.unwrap();
    let stale = claim.consume_with(json!("stale")).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Lost);
    next.consume_with(json!("made")).await.unwrap();
    let stale = claim.consume_with(json!("stale")).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Lost);
    assert_eq!(result_of(&job).await, Some(json!("made")));

    let (_, claim) = held(&board).await;
    board.close().await;
    let lost = claim.consume_with(json!("late")).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Lost);
}

async fn named_owner_consumes_with_a_result(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, claim) = held(&board).await;
    let refused = board.consume_with(&job, "two", json!(1)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotOwner);
    board.consume_with(&job, "one", json!(2)).await.unwrap();
    claim.lost().await;
    assert_eq!(result_of(&job).await, Some(json!(2)));

    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let lock = Key::new(format!("/taskflow/jobs/images/job{}.lock", job.id())).unwrap();
    store
        .put(lock, r#"{"owner": "flow"}"#.into())
        .await
        .unwrap();
    board.consume_with(&job, "flow", json!(3)).await.unwrap();
    assert_eq!(result_of(&job).await, Some(json!(3)));
    board.close().await;
}

async fn record_of_a_result_says_whose_it_is(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, claim) = held(&board).await;
    claim.consume_with(json!({"pages": 3})).await.unwrap();
    let record = store.get(done(&job)).await.unwrap().unwrap();
    let record: Value = serde_json::from_slice(&record.value).unwrap();
    assert_eq!(record["uuid"], json!(job.uuid()));
    assert_eq!(record["outcome"], json!("CONSUMED"));
    assert_eq!(record["result"], json!({"pages": 3}));
    assert_eq!(record["consumed_by"], json!("one"));
    assert!(record["consumed_on"].is_string());

    // What another job left under that number is not this one's.
    let others = json!({"uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11", "result": "other"});
    store
        .put(done(&job), others.to_string().into())
        .await
        .unwrap();
    assert_eq!(result_of(&job).await, None);
    board.close().await;
}

async fn retention_that_can_not_be_is_refused(store: Arc<dyn Store>) {
    for retention in [SECOND / 2, Duration::MAX] {
        let board = builder("images").store(Arc::clone(&store));
        let refused = board.retention(retention).build().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{retention:?}");
    }
}
