//! What users do with jobs of which there is to be one, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{collections::BTreeSet, sync::Arc};

use futures::future;
use jobboard::{
    ErrorKind, Job, JobBoard, NewJob,
    store::{Key, KeyRange, RangeRequest, Store, StoreExt},
};
use serde_json::{Value, json};

use self::support::{board, builder, stories};

stories! {
    second_post_gives_the_first_job
    one_of_many_posts_at_once_comes_onto_the_board
    key_is_free_again_when_its_job_is_done_or_trashed
    stale_key_is_taken_over
    key_of_a_job_that_does_not_hold_it_is_taken_over
    holder_that_can_not_be_read_is_named_and_left_alone
    keys_that_are_empty_or_too_long_are_refused
    keys_of_any_text_do_not_collide
    jobs_without_a_key_are_as_many_as_one_likes
}

fn report(key: &str) -> NewJob {
    NewJob::new("report").unique(key)
}

async fn post(board: &JobBoard, key: &str) -> Job {
    board.post(report(key)).await.unwrap()
}

fn key(rest: &str) -> Key {
    Key::new(format!("/taskflow/{rest}")).unwrap()
}

/// Where the board keeps who holds the key `k`.
fn unique() -> Key {
    key(".unique/images/k")
}

/// All that is kept of the jobs, and of who holds which key.
async fn kept(store: &Arc<dyn Store>) -> Vec<(Key, Value)> {
    let mut kept = Vec::new();
    for area in ["jobs/images/job", ".unique/images/"] {
        let range = KeyRange::prefix(key(area));
        let found = store.range(RangeRequest::new(range)).await.unwrap().kvs;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into();
        kept.extend(found.into_iter().map(|kv| (kv.key, text(&kv.value))));
    }
    kept
}

/// Removes a job as TaskFlow does, who knows nothing of unique keys.
async fn remove(store: &Arc<dyn Store>, job: &Job) {
    let all = KeyRange::prefix(key(&format!("jobs/images/job{}.", job.id())));
    store.delete(all).await.unwrap();
}

async fn second_post_gives_the_first_job(store: Arc<dyn Store>) {
    let (one, other) = (board(&store).await, board(&store).await);
    let first = post(&one, "k").await;
    assert!(!first.existed());
    assert_eq!(first.unique_key(), Some("k"));
    let before = kept(&store).await;
    for board in [&one, &other] {
        let second = NewJob::new("another name").unique("k");
        let second = board.post(second.details(json!({"a": 1}))).await.unwrap();
        assert!(second.existed());
        assert_eq!((second.id(), second.uuid()), (first.id(), first.uuid()));
        assert_eq!(second.name(), "report");
        assert!(second.details().is_empty());
    }
    assert_eq!(kept(&store).await, before);

    // It is a handle as any other.
    let again = post(&other, "k").await;
    let claim = other.claim(&again, "one").await.unwrap();
    assert!(post(&one, "k").await.existed(), "it is still on the board");
    claim.consume().await.unwrap();
    let seen = one.fresh_jobs().await.unwrap();
    assert_eq!(seen.count(), 0);
    one.close().await;
    other.close().await;
}

async fn one_of_many_posts_at_once_comes_onto_the_board(store: Arc<dyn Store>) {
    let boards = [board(&store).await, board(&store).await];
    let posts = (0..16).map(|number| post(&boards[number % 2], "k"));
    let jobs = future::join_all(posts).await;
    let new = jobs.iter().filter(|job| !job.existed()).count();
    let uuids: BTreeSet<_> = jobs.iter().map(Job::uuid).collect();
    assert_eq!((new, uuids.len()), (1, 1));
    for board in boards {
        assert_eq!(board.fresh_jobs().await.unwrap().count(), 1);
        board.close().await;
    }
}

async fn key_is_free_again_when_its_job_is_done_or_trashed(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut ids = BTreeSet::new();
    for end in ["consume", "consume by name", "trash", "trash unclaimed"] {
        let job = post(&board, "k").await;
        assert!(!job.existed(), "before {end}");
        assert!(ids.insert(job.id()));
        if end == "trash unclaimed" {
            board.trash_unclaimed(&job, "one", "bad").await.unwrap();
        } else {
            let claim = board.claim(&job, "one").await.unwrap();
            match end {
                "consume" => claim.consume().await.unwrap(),
                "trash" => claim.trash("bad").await.unwrap(),
                _ => board.consume(&job, "one").await.unwrap(),
            };
        }
        assert_eq!(store.get(unique()).await.unwrap(), None, "{end}");
    }
    // Given back, it is still there.
    let job = post(&board, "k").await;
    let claim = board.claim(&job, "one").await.unwrap();
    claim.abandon().await.unwrap();
    assert!(post(&board, "k").await.existed());
    board.close().await;
}

