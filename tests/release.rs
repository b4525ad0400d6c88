//! Taking jobs from their owners by force, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use jobboard::{
    ErrorKind, Event, EventKind, JobBoard, JobId, NewJob,
    store::{Key, Revision, Store, StoreExt},
};
use serde_json::{Value, json};

use self::support::{board, stories};

stories! {
    job_of_a_live_owner_is_released_and_claimed_by_another
    lock_of_taskflow_that_never_ends_is_released
    only_the_owner_that_was_seen_loses_the_job
    owner_in_the_same_handle_is_released
    job_that_can_not_be_read_is_released
    reason_is_noted_and_an_over_long_one_is_refused
}

const MINUTE: Option<Duration> = Some(Duration::from_mins(1));

fn key(job: JobId, part: &str) -> Key {
    Key::new(format!("/taskflow/jobs/images/job{job}.{part}")).unwrap()
}

async fn token(board: &JobBoard, job: JobId) -> Revision {
    board.fresh_jobs().await.unwrap();
    board.holder(job).unwrap().token
}

async fn job_of_a_live_owner_is_released_and_claimed_by_another(store: Arc<dyn Store>) {
    let (board, owner) = (board(&store).await, board(&store).await);
    let mut events = board.events(EventKind::Released).unwrap();
    let job = board.post(NewJob::new("a").max_attempts(1)).await.unwrap();
    let claim = owner.claim(&job, "worker-7").await.unwrap();
    let token = token(&board, job.id()).await;
    let holder = board.holder(job.id()).unwrap();
    assert_eq!(holder.name.as_deref(), Some("worker-7"));
    assert_eq!((holder.token, holder.leased), (claim.token(), true));
    assert!(holder.session.is_some());

    board.release(job.id(), token, None).await.unwrap();
    claim.lost().await;
    for refused in [claim.consume().await, claim.abandon().await] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Lost);
    }
    // Its try is not counted: this is the first, and the last one that there may be.
    let next = board.claim(&job, "worker-8").await.unwrap();
    assert_eq!(next.attempt(), 1);
    next.consume().await.unwrap();
    match events.next().await.unwrap().event {
        Event::Released { died, .. } => assert!(!died),
        other => panic!("{other:?}"),
    }
    board.close().await;
    owner.close().await;
}

async fn lock_of_taskflow_that_never_ends_is_released(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .abandon()
        .await
        .unwrap();
    // What an owner of before told is not what this one tells.
    let state = board.claim(&job, "one").await.unwrap();
    state.progress(0.5, None).await.unwrap();
    store.delete(key(job.id(), "lock").into()).await.unwrap();
    state.lost().await;
    let lock = json!({"owner": "taskflow", "lease_id": null}).to_string();
    store.put(key(job.id(), "lock"), lock.into()).await.unwrap();
    let token = token(&board, job.id()).await;
    let holder = board.holder(job.id()).unwrap();
    assert_eq!(holder.name.as_deref(), Some("taskflow"));
    assert_eq!((holder.session, holder.leased), (None, false));
    assert_eq!(job.progress(), None);
    board.release(job.id(), token, None).await.unwrap();
    let claim = board.claim(&job, "two").await.unwrap();
    assert_eq!(claim.attempt(), 3);
    claim.consume().await.unwrap();
    board.close().await;
}

async fn only_the_owner_that_was_seen_loses_the_job(store: Arc<dyn Store>) {
    let (board, owner) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let first = owner.claim(&job, "one").await.unwrap();
    let stale = token(&board, job.id()).await;
    first.abandon().await.unwrap();
    let free = board.release(job.id(), stale, None).await.unwrap_err();
    assert_eq!(free.kind(), ErrorKind::NotFound, "{free}");

    let second = owner.claim(&job, "two").await.unwrap();
    let held = board.release(job.id(), stale, None).await.unwrap_err();
    assert_eq!(
        (held.kind(), held.owner()),
        (ErrorKind::Claimed, Some("two"))
    );
    let nothing = JobId::new(77).unwrap();
    let gone = board.release(nothing, stale, None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(second.is_held());
    second.consume().await.unwrap();
    board.close().await;
    owner.close().await;
}

async fn owner_in_the_same_handle_is_released(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (job, other) = (NewJob::new("a"), NewJob::new("b"));
    let (job, other) = (
        board.post(job).await.unwrap(),
        board.post(other).await.unwrap(),
    );
    let claim = board.claim(&job, "one").await.unwrap();
    let stays = board.claim(&other, "one").await.unwrap();
    board.release(job.id(), claim.token(), None).await.unwrap();
    claim.lost().await;
    let again = board.claim(&job, "one").await.unwrap();
    assert!(again.token() > claim.token());
    // What the claim of before leaves behind does no harm to this one.
    drop(claim);
    again.consume().await.unwrap();
    stays.consume().await.unwrap();
    board.close().await;
}

async fn job_that_can_not_be_read_is_released(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    for part in ["data", "state"] {
        store.put(key(job.id(), part), "?".into()).await.unwrap();
    }
    let token = token(&board, job.id()).await;
    board
        .release(job.id(), token, Some("broken"))
        .await
        .unwrap();
    claim.lost().await;
    assert_eq!(store.get(key(job.id(), "lock")).await.unwrap(), None);
    let state = store.get(key(job.id(), "state")).await.unwrap().unwrap();
    assert_eq!(&*state.value, b"?");
    board.close().await;
}

async fn reason_is_noted_and_an_over_long_one_is_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let long = "x".repeat(5_000);
    let refused = board.release(job.id(), claim.token(), Some(&long)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(claim.is_held());
    let released = board.release(job.id(), claim.token(), Some("it hangs"));
    released.await.unwrap();
    board.wait_unclaimed(MINUTE).await.unwrap().unwrap();
    board.fresh_jobs().await.unwrap();
    assert_eq!(job.last_reason().as_deref(), Some("it hangs"));
    let state = store.get(key(job.id(), "state")).await.unwrap().unwrap();
    let state: Value = serde_json::from_slice(&state.value).unwrap();
    assert_eq!(
        (&state["attempts"], &state["unsettled"]),
        (&json!(0), &json!(0))
    );
    board.close().await;
}
