//! How often and when a job is tried, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use jobboard::{
    Backoff, Claim, Ended, ErrorKind, Job, JobState, NewJob, Retry,
    clock::Clock,
    random::Random,
    store::{Key, Memory, Store, StoreExt},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use self::support::{board, builder, stories};

stories! {
    job_tried_too_often_goes_into_the_trash
    job_says_itself_how_often_it_is_tried
    crash_counts_and_a_word_of_the_owner_settles
    draining_burns_no_attempt
    job_that_killed_two_owners_rests_and_is_told_as_such
    delayed_job_is_offered_when_it_is_due_and_wakes_who_waits
    job_given_back_with_a_delay_rests
    snooze_counts_nothing
    backoff_of_the_job_comes_before_that_of_the_board
    delay_is_seen_by_who_connects_later
    who_names_a_job_need_not_wait_for_it
    bad_delays_are_refused_and_change_nothing
    many_are_answered_each_by_itself
    job_that_nobody_holds_is_trashed_and_a_held_one_is_not
}

const MINUTE: Duration = Duration::from_mins(1);

async fn part(store: &Arc<dyn Store>, job: &Job, part: &str) -> Option<jobboard::store::KeyValue> {
    let key = Key::new(format!("/taskflow/jobs/images/job{}.{part}", job.id())).unwrap();
    store.get(key).await.unwrap()
}

async fn state(store: &Arc<dyn Store>, job: &Job) -> Value {
    let state = part(store, job, "state").await.unwrap();
    serde_json::from_slice(&state.value).unwrap()
}

/// Plays the death of the owner.
async fn crash(store: &Arc<dyn Store>, claim: &Claim) {
    let owner = part(store, claim.job(), "lock").await.unwrap();
    store.revoke(owner.lease.unwrap()).await.unwrap();
    claim.lost().await;
}

/// Waits until nobody holds the job.
async fn freed(store: &Arc<dyn Store>, job: &Job) {
    let mut seen = job.board().revision();
    while part(store, job, "lock").await.is_some() {
        seen = job.board().changed(seen).await.unwrap();
    }
}

