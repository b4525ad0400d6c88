//! Asking for jobs to be stopped, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use jobboard::{
    Cancelled, Ended, ErrorKind, Event, EventKind, JobState, NewJob,
    store::{Key, Store, StoreExt},
};

use self::support::{board, stories};

stories! {
    job_that_nobody_holds_is_trashed
    owner_is_asked_and_decides_itself
    request_reaches_a_claim_that_is_made_meanwhile
    job_that_its_owner_gave_back_is_trashed_by_who_would_claim_it
    request_is_told_to_who_listens
    request_that_can_not_be_read_is_one_all_the_same
    loss_and_request_fire_the_same_token
    bad_requests_are_refused
}

const MINUTE: Option<Duration> = Some(Duration::from_mins(1));

async fn job_that_nobody_holds_is_trashed(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let wrong = board.post(NewJob::new("a")).await.unwrap();
    let cancelled = board.cancel(&wrong, "operator", Some("wrong file")).await;
    assert_eq!(cancelled.unwrap(), Cancelled::Trashed);
    let reason = |text: &str| Ended::Trashed(Some(text.to_owned()));
    assert_eq!(wrong.wait(MINUTE).await.unwrap(), reason("wrong file"));

    let delayed = NewJob::new("b").delay(Duration::from_hours(1));
    let delayed = board.post(delayed).await.unwrap();
    let cancelled = board.cancel(&delayed, "operator", None).await.unwrap();
    assert_eq!(cancelled, Cancelled::Trashed);
    assert_eq!(
        delayed.wait(MINUTE).await.unwrap(),
        reason("cancelled by operator")
    );
    board.close().await;
}

async fn owner_is_asked_and_decides_itself(store: Arc<dyn Store>) {
    let (board, worker) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = worker.claim(&job, "one").await.unwrap();
    let stop = claim.cancellation();
    assert!(!stop.is_cancelled() && claim.cancel_request().is_none());
    let cancelled = board.cancel(&job, "operator", Some("wrong file")).await;
    assert_eq!(cancelled.unwrap(), Cancelled::Requested);

    stop.cancelled().await;
    let request = claim.cancel_request().unwrap();
    assert_eq!(request.by.as_deref(), Some("operator"));
    assert_eq!(request.reason.as_deref(), Some("wrong file"));
    assert!(request.on.is_some());
    assert!(claim.is_held());
    claim.progress(0.5, Some("cleaning up")).await.unwrap();
    claim.consume().await.unwrap();
    assert_eq!(job.wait(MINUTE).await.unwrap(), Ended::Consumed(None));
    board.close().await;
    worker.close().await;
}

async fn request_reaches_a_claim_that_is_made_meanwhile(store: Arc<dyn Store>) {
    let (board, worker) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    board.cancel(&job, "operator", None).await.unwrap();
    // TaskFlow knows of no requests: its client gives the job to the next one.
    let lock = Key::new(format!("/taskflow/jobs/images/job{}.lock", job.id())).unwrap();
    store.delete(lock.into()).await.unwrap();
    claim.lost().await;
    worker.fresh_jobs().await.unwrap();
    assert!(worker.get(job.id()).unwrap().cancel_request().is_some());
    let refused = worker.claim(&job, "two").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    board.close().await;
    worker.close().await;
}

async fn job_that_its_owner_gave_back_is_trashed_by_who_would_claim_it(store: Arc<dyn Store>) {
    let (board, worker) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = worker.claim(&job, "one").await.unwrap();
    board
        .cancel(&job, "operator", Some("wrong file"))
        .await
        .unwrap();
    claim.abandon().await.unwrap();
    board.fresh_jobs().await.unwrap();
    assert_eq!(job.state(), JobState::Unclaimed);
    let refused = board.claim(&job, "two").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    let reason = Some("wrong file".to_owned());
    assert_eq!(job.wait(MINUTE).await.unwrap(), Ended::Trashed(reason));
    // Nothing of the request is left for a job that would come back under its number.
    let request = Key::new(format!("/taskflow/jobs/images/job{}.cancel", job.id())).unwrap();
    assert_eq!(store.get(request).await.unwrap(), None);
    board.close().await;
    worker.close().await;
}

async fn request_is_told_to_who_listens(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut events = board.events(EventKind::CancelRequested).unwrap();
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    board
        .cancel(&job, "operator", Some("wrong file"))
        .await
        .unwrap();
    let told = events.next().await.unwrap();
    assert_eq!(told.kind().as_str(), "CANCEL_REQUESTED");
    assert_eq!(told.job().unwrap().uuid(), job.uuid());
    match told.event {
        Event::CancelRequested { request, .. } => {
            assert_eq!(request.reason.as_deref(), Some("wrong file"));
        }
        other => panic!("{other:?}"),
    }
    claim.consume().await.unwrap();
    board.close().await;
}

async fn request_that_can_not_be_read_is_one_all_the_same(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let request = Key::new(format!("/taskflow/jobs/images/job{}.cancel", job.id())).unwrap();
    store.put(request.clone(), "?".into()).await.unwrap();
    claim.cancellation().cancelled().await;
    assert_eq!(claim.cancel_request().unwrap().by, None);
    assert_eq!(board.unreadable()[0].key, request);
    claim.abandon().await.unwrap();
    board.fresh_jobs().await.unwrap();
    board.claim(&job, "two").await.unwrap_err();
    let reason = Some("cancelled".to_owned());
    assert_eq!(job.wait(MINUTE).await.unwrap(), Ended::Trashed(reason));
    board.close().await;
}

async fn loss_and_request_fire_the_same_token(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let stop = claim.cancellation();
    board.release(job.id(), claim.token(), None).await.unwrap();
    stop.cancelled().await;
    assert!(!claim.is_held() && claim.cancel_request().is_none());
    board.close().await;
}

async fn bad_requests_are_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let (name, long) = ("x".repeat(300), "x".repeat(5_000));
    for (by, reason) in [
        ("", None),
        (name.as_str(), None),
        ("operator", Some(long.as_str())),
    ] {
        let refused = board.cancel(&job, by, reason).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 1);
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    let gone = board.cancel(&job, "operator", None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    board.close().await;
}
