//! What users see of a paused board, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use futures::FutureExt;
use jobboard::{
    ErrorKind, JobBoard, NewJob, Pause,
    clock::Clock,
    store::{Key, Store, StoreExt},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use self::support::{board, builder, stories};

stories! {
    nothing_is_claimed_on_a_paused_board
    pause_outlives_who_paused
    what_is_held_goes_on
    resume_wakes_who_waits
    board_paused_while_one_waits_offers_nothing
    pause_is_told_with_by_and_reason
    pausing_and_resuming_again_is_harmless
    record_that_can_not_be_read_pauses_too
    bad_input_is_refused_and_pauses_nothing
    other_boards_are_not_paused
    closing_ends_the_wait
    read_only_handle_sees_a_pause_and_makes_none
}

/// More than any wait of a story takes.
const BOUND: Duration = Duration::from_secs(30);

/// How long a story listens for what must not come.
const A_WHILE: Duration = Duration::from_millis(200);

fn paused() -> Key {
    Key::new("/taskflow/.control/images/paused").unwrap()
}

async fn record(store: &Arc<dyn Store>) -> Value {
    let record = store.get(paused()).await.unwrap().unwrap();
    assert_eq!(record.lease, None);
    serde_json::from_slice(&record.value).unwrap()
}

/// The names of the jobs that are offered, once there are any.
async fn offered(board: &JobBoard) -> Vec<String> {
    let jobs = timeout(BOUND, board.wait_unclaimed(None)).await;
    let jobs = jobs.unwrap().unwrap().unwrap();
    jobs.map(|job| job.name().to_owned()).collect()
}

async fn is_offered_nothing(board: &JobBoard) -> bool {
    let jobs = board.wait_unclaimed(Some(A_WHILE)).await;
    jobs.unwrap().is_none()
}

async fn nothing_is_claimed_on_a_paused_board(store: Arc<dyn Store>) {
    let (one, other) = (board(&store).await, board(&store).await);
    let job = one.post(NewJob::new("a")).await.unwrap();
    one.pause("operator", None).await.unwrap();
    let same = other.fresh_jobs().await.unwrap().next().unwrap();
    for refused in [
        one.claim(&job, "one").await,
        one.clone().claim(&job, "one").await,
        other.claim(&same, "other").await,
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Paused);
    }
    for refused in other.claim_many([same.clone()], "other").await {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Paused);
    }
    for board in [&one, &other] {
        assert!(is_offered_nothing(board).await);
        assert!(!board.resumed(Some(A_WHILE)).await.unwrap());
    }
    let state = Key::new(format!("/taskflow/jobs/images/job{}.state", job.id())).unwrap();
    assert_eq!(store.get(state).await.unwrap(), None, "no try was counted");

    one.resume().await.unwrap();
    let claim = other.claim(&same, "other").await.unwrap();
    assert_eq!(claim.attempt(), 1);
    claim.consume().await.unwrap();
    one.close().await;
    other.close().await;
}

async fn pause_outlives_who_paused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    board.pause("operator", None).await.unwrap();
    board.close().await;
    board.connect().await.unwrap();
    let refused = board.claim(&job, "one").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Paused);
    assert!(is_offered_nothing(&board).await);
    board.resume().await.unwrap();
    assert_eq!(offered(&board).await, ["a"]);
    board.close().await;
}

async fn what_is_held_goes_on(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut claims = Vec::new();
    for name in ["consumed", "abandoned", "trashed"] {
        let job = board.post(NewJob::new(name)).await.unwrap();
        claims.push(board.claim(&job, "one").await.unwrap());
    }
    board.pause("operator", None).await.unwrap();
    assert!(claims.iter().all(jobboard::Claim::is_held));
    claims[0].progress(0.5, None).await.unwrap();
    claims[0].consume().await.unwrap();
    claims[1].abandon().await.unwrap();
    claims[2].trash("bad").await.unwrap();
    board.post(NewJob::new("posted")).await.unwrap();
    let left = board.fresh_jobs().await.unwrap();
    let left: Vec<_> = left.map(|job| job.name().to_owned()).collect();
    assert_eq!(left, ["abandoned", "posted"]);
    board.close().await;
}