/// The reason for which the job is in the trash.
async fn trashed_for(job: &Job) -> String {
    match job.wait(Some(MINUTE)).await.unwrap() {
        Ended::Trashed(reason) => reason.unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn job_tried_too_often_goes_into_the_trash(store: Arc<dyn Store>) {
    let board = builder("images").store(Arc::clone(&store));
    let board = board.max_attempts(2).connect().await.unwrap();
    let job = board.post(NewJob::new("a")).await.unwrap();
    for owner in ["one", "two"] {
        let claim = board.claim(&job, owner).await.unwrap();
        let retry = Retry::at_once().reason(format!("{owner} has no disk"));
        claim.abandon_with(retry).await.unwrap();
    }
    let refused = board.claim(&job, "three").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    let reason = "tried 2 times, the limit is 2; two gave it back at last: two has no disk";
    assert_eq!(trashed_for(&job).await, reason);
    let trash = format!("/taskflow/.trash/images/job{}", job.id());
    let trash = store.get(Key::new(trash).unwrap()).await.unwrap().unwrap();
    let trash: Value = serde_json::from_slice(&trash.value).unwrap();
    assert_eq!(trash["jobboard"]["trashed_by"], "three");
    assert_eq!(trash["jobboard"]["attempts"], 2);
    let again = board.claim(&job, "three").await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);
    board.close().await;
}

async fn job_says_itself_how_often_it_is_tried(store: Arc<dyn Store>) {
    let board = builder("images").store(store).max_attempts(1);
    let board = board.connect().await.unwrap();
    let new = NewJob::new("a").max_attempts(3);
    let job = board.post(new).await.unwrap();
    assert_eq!(job.max_attempts(), Some(3));
    for _ in 0..3 {
        board
            .claim(&job, "one")
            .await
            .unwrap()
            .abandon()
            .await
            .unwrap();
    }
    assert!(board.claim(&job, "one").await.is_err());
    let reason = "tried 3 times, the limit is 3";
    assert_eq!(trashed_for(&job).await, reason);
    board.close().await;
}

async fn crash_counts_and_a_word_of_the_owner_settles(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a").max_attempts(2)).await.unwrap();
    crash(&store, &board.claim(&job, "one").await.unwrap()).await;
    let found = other.wait_unclaimed(Some(MINUTE)).await.unwrap().unwrap();
    let job = found.last().unwrap();
    assert_eq!((job.attempts(), job.is_suspect()), (1, false));
    let claim = other.claim(&job, "two").await.unwrap();
    assert_eq!(state(&store, &job).await["unsettled"], 2);
    claim.abandon().await.unwrap();
    let after = state(&store, &job).await;
    assert_eq!(
        (&after["attempts"], &after["unsettled"]),
        (&json!(2), &json!(0))
    );
    let refused = board.claim(&job, "three").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    board.close().await;
    other.close().await;
}

async fn draining_burns_no_attempt(store: Arc<dyn Store>) {
    let (board, draining) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a").max_attempts(1)).await.unwrap();
    for _ in 0..3 {
        drop(draining.claim(&job, "one").await.unwrap());
        freed(&store, &job).await;
    }
    let held = draining.claim(&job, "one").await.unwrap();
    draining.close().await;
    assert!(!held.is_held());
    let claim = board.claim(&job, "two").await.unwrap();
    assert_eq!(state(&store, &job).await["attempts"], 1);
    claim.consume().await.unwrap();
    board.close().await;
}

async fn job_that_killed_two_owners_rests_and_is_told_as_such(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    for _ in 0..2 {
        crash(&store, &board.claim(&job, "one").await.unwrap()).await;
    }
    let found = board.wait_unclaimed(Some(MINUTE)).await.unwrap().unwrap();
    assert_eq!(found.count(), 1);
    assert!(job.is_suspect());
    let claim = board.claim(&job, "two").await.unwrap();
    claim.abandon().await.unwrap();
    board.fresh_jobs().await.unwrap();
    assert!(!job.is_suspect());
    board.close().await;
}

async fn delayed_job_is_offered_when_it_is_due_and_wakes_who_waits(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let start = Instant::now();
    let late = other.post(NewJob::new("late").delay(Duration::from_millis(400)));
    let late = late.await.unwrap();
    let never = other
        .post(NewJob::new("never").delay(MINUTE * 60))
        .await
        .unwrap();
    assert!(never.not_before().unwrap() > Clock::system().now() + MINUTE);
    let jobs = board.fresh_jobs().await.unwrap();
    assert_eq!(jobs.clone().count(), 2);
    assert_eq!(late.state(), JobState::Unclaimed);

    let early = start.elapsed() < Duration::from_millis(300);
    assert!(!early || jobs.only_unclaimed().next().is_none());
    let woken = timeout(MINUTE, board.wait_unclaimed(None)).await;
    let found = woken.expect("who waits wakes when it is due");
    let found: Vec<_> = found.unwrap().unwrap().collect();
    // By the clocks of the same machine; a millisecond is lost to rounding.
    assert!(
        start.elapsed() >= Duration::from_millis(399),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        found.iter().map(Job::uuid).collect::<Vec<_>>(),
        [late.uuid()]
    );
    assert!(board.next_due().unwrap() > Instant::now() + MINUTE);
    board
        .claim(&found[0], "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    assert!(
        board
            .wait_unclaimed(Some(Duration::ZERO))
            .await
            .unwrap()
            .is_none()
    );
    board.close().await;
    other.close().await;
}

async fn job_given_back_with_a_delay_rests(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let start = Instant::now();
    let retry = Retry::after(Duration::from_millis(300)).reason("busy");
    claim.abandon_with(retry).await.unwrap();
    other.fresh_jobs().await.unwrap();
    let seen = other.get(job.id()).unwrap();
    assert_eq!(
        (seen.attempts(), seen.last_reason().as_deref()),
        (1, Some("busy"))
    );
    let found = other.wait_unclaimed(Some(MINUTE)).await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    // The rest is over once it was claimed.
    let claim = other.claim(&found.last().unwrap(), "two").await.unwrap();
    claim.abandon().await.unwrap();
    let after = state(&store, &job).await;
    assert_eq!(
        (after.get("delay_ms"), after.get("not_before")),
        (None, None)
    );
    assert!(other.wait_unclaimed(Some(MINUTE)).await.unwrap().is_some());
    board.close().await;
    other.close().await;
}

async fn snooze_counts_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a").max_attempts(1)).await.unwrap();
    for _ in 0..3 {
        let claim = board.claim(&job, "one").await.unwrap();
        let snooze = Retry::after(Duration::from_millis(50)).uncounted();
        claim.abandon_with(snooze).await.unwrap();
        board.fresh_jobs().await.unwrap();
        board.wait_unclaimed(Some(MINUTE)).await.unwrap().unwrap();
    }
    assert_eq!(job.attempts(), 0);
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    board.close().await;
}

