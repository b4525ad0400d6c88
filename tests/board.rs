//! What a user does with a board, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use jobboard::{
    Ended, ErrorKind, JobPriority, JobState, NewJob,
    clock::Clock,
    store::{Key, KeyRange, RangeRequest, Store, StoreExt},
};
use serde_json::json;

use self::support::{board, builder, stories};

#[derive(serde::Deserialize)]
struct Details {
    f: String,
}

stories! {
    posted_job_is_claimed_and_consumed
    only_one_of_two_owners_gets_a_job
    jobs_come_by_priority_then_in_the_order_of_posting
    abandoned_and_dropped_claims_give_the_job_back
    closed_board_frees_what_it_held_and_connects_again
    wait_ends_when_a_job_comes_and_when_time_is_up
    bad_input_is_refused
    trashed_job_is_kept_with_its_reason
    named_owner_settles_and_nobody_else
    lock_of_taskflow_is_respected_and_settled_by_name
    read_only_handle_sees_all_and_writes_nothing
    unreadable_record_hides_no_other_job
    wait_for_a_job_tells_how_it_ended
    jobs_of_a_board_that_is_closed_have_not_ended
    job_that_can_not_be_read_any_more_has_not_ended
    posted_job_has_its_times_and_they_move_with_a_claim
    job_that_vanishes_meanwhile_is_left_out
    fresh_view_shows_what_was_posted_before
}

async fn posted_job_has_its_times_and_they_move_with_a_claim(store: Arc<dyn Store>) {
    let origin = DateTime::from_timestamp(1_000, 0).unwrap();
    let board = builder("images")
        .store(store)
        .clock(Clock::counted_from(origin));
    let board = board.connect().await.unwrap();
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let created = job.created_on().unwrap();
    assert!((origin..origin + Duration::from_mins(1)).contains(&created));
    assert_eq!(job.last_modified(), Some(created));
    let claim = board.claim(&job, "one").await.unwrap();
    let seen = board.fresh_jobs().await.unwrap().next().unwrap();
    assert_eq!(seen.created_on(), Some(created));
    assert!(seen.last_modified() > Some(created));
    claim.consume().await.unwrap();
    board.close().await;
}

async fn job_that_vanishes_meanwhile_is_left_out(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut posted = Vec::new();
    for name in ["a", "b", "c"] {
        posted.push(board.post(NewJob::new(name)).await.unwrap());
    }
    let mut jobs = board.fresh_jobs().await.unwrap();
    assert_eq!(jobs.next().unwrap().name(), "a");
    let claim = board.claim(&posted[1], "one").await.unwrap();
    claim.consume().await.unwrap();
    board.fresh_jobs().await.unwrap();
    assert_eq!(jobs.next().unwrap().name(), "c");
    assert!(jobs.next().is_none());
    board.close().await;
}

async fn fresh_view_shows_what_was_posted_before(store: Arc<dyn Store>) {
    let (poster, viewer) = (board(&store).await, board(&store).await);
    for count in 1..=50 {
        poster.post(NewJob::new("thumbnail")).await.unwrap();
        assert_eq!(viewer.fresh_jobs().await.unwrap().count(), count);
    }
    poster.close().await;
    viewer.close().await;
}

async fn job_that_can_not_be_read_any_more_has_not_ended(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let data = Key::new(format!("/taskflow/jobs/images/job{}.data", job.id())).unwrap();
    store.put(data, "{".into()).await.unwrap();
    let ended = job.wait(None).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Corrupt, "{ended}");
    board.close().await;
}