async fn resume_wakes_who_waits(store: Arc<dyn Store>) {
    let (one, other) = (board(&store).await, board(&store).await);
    one.post(NewJob::new("a")).await.unwrap();
    one.pause("operator", None).await.unwrap();
    other.fresh_jobs().await.unwrap();
    assert!(is_offered_nothing(&other).await);
    let resume = async {
        // They wait by now, as both views are there.
        assert!(!other.resumed(Some(A_WHILE)).await.unwrap());
        one.resume().await.unwrap();
    };
    let resumed = timeout(BOUND, other.resumed(None));
    let (names, resumed, ()) = tokio::join!(offered(&other), resumed, resume);
    assert_eq!(names, ["a"]);
    assert!(resumed.unwrap().unwrap());
    // Where nothing is paused there is nothing to wait for.
    for board in [&one, &other] {
        assert!(board.resumed(Some(BOUND)).await.unwrap());
    }
    one.close().await;
    other.close().await;
}

async fn board_paused_while_one_waits_offers_nothing(store: Arc<dyn Store>) {
    let (one, other) = (board(&store).await, board(&store).await);
    assert!(is_offered_nothing(&other).await, "there is no job yet");
    let mut waiting = Box::pin(other.wait_unclaimed(None));
    assert!(waiting.as_mut().now_or_never().is_none());
    one.pause("operator", None).await.unwrap();
    // The pause is seen before the job is: it is in another range.
    assert!(!other.resumed(Some(A_WHILE)).await.unwrap());
    one.post(NewJob::new("a")).await.unwrap();
    other.fresh_jobs().await.unwrap();
    assert!(timeout(A_WHILE, &mut waiting).await.is_err());
    let (jobs, resumed) = tokio::join!(timeout(BOUND, waiting), one.resume());
    resumed.unwrap();
    assert_eq!(jobs.unwrap().unwrap().unwrap().count(), 1);
    one.close().await;
    other.close().await;
}

async fn pause_is_told_with_by_and_reason(store: Arc<dyn Store>) {
    let noon = DateTime::parse_from_rfc3339("2026-01-31T12:00:00Z").unwrap();
    let noon = noon.to_utc();
    let one = builder("images").store(Arc::clone(&store));
    let one = one
        .clock(Clock::counted_from(noon))
        .connect()
        .await
        .unwrap();
    let other = board(&store).await;
    assert_eq!(other.paused().await.unwrap(), None);
    one.pause("operator", Some("disk full")).await.unwrap();
    for board in [&one, &other] {
        let pause = board.paused().await.unwrap().unwrap();
        assert_eq!(pause.by.as_deref(), Some("operator"));
        assert_eq!(pause.reason.as_deref(), Some("disk full"));
        let since = pause.on.unwrap() - noon;
        assert!(since >= TimeDelta::zero() && since < TimeDelta::minutes(1));
    }
    let mut written = record(&store).await;
    let on = written["paused_on"].take();
    assert!(on.as_str().unwrap().starts_with("2026-01-31T12:0"), "{on}");
    let told = json!({
        "paused_by": "operator",
        "reason": "disk full",
        "paused_on": null,
        "jobboard": {"v": 1},
    });
    assert_eq!(written, told);
    one.resume().await.unwrap();
    assert_eq!(other.paused().await.unwrap(), None);
    one.close().await;
    other.close().await;
}

async fn pausing_and_resuming_again_is_harmless(store: Arc<dyn Store>) {
    let board = board(&store).await;
    board.post(NewJob::new("a")).await.unwrap();
    board.resume().await.unwrap();
    let first = board.pause("one", Some("why")).await.unwrap();
    let second = board.pause("two", None).await.unwrap();
    assert!(second > first);
    let pause = board.paused().await.unwrap().unwrap();
    assert_eq!((pause.by.as_deref(), pause.reason), (Some("two"), None));
    let resumed = board.resume().await.unwrap();
    assert!(resumed > second);
    assert!(board.resume().await.unwrap() >= resumed);
    assert_eq!(store.get(paused()).await.unwrap(), None);
    assert_eq!(offered(&board).await, ["a"]);
    board.close().await;
}