async fn backoff_of_the_job_comes_before_that_of_the_board(store: Arc<dyn Store>) {
    let hours = |from, to| Backoff::new(Duration::from_hours(from), Duration::from_hours(to));
    let board = builder("images").store(Arc::clone(&store));
    let board = board.backoff(hours(1_000, 4_000)).connect().await.unwrap();
    let plain = board.post(NewJob::new("a")).await.unwrap();
    let own = NewJob::new("b").backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
    let own = board.post(own).await.unwrap();
    for (job, least) in [(&plain, 1), (&own, 0)] {
        let claim = board.claim(job, "one").await.unwrap();
        claim.abandon_with(Retry::backoff()).await.unwrap();
        let delay = state(&store, job).await["delay_ms"].as_u64().unwrap();
        assert!((least..=3_600_000_000).contains(&delay), "{delay}");
    }
    board.fresh_jobs().await.unwrap();
    let offered: Vec<_> = board.jobs().only_unclaimed().map(|job| job.id()).collect();
    assert_eq!(offered, [own.id()]);
    board.close().await;
}

async fn delay_is_seen_by_who_connects_later(store: Arc<dyn Store>) {
    let first = board(&store).await;
    let job = first.post(NewJob::new("a")).await.unwrap();
    let claim = first.claim(&job, "one").await.unwrap();
    claim.abandon_with(Retry::after(MINUTE * 10)).await.unwrap();
    first
        .post(NewJob::new("b").delay(MINUTE * 10))
        .await
        .unwrap();
    first.close().await;

    let second = board(&store).await;
    assert_eq!(
        (second.job_count(), second.jobs().only_unclaimed().count()),
        (2, 0)
    );
    second.close().await;
    // Ten minutes later, by the clock.
    let later = Clock::system().now() + MINUTE * 10;
    let third = builder("images")
        .store(store)
        .clock(Clock::counted_from(later));
    let third = third.connect().await.unwrap();
    assert_eq!(third.jobs().only_unclaimed().count(), 2);
    third.close().await;
}

async fn who_names_a_job_need_not_wait_for_it(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a").delay(MINUTE)).await.unwrap();
    let claim = board.claim(&job, "operator").await.unwrap();
    drop(claim);
    freed(&store, &job).await;
    board.fresh_jobs().await.unwrap();
    assert_eq!(board.jobs().only_unclaimed().count(), 0);
    board.close().await;
}