async fn stale_key_is_taken_over(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let first = post(&board, "k").await;
    remove(&store, &first).await;
    assert!(store.get(unique()).await.unwrap().is_some());
    let posts = future::join_all((0..8).map(|_| post(&board, "k"))).await;
    let new: Vec<_> = posts.iter().filter(|job| !job.existed()).collect();
    assert_eq!(new.len(), 1);
    let second = new[0];
    assert_ne!(second.id(), first.id());
    let held = store.get(unique()).await.unwrap().unwrap();
    let name = format!("/taskflow/jobs/images/job{}", second.id());
    assert_eq!(*held.value, *name.as_bytes());
    board.close().await;
}

async fn key_of_a_job_that_does_not_hold_it_is_taken_over(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (other, none) = (post(&board, "other").await, NewJob::new("report"));
    let none = board.post(none).await.unwrap();
    for claimant in [&other, &none] {
        let name = format!("/taskflow/jobs/images/job{}", claimant.id());
        store.put(unique(), name.into()).await.unwrap();
        let job = post(&board, "k").await;
        assert!(!job.existed());
        assert!(post(&board, "k").await.existed());
        assert_eq!(board.fresh_jobs().await.unwrap().count(), 3);
        let claim = board.claim(&job, "one").await.unwrap();
        claim.consume().await.unwrap();
    }
    assert!(post(&board, "other").await.existed());
    board.close().await;
}

async fn holder_that_can_not_be_read_is_named_and_left_alone(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = post(&board, "k").await;
    let data = key(&format!("jobs/images/job{}.data", job.id()));
    let broken = [&b"hunter2"[..], br#"{"jobboard": {"v": 2, "unique": 3}}"#];
    for record in broken {
        store.put(data.clone(), record.into()).await.unwrap();
        let before = kept(&store).await;
        let error = board.post(report("k")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let said = error.to_string();
        let named = format!("job {} has its unique key", job.id());
        assert!(said.contains(&named) && !said.contains("hunter2"), "{said}");
        assert_eq!(kept(&store).await, before);
    }
    // Nor is a key that names nothing.
    store.put(unique(), "hunter2".into()).await.unwrap();
    let error = board.post(report("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(!error.to_string().contains("hunter2"));
    assert_eq!(
        *store.get(unique()).await.unwrap().unwrap().value,
        *b"hunter2"
    );
    board.close().await;
}

async fn keys_that_are_empty_or_too_long_are_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for bad in [String::new(), "k".repeat(256), "ä".repeat(128)] {
        let error = board.post(report(&bad)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert_eq!(kept(&store).await, []);
    // Escaped, it is three times as long.
    let longest = "ä".repeat(127);
    assert!(!post(&board, &longest).await.existed());
    assert!(post(&board, &longest).await.existed());
    board.close().await;
}

async fn keys_of_any_text_do_not_collide(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let keys = [
        "a/b",
        "a%2Fb",
        "a b",
        "a+b",
        "a",
        "a/",
        "/",
        ".",
        "..",
        "a.b",
        "A",
        "ä",
        "\u{61}\u{308}",
        "\0",
        " ",
        "a\n",
        "%",
    ];
    for key in keys {
        let job = post(&board, key).await;
        assert!(!job.existed(), "{key:?}");
        assert_eq!(job.unique_key(), Some(key));
    }
    for key in keys {
        assert!(post(&board, key).await.existed(), "{key:?}");
    }
    assert_eq!(board.fresh_jobs().await.unwrap().count(), keys.len());
    // Another board has keys of its own.
    let other = builder("images.other").store(Arc::clone(&store));
    let other = other.connect().await.unwrap();
    assert!(!post(&other, "a").await.existed());
    board.close().await;
    other.close().await;
}

async fn jobs_without_a_key_are_as_many_as_one_likes(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for _ in 0..2 {
        let job = board.post(NewJob::new("report")).await.unwrap();
        assert!(!job.existed() && job.unique_key().is_none());
    }
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 2);
    board.close().await;
}
