//! What a user does with a board, on the store in memory and on real etcd.
#![cfg(all(feature = "testing", feature = "etcd"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

use std::{sync::Arc, time::Duration};

use jobboard::{
    ErrorKind, JobBoard, JobPriority, JobState, NewJob,
    store::{Memory, Store, etcd::Etcd},
    testing::LocalEtcd,
};
use serde_json::json;

async fn board(store: &Arc<dyn Store>) -> JobBoard {
    let board = JobBoard::new(Arc::clone(store), "images").unwrap();
    board.connect().await.unwrap();
    board
}

/// Tells the story on each store.
macro_rules! stories {
    ($($story:ident)*) => {
        mod memory {
            use super::*;
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(Arc::new(Memory::new())).await;
                }
            )*
        }

        mod etcd {
            use super::*;
            $(
                #[tokio::test]
                async fn $story() {
                    for binary in LocalEtcd::binaries().unwrap() {
                        let server = LocalEtcd::builder().binary(&binary).start().await.unwrap();
                        println!("etcd {}", server.version().await.unwrap());
                        let store = Etcd::connect([server.endpoint()]).await.unwrap();
                        super::$story(Arc::new(store)).await;
                    }
                }
            )*
        }
    };
}

stories! {
    posted_job_is_claimed_and_consumed
    only_one_of_two_owners_gets_a_job
    jobs_come_by_priority_then_in_the_order_of_posting
    abandoned_and_dropped_claims_give_the_job_back
    closed_board_frees_what_it_held_and_connects_again
    wait_ends_when_a_job_comes_and_when_time_is_up
    bad_input_is_refused
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
    assert_eq!(board.job_count(), 1);

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
    let names: Vec<_> = board.jobs().map(|job| job.name().to_owned()).collect();
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
    assert_eq!(
        JobBoard::new(Arc::clone(&store), "a/b").unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let board = board(&store).await;
    for bad in [
        NewJob::new(""),
        NewJob::new("n".repeat(256)),
        NewJob::new("n").details(json!([1])),
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
    assert_eq!(board.job_count(), 1);
    board.close().await;
}