async fn bad_delays_are_refused_and_change_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let past: DateTime<Utc> = Clock::system().now() - MINUTE;
    let century = Duration::from_hours(100 * 365 * 24);
    for bad in [
        NewJob::new("a").not_before(past),
        NewJob::new("a").not_before(DateTime::<Utc>::MAX_UTC),
        NewJob::new("a").delay(century),
        NewJob::new("a").delay(Duration::MAX),
        NewJob::new("a").max_attempts(0),
    ] {
        let refused = board.post(bad).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    for bad in [
        Retry::after(century),
        Retry::after(Duration::MAX),
        Retry::at_once().reason("x".repeat(5_000)),
    ] {
        let refused = claim.abandon_with(bad).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    assert!(claim.is_held());
    claim.consume().await.unwrap();
    let none = builder("images").max_attempts(0).build();
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Invalid);
    board.close().await;
}

async fn many_are_answered_each_by_itself(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let new = (0..100).map(|number| NewJob::new(format!("job {number}")));
    let new = new.chain([NewJob::new("")]);
    let mut posted = board.post_many(new).await;
    let bad = posted.pop().unwrap().unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Invalid);
    let jobs: Vec<Job> = posted.into_iter().map(Result::unwrap).collect();
    assert_eq!((jobs.len(), jobs[41].name()), (100, "job 41"));
    let taken = other.claim(&jobs[7], "other").await.unwrap();

    let claims = board.claim_many(jobs.clone(), "one").await;
    assert_eq!(claims.len(), 100);
    for (number, claim) in claims.into_iter().enumerate() {
        match claim {
            Ok(claim) => {
                assert_eq!(claim.job().uuid(), jobs[number].uuid());
                claim.consume().await.unwrap();
            }
            Err(error) => {
                assert_eq!((number, error.kind()), (7, ErrorKind::Claimed));
                assert_eq!(error.owner(), Some("other"));
            }
        }
    }
    taken.consume().await.unwrap();
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
    board.close().await;
    other.close().await;
}

async fn job_that_nobody_holds_is_trashed_and_a_held_one_is_not(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = other.claim(&job, "one").await.unwrap();
    let refused = board
        .trash_unclaimed(&job, "operator", "broken")
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.owner()),
        (ErrorKind::Claimed, Some("one"))
    );
    claim.abandon().await.unwrap();
    for (by, reason) in [("", "x".to_owned()), ("operator", "x".repeat(5_000))] {
        let refused = board.trash_unclaimed(&job, by, &reason).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    board
        .trash_unclaimed(&job, "operator", "broken")
        .await
        .unwrap();
    assert_eq!(trashed_for(&job).await, "broken");
    let gone = board
        .trash_unclaimed(&job, "operator", "broken")
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    board.close().await;
    other.close().await;
}

#[tokio::test]
async fn backoff_grows_with_each_try() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let board = builder("images").store(Arc::clone(&store));
    let hours = |number| Duration::from_hours(number);
    let board = board.backoff(Backoff::new(hours(1), hours(100)));
    let board = board.random(Random::seeded(1)).connect().await.unwrap();
    let job = board
        .post(NewJob::new("a").max_attempts(100))
        .await
        .unwrap();
    let mut longest = Duration::ZERO;
    for attempt in 1..=20 {
        let claim = board.claim(&job, "one").await.unwrap();
        claim.abandon_with(Retry::backoff()).await.unwrap();
        let delay = state(&store, &job).await["delay_ms"].as_u64().unwrap();
        let delay = Duration::from_millis(delay);
        assert!(delay <= hours(1) * 2_u32.pow(attempt - 1));
        longest = longest.max(delay);
    }
    assert!((hours(50)..=hours(100)).contains(&longest), "{longest:?}");
    // After the second try it is up to twice as long as after the first.
    let mut twice = Duration::ZERO;
    for number in 0..20 {
        let job = board.post(NewJob::new(number.to_string())).await.unwrap();
        for _ in 0..2 {
            let claim = board.claim(&job, "one").await.unwrap();
            claim.abandon_with(Retry::backoff()).await.unwrap();
        }
        let delay = state(&store, &job).await["delay_ms"].as_u64().unwrap();
        twice = twice.max(Duration::from_millis(delay));
    }
    assert!((hours(1)..=hours(2)).contains(&twice), "{twice:?}");
    board.close().await;
}