async fn record_that_can_not_be_read_pauses_too(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    for record in ["", "?", r#"{"paused_by": 7, "reason": "hunter2"}"#] {
        store.put(paused(), record.into()).await.unwrap();
        let pause = board.paused().await.unwrap();
        assert_eq!(pause, Some(Pause::default()), "{record}");
        let refused = board.claim(&job, "one").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Paused);
        assert!(!board.resumed(Some(A_WHILE)).await.unwrap());
        assert!(is_offered_nothing(&board).await);
    }
    board.resume().await.unwrap();
    assert_eq!(offered(&board).await, ["a"]);
    board.close().await;
}

async fn bad_input_is_refused_and_pauses_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (long_name, long_reason) = ("n".repeat(256), "r".repeat(4_097));
    for (by, reason) in [
        ("", None),
        (long_name.as_str(), None),
        ("operator", Some(long_reason.as_str())),
    ] {
        let refused = board.pause(by, reason).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    assert_eq!(board.paused().await.unwrap(), None);
    let longest = board.pause(&long_name[..255], Some(&long_reason[..4_096]));
    longest.await.unwrap();
    let pause = board.paused().await.unwrap().unwrap();
    assert_eq!(pause.by.map(|by| by.len()), Some(255));
    assert_eq!(pause.reason.map(|reason| reason.len()), Some(4_096));
    board.close().await;
}

async fn other_boards_are_not_paused(store: Arc<dyn Store>) {
    let one = board(&store).await;
    let other = builder("images2").store(Arc::clone(&store));
    let other = other.connect().await.unwrap();
    one.pause("operator", None).await.unwrap();
    assert_eq!(other.paused().await.unwrap(), None);
    assert!(other.resumed(Some(BOUND)).await.unwrap());
    let job = other.post(NewJob::new("a")).await.unwrap();
    other.fresh_jobs().await.unwrap();
    assert_eq!(offered(&other).await, ["a"]);
    let claim = other.claim(&job, "one").await.unwrap();
    claim.consume().await.unwrap();
    one.close().await;
    other.close().await;
}

async fn closing_ends_the_wait(store: Arc<dyn Store>) {
    let board = board(&store).await;
    board.post(NewJob::new("a")).await.unwrap();
    board.pause("operator", None).await.unwrap();
    assert!(is_offered_nothing(&board).await);
    let waits = async {
        let offered = board.wait_unclaimed(None);
        tokio::join!(board.resumed(None), offered.map(|jobs| jobs.map(drop)))
    };
    let (ended, ()) = tokio::join!(timeout(BOUND, waits), board.close());
    let (resumed, offered) = ended.unwrap();
    assert_eq!(resumed.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(offered.unwrap_err().kind(), ErrorKind::Closed);
    for closed in [
        board.pause("operator", None).await.err(),
        board.resume().await.err(),
        board.paused().await.err(),
        board.resumed(None).await.err(),
        board.wait_unclaimed(None).await.err(),
    ] {
        assert_eq!(closed.unwrap().kind(), ErrorKind::Closed);
    }
}

async fn read_only_handle_sees_a_pause_and_makes_none(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let looks = builder("images").store(Arc::clone(&store));
    let looks = looks.read_only(true).connect().await.unwrap();
    for refused in [looks.pause("one", None).await, looks.resume().await] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    board.pause("operator", None).await.unwrap();
    assert!(looks.paused().await.unwrap().is_some());
    assert!(!looks.resumed(Some(A_WHILE)).await.unwrap());
    board.resume().await.unwrap();
    assert!(looks.resumed(Some(BOUND)).await.unwrap());
    looks.close().await;
    board.close().await;
}