async fn wait_for_a_job_tells_how_it_ended(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = other.post(NewJob::new("thumbnail")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let short = Some(Duration::from_millis(20));
    assert_eq!(
        job.wait(Some(Duration::ZERO)).await.unwrap(),
        Ended::TimedOut
    );
    assert_eq!(job.wait(short).await.unwrap(), Ended::TimedOut);
    let (ended, consumed) = tokio::join!(job.wait(None), claim.consume());
    consumed.unwrap();
    assert_eq!(ended.unwrap(), Ended::Consumed(None));

    let job = other.post(NewJob::new("broken")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let (ended, trashed) = tokio::join!(job.wait(None), claim.trash("no such file"));
    trashed.unwrap();
    let ended_so = Ended::Trashed(Some("no such file".to_owned()));
    assert_eq!(ended.unwrap(), ended_so);
    assert_eq!(
        job.wait(Some(Duration::from_secs(5))).await.unwrap(),
        ended_so
    );
    // Who asks again and again without time has an answer as well.
    assert_eq!(job.wait(Some(Duration::ZERO)).await.unwrap(), ended_so);

    other.close().await;
    assert_eq!(job.wait(short).await.unwrap_err().kind(), ErrorKind::Closed);
    board.close().await;
}

async fn jobs_of_a_board_that_is_closed_have_not_ended(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let held = board.post(NewJob::new("held")).await.unwrap();
    // Given back as the board closes, so that its view shows something new meanwhile.
    let _claim = board.claim(&held, "one").await.unwrap();
    let (waited, ()) = tokio::join!(job.wait(None), board.close());
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(job.state(), JobState::Unclaimed);
}

async fn get(store: &Arc<dyn Store>, key: &str) -> Option<serde_json::Value> {
    let found = store.get(Key::new(key.to_owned()).unwrap()).await.unwrap();
    found.map(|found| serde_json::from_slice(&found.value).unwrap())
}

async fn trashed_job_is_kept_with_its_reason(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let new = NewJob::new("thumbnail").details(json!({"f": "a"}));
    let job = board.post(new).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let long = "r".repeat(4097);
    assert_eq!(
        claim.trash(&long).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    claim.trash("no such file").await.unwrap();
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
    assert_eq!(job.state(), JobState::Complete);
    let trash = get(&store, &format!("/taskflow/.trash/images/job{}", job.id()))
        .await
        .unwrap();
    assert_eq!(trash["details"], json!({"f": "a"}));
    let note = &trash["jobboard"];
    assert_eq!(
        (&note["reason"], &note["trashed_by"]),
        (&json!("no such file"), &json!("one"))
    );
    assert_eq!((&note["attempts"], &note["v"]), (&json!(1), &json!(1)));
    board.close().await;
}

async fn named_owner_settles_and_nobody_else(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let not_owner = |error: jobboard::Error| assert_eq!(error.kind(), ErrorKind::NotOwner);
    not_owner(board.consume(&job, "one").await.unwrap_err());

    let first = board.claim(&job, "one").await.unwrap();
    not_owner(board.consume(&job, "two").await.unwrap_err());
    not_owner(other.consume(&job, "one").await.unwrap_err());
    board.abandon(&job, "one").await.unwrap();
    assert_eq!(first.consume().await.unwrap_err().kind(), ErrorKind::Lost);

    let _second = board.claim(&job, "one").await.unwrap();
    let state = get(
        &store,
        &format!("/taskflow/jobs/images/job{}.state", job.id()),
    )
    .await;
    assert_eq!(state.unwrap()["attempts"], json!(2));
    board.consume(&job, "one").await.unwrap();
    assert_eq!(
        board.consume(&job, "one").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let job = board.post(NewJob::new("broken")).await.unwrap();
    let _third = board.claim(&job, "one").await.unwrap();
    board.trash(&job, "one", None).await.unwrap();
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
    board.close().await;
    other.close().await;
}

async fn lock_of_taskflow_is_respected_and_settled_by_name(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let lock = Key::new(format!("/taskflow/jobs/images/job{}.lock", job.id())).unwrap();
    store
        .put(lock, r#"{"owner": "python"}"#.into())
        .await
        .unwrap();
    let claimed = board.claim(&job, "one").await.unwrap_err();
    assert_eq!(
        (claimed.kind(), claimed.owner()),
        (ErrorKind::Claimed, Some("python"))
    );
    board.abandon(&job, "python").await.unwrap();
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    board.close().await;
}

async fn read_only_handle_sees_all_and_writes_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let looking = builder("images").store(Arc::clone(&store)).read_only(true);
    let looking = looking.connect().await.unwrap();
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let seen = looking.fresh_jobs().await.unwrap().next().unwrap();
    assert_eq!(seen.uuid(), job.uuid());
    assert_eq!(
        looking.claim(&seen, "one").await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(
        looking.post(NewJob::new("x")).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    let sessions = KeyRange::prefix(Key::new("/taskflow/.sessions/images/").unwrap());
    board.close().await;
    assert_eq!(
        store
            .range(RangeRequest::new(sessions))
            .await
            .unwrap()
            .count,
        0
    );
    looking.close().await;
}

async fn unreadable_record_hides_no_other_job(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for (number, record) in [(7_001, "{"), (7_002, r#"{"uuid": 3}"#), (7_003, "\u{0}")] {
        let key = Key::new(format!("/taskflow/jobs/images/job{number}.data")).unwrap();
        store.put(key, record.into()).await.unwrap();
    }
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let seen: Vec<_> = board
        .fresh_jobs()
        .await
        .unwrap()
        .map(|job| job.uuid())
        .collect();
    assert_eq!(seen, [job.uuid()]);
    let told = board.unreadable();
    assert_eq!((told.len(), board.counts().unreadable), (3, 3));
    assert!(told.iter().all(|told| !told.why.is_empty()));
    board.close().await;
}

async fn posted_job_is_claimed_and_consumed(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board
        .post(NewJob::new("thumbnail").details(json!({"f": "a"})))
        .await
        .unwrap();
    assert_eq!(
        (job.name(), job.state()),
        ("thumbnail", JobState::Unclaimed)
    );
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 1);
    assert_eq!(
        board
            .get(job.id())
            .unwrap()
            .details_as::<Details>()
            .unwrap()
            .f,
        "a"
    );
    assert_eq!(board.find(job.uuid()).unwrap().id(), job.id());

    let claim = board.claim(&job, "worker-7").await.unwrap();
    assert!(claim.is_held());
    board.fresh_jobs().await.unwrap();
    assert_eq!(job.state(), JobState::Claimed);
    assert_eq!(board.find_owner(&job).as_deref(), Some("worker-7"));
    assert_eq!(board.jobs().only_unclaimed().count(), 0);

    claim.consume().await.unwrap();
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
    assert_eq!(job.state(), JobState::Complete);
    assert_eq!(
        board.claim(&job, "w").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    board.close().await;
}

async fn only_one_of_two_owners_gets_a_job(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    for _ in 0..1_000 {
        let job = one.post(NewJob::new("race")).await.unwrap();
        let (first, second) = tokio::join!(one.claim(&job, "one"), two.claim(&job, "two"));
        let (won, lost) = match (first, second) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("{both:?}"),
        };
        assert_eq!(lost.kind(), ErrorKind::Claimed);
        assert_eq!(lost.owner(), Some(won.owner()));
        won.consume().await.unwrap();
    }
    assert_eq!(two.fresh_jobs().await.unwrap().count(), 0);
    one.close().await;
    two.close().await;
}

async fn jobs_come_by_priority_then_in_the_order_of_posting(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for (name, priority) in [
        ("d", JobPriority::Low),
        ("b", JobPriority::Normal),
        ("c", JobPriority::Normal),
        ("a", JobPriority::VeryHigh),
    ] {
        board
            .post(NewJob::new(name).priority(priority))
            .await
            .unwrap();
    }
    let names: Vec<_> = board
        .fresh_jobs()
        .await
        .unwrap()
        .map(|job| job.name().to_owned())
        .collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    board.close().await;
}

async fn abandoned_and_dropped_claims_give_the_job_back(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    claim.abandon().await.unwrap();
    assert_eq!(claim.consume().await.unwrap_err().kind(), ErrorKind::Lost);
    drop(board.claim(&job, "two").await.unwrap());
    // The job comes back as soon as etcd has it.
    let claim = loop {
        match board.claim(&job, "three").await {
            Err(error) if error.kind() == ErrorKind::Claimed => {}
            other => break other.unwrap(),
        }
    };
    claim.consume().await.unwrap();
    board.close().await;
}

async fn closed_board_frees_what_it_held_and_connects_again(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    let job = one.post(NewJob::new("thumbnail")).await.unwrap();
    let held = one.claim(&job, "one").await.unwrap();
    one.close().await;
    held.lost().await;
    assert_eq!(
        one.post(NewJob::new("x")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    let theirs = two.fresh_jobs().await.unwrap().next().unwrap();
    two.claim(&theirs, "two")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    one.connect().await.unwrap();
    assert!(one.connected());
    one.post(NewJob::new("again")).await.unwrap();
    one.close().await;
    two.close().await;
}

async fn wait_ends_when_a_job_comes_and_when_time_is_up(store: Arc<dyn Store>) {
    let board = board(&store).await;
    assert!(board.wait(Some(Duration::ZERO)).await.unwrap().is_none());
    let (jobs, job) = tokio::join!(board.wait(None), board.post(NewJob::new("thumbnail")));
    assert_eq!(
        jobs.unwrap().unwrap().next().unwrap().uuid(),
        job.unwrap().uuid()
    );
    board.close().await;
}

async fn bad_input_is_refused(store: Arc<dyn Store>) {
    for bad in [
        builder("a/b"),
        builder("images").namespace("no-slash"),
        builder("images").ttl(Duration::from_secs(1)),
        builder("images").deadline(Duration::ZERO),
    ] {
        assert_eq!(bad.build().unwrap_err().kind(), ErrorKind::Invalid);
    }
    let board = board(&store).await;
    let deep = (0..200).fold(json!(1), |deep, _| json!([deep]));
    for bad in [
        NewJob::new(""),
        NewJob::new("n".repeat(256)),
        NewJob::new("n").details(json!([1])),
        NewJob::new("n").details(json!({"deep": deep})),
        NewJob::new("n").details(json!({"x": "y".repeat(1 << 20)})),
    ] {
        assert_eq!(
            board.post(bad).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    let job = board.post(NewJob::new("n")).await.unwrap();
    assert_eq!(
        board.claim(&job, "").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 1);
    board.close().await;
}
