//! What who reviews the trash does with what is in it, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future;
use jobboard::{
    Ended, ErrorKind, Event, EventKind, Job, JobBoard, JobId, JobPriority, JobState, NewJob,
    Result, TrashedJob,
    clock::Clock,
    store::{
        self, KeepAlive, Key, KeyRange, KeyValue, Lease, LeaseId, Memory, Op, RangeRequest,
        RangeResponse, Revision, Store, StoreExt, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};
use serde_json::{Value, json};

use self::support::{board, builder, stories};

stories! {
    trash_is_listed_oldest_first_with_all_that_is_known
    number_is_looked_up_in_all_its_places
    restored_job_is_as_it_was_posted
    what_taskflow_trashed_is_restored_to_the_letter
    who_waits_for_a_job_that_is_restored_waits_on
    trashed_job_is_restored_from_the_event_that_told_of_it
    job_is_restored_once_and_not_after_it_was_purged
    one_of_two_restores_at_once_restores
    job_is_restored_or_purged_and_never_both
    number_that_is_taken_is_not_restored_to
    unique_key_is_taken_again_or_the_job_stays_in_the_trash
    what_was_left_of_a_job_does_not_count_when_it_comes_back
    job_is_purged_as_it_was_seen_and_no_other
    jobs_older_than_an_age_are_purged_and_no_other
    old_job_that_is_restored_meanwhile_is_not_purged
    what_can_not_be_read_is_told_and_left_alone
    read_only_handle_lists_and_changes_nothing
}

fn key(rest: &str) -> Key {
    Key::new(format!("/taskflow/{rest}")).unwrap()
}

fn place(job: JobId) -> Key {
    key(&format!(".trash/images/job{job}"))
}

fn data(job: JobId) -> Key {
    key(&format!("jobs/images/job{job}.data"))
}

async fn all(store: &Arc<dyn Store>, area: &str) -> Vec<KeyValue> {
    let range = KeyRange::prefix(key(area));
    store.range(RangeRequest::new(range)).await.unwrap().kvs
}

/// All that is kept of the jobs and of the trash.
async fn kept(store: &Arc<dyn Store>) -> Vec<KeyValue> {
    let mut kept = all(store, "jobs/images/job").await;
    kept.retain(|kv| kv.key != key("jobs/images/job0.barrier"));
    kept.extend(all(store, ".trash/images/").await);
    kept.extend(all(store, ".unique/images/").await);
    kept
}

async fn record(store: &Arc<dyn Store>, key: Key) -> Value {
    let found = store.get(key).await.unwrap().unwrap();
    serde_json::from_slice(&found.value).unwrap()
}

async fn trash(job: &Job) {
    let claim = job.board().claim(job, "one").await.unwrap();
    claim.trash("bad").await.unwrap();
}

/// A job that was posted and trashed.
async fn trashed(board: &JobBoard, new: NewJob) -> TrashedJob {
    let job = board.post(new).await.unwrap();
    trash(&job).await;
    in_trash(board, job.id()).await
}

/// The only job of that number in the trash.
async fn in_trash(board: &JobBoard, id: JobId) -> TrashedJob {
    let found = board.trash_review().get(id).await.unwrap();
    let [job] = &found.jobs[..] else {
        panic!("{found:?}");
    };
    job.clone()
}

fn kind<T: std::fmt::Debug>(answer: Result<T>) -> ErrorKind {
    answer.unwrap_err().kind()
}

#[derive(serde::Deserialize)]
struct Details {
    file: String,
}

fn names(jobs: &[TrashedJob]) -> Vec<&str> {
    jobs.iter().map(TrashedJob::name).collect()
}

async fn trash_is_listed_oldest_first_with_all_that_is_known(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let review = board.trash_review();
    let empty = review.list().await.unwrap();
    assert!(empty.jobs.is_empty() && empty.unreadable.is_empty());

    let mut book = board.books().new_book("steps");
    board.books().create(&mut book).await.unwrap();
    let new = NewJob::new("first").details(json!({"file": "a.png"}));
    let new = new.priority(JobPriority::High).book(&book).unique("k");
    let first = board.post(new.max_attempts(5)).await.unwrap();
    let second = board.post(NewJob::new("second")).await.unwrap();
    trash(&second).await;
    trash(&first).await;
    // More than one page of them.
    let more: Vec<_> = (0..70)
        .map(|number| NewJob::new(format!("{number:02}")))
        .collect();
    let expected: Vec<_> = (0..70).map(|number| format!("{number:02}")).collect();
    for job in board.post_many(more).await {
        trash(&job.unwrap()).await;
    }

    let list = review.list().await.unwrap();
    assert_eq!(names(&list.jobs[..2]), ["second", "first"]);
    assert_eq!(names(&list.jobs[2..]), expected);
    assert!(list.jobs.is_sorted_by_key(TrashedJob::revision));
    let told = &list.jobs[1];
    assert_eq!(told.details_as::<Details>().unwrap().file, "a.png");
    assert_eq!(told.details()["file"], "a.png");
    assert_eq!(
        kind(told.details_as::<Vec<u8>>().map(drop)),
        ErrorKind::Corrupt
    );
    assert_eq!((told.id(), told.uuid()), (first.id(), first.uuid()));
    assert_eq!(told.priority(), JobPriority::High);
    assert_eq!(told.book_uuid(), Some(book.uuid()));
    assert_eq!(told.book_name(), Some("steps"));
    assert_eq!(told.unique_key(), Some("k"));
    assert_eq!(told.created_on(), first.created_on());
    assert_eq!((told.max_attempts(), told.attempts()), (Some(5), Some(1)));
    assert_eq!(
        (told.trashed_by(), told.reason()),
        (Some("one"), Some("bad"))
    );
    assert!(told.trashed_on() >= told.created_on());
    assert!(!format!("{list:?}").contains("a.png"));
    board.close().await;
}

async fn number_is_looked_up_in_all_its_places(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("later")).await.unwrap();
    let near = board.post(NewJob::new("near")).await.unwrap();
    // From before a counter was lost.
    let posting = record(&store, data(near.id())).await.to_string();
    for place in [
        place(job.id()),
        key(&format!(".trash/images/job{}0", job.id())),
    ] {
        store.put(place, posting.clone().into()).await.unwrap();
    }
    let second = key(&format!(".trash/images/job{}.1", job.id()));
    store.put(second, "{}".into()).await.unwrap();
    trash(&job).await;
    let found = board.trash_review().get(job.id()).await.unwrap();
    assert_eq!(names(&found.jobs), ["near", "later"]);
    assert_eq!(found.unreadable.len(), 1);
    let none = board.trash_review().get(near.id()).await.unwrap();
    assert!(none.jobs.is_empty() && none.unreadable.is_empty());
    board.close().await;
}

async fn restored_job_is_as_it_was_posted(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let new = NewJob::new("thumbnail").details(json!({"n": 1.50, "deep": [null, {"ä": "ö"}]}));
    let job = board.post(new.max_attempts(2)).await.unwrap();
    let before = record(&store, data(job.id())).await;
    trash(&job).await;
    let seen = in_trash(&board, job.id()).await;
    let restored = board.trash_review().restore(&seen).await.unwrap();
    assert_eq!(record(&store, data(job.id())).await, before);
    assert_eq!(all(&store, "jobs/images/job").await.len(), 1);
    assert!(all(&store, ".trash/").await.is_empty());

    assert_eq!((restored.id(), restored.uuid()), (job.id(), job.uuid()));
    assert_eq!(restored.details(), job.details());
    let now = board.fresh_jobs().await.unwrap().only_unclaimed().next();
    assert_eq!(now.unwrap().uuid(), job.uuid());
    assert_eq!(
        (restored.attempts(), restored.state()),
        (0, JobState::Unclaimed)
    );
    assert_eq!(job.state(), JobState::Complete, "a handle of before");
    // It has all its tries again.
    for _ in 0..2 {
        board
            .claim(&restored, "two")
            .await
            .unwrap()
            .abandon()
            .await
            .unwrap();
        board.fresh_jobs().await.unwrap();
    }
    assert_eq!(
        kind(board.claim(&restored, "two").await),
        ErrorKind::NotFound
    );
    let again = in_trash(&board, job.id()).await;
    assert_eq!(again.attempts(), Some(2));
    let again = board.trash_review().restore(&again).await.unwrap();
    let claim = board.claim(&again, "three").await.unwrap();
    claim.consume().await.unwrap();
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 0);
    board.close().await;
}

async fn what_taskflow_trashed_is_restored_to_the_letter(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let posting = json!({
        "uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11", "name": "thumbnail", "priority": "HIGH",
        "created_on": "2026-01-31T12:00:00.123456", "details": {"file": "a.png"}, "sequence": 7,
        "unknown": [1.50, 12_345_678_901_234_567_890_u64],
    });
    let id = JobId::new(7).unwrap();
    store
        .put(place(id), posting.to_string().into())
        .await
        .unwrap();
    let seen = in_trash(&board, id).await;
    assert_eq!((seen.trashed_by(), seen.trashed_on()), (None, None));
    assert_eq!((seen.attempts(), seen.reason()), (None, None));
    let job = board.trash_review().restore(&seen).await.unwrap();
    assert_eq!((job.id(), job.name()), (id, "thumbnail"));
    assert_eq!(record(&store, data(id)).await, posting);
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 1);
    board.close().await;
}

async fn who_waits_for_a_job_that_is_restored_waits_on(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    trash(&job).await;
    let seen = in_trash(&board, job.id()).await;
    let restored = other.trash_review().restore(&seen).await.unwrap();
    board.fresh_jobs().await.unwrap();
    let claim = other.claim(&restored, "two").await.unwrap();
    let (waited, trashed) = future::join(job.wait(None), claim.trash("again")).await;
    trashed.unwrap();
    let again = Ended::Trashed(Some("again".to_owned()));
    assert_eq!(waited.unwrap(), again);
    board.close().await;
    other.close().await;
}

async fn trashed_job_is_restored_from_the_event_that_told_of_it(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut events = board.events(EventKind::Trashed).unwrap();
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    trash(&job).await;
    let Event::Trashed(seen) = events.next().await.unwrap().event else {
        panic!("another event");
    };
    let restored = board.trash_review().restore(&seen).await.unwrap();
    assert_eq!(restored.uuid(), job.uuid());
    drop(events);
    board.close().await;
}

async fn job_is_restored_once_and_not_after_it_was_purged(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let (review, others) = (board.trash_review(), other.trash_review());
    let seen = trashed(&board, NewJob::new("restored")).await;
    let job = others.restore(&seen).await.unwrap();
    let before = kept(&store).await;
    assert_eq!(kind(review.restore(&seen).await), ErrorKind::NotFound);
    assert_eq!(kind(review.purge(&seen).await), ErrorKind::NotFound);
    assert_eq!(kept(&store).await, before);

    // Trashed again it is another record, though in the same place.
    trash(&job).await;
    let before = kept(&store).await;
    assert_eq!(kind(review.restore(&seen).await), ErrorKind::NotFound);
    assert_eq!(kind(review.purge(&seen).await), ErrorKind::NotFound);
    assert_eq!(kept(&store).await, before);

    let seen = trashed(&board, NewJob::new("purged")).await;
    others.purge(&seen).await.unwrap();
    let before = kept(&store).await;
    assert_eq!(kind(review.purge(&seen).await), ErrorKind::NotFound);
    let error = review.restore(&seen).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let said = format!(
        "restore job {}: it is not in the trash any more, or not as it was seen",
        seen.id()
    );
    assert_eq!(error.to_string(), said);
    assert_eq!(kept(&store).await, before);
    board.close().await;
    other.close().await;
}

async fn one_of_two_restores_at_once_restores(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let (review, others) = (board.trash_review(), other.trash_review());
    for number in 0..8 {
        let new = NewJob::new("thumbnail").unique(format!("{number}"));
        let seen = trashed(&board, new).await;
        let both = future::join(review.restore(&seen), others.restore(&seen)).await;
        let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = both else {
            panic!("{both:?}");
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(board.fresh_jobs().await.unwrap().count(), 8);
    assert!(all(&store, ".trash/").await.is_empty());
    board.close().await;
    other.close().await;
}

async fn job_is_restored_or_purged_and_never_both(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let (review, others) = (board.trash_review(), other.trash_review());
    let mut restored = 0;
    for _ in 0..8 {
        let seen = trashed(&board, NewJob::new("thumbnail")).await;
        match future::join(review.restore(&seen), others.purge(&seen)).await {
            (Ok(_), Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                restored += 1;
            }
            (Err(error), Ok(())) => assert_eq!(error.kind(), ErrorKind::NotFound),
            both => panic!("{both:?}"),
        }
        assert!(all(&store, ".trash/").await.is_empty());
        assert_eq!(board.fresh_jobs().await.unwrap().count(), restored);
    }
    board.close().await;
    other.close().await;
}

async fn number_that_is_taken_is_not_restored_to(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let review = board.trash_review();
    let seen = trashed(&board, NewJob::new("thumbnail")).await;
    let another = board.post(NewJob::new("another")).await.unwrap();
    let posting = store.get(data(another.id())).await.unwrap().unwrap().value;
    let owner = key(&format!("jobs/images/job{}.lock", seen.id()));
    let number = format!("restore job {}", seen.id());
    for (key, value, why) in [
        (
            data(seen.id()),
            posting,
            "a job on the board has its number",
        ),
        (
            data(seen.id()),
            "broken".into(),
            "a job on the board has its number",
        ),
        (
            owner,
            r#"{"owner": "tf"}"#.into(),
            "its number is held by somebody",
        ),
    ] {
        store.put(key.clone(), value).await.unwrap();
        let before = kept(&store).await;
        let error = review.restore(&seen).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), format!("{number}: {why}"));
        assert_eq!(kept(&store).await, before);
        store.delete(key.into()).await.unwrap();
    }
    review.restore(&seen).await.unwrap();
    board.close().await;
}

async fn unique_key_is_taken_again_or_the_job_stays_in_the_trash(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let review = board.trash_review();
    let report = || NewJob::new("report").unique("k");
    let seen = trashed(&board, report()).await;
    let holder = board.post(report()).await.unwrap();
    assert!(!holder.existed());
    let before = kept(&store).await;
    let error = review.restore(&seen).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let why = format!(
        "restore job {}: job {} has its unique key",
        seen.id(),
        holder.id()
    );
    assert_eq!(error.to_string(), why);
    assert_eq!(kept(&store).await, before);

    // Free again, it is taken by who comes back.
    board
        .claim(&holder, "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    let restored = review.restore(&seen).await.unwrap();
    let second = board.post(report()).await.unwrap();
    assert!(second.existed() && second.uuid() == restored.uuid());

    // TaskFlow lets no key go: neither of the job itself, nor of one that took it meanwhile.
    let name = |job: JobId| format!("/taskflow/jobs/images/job{job}");
    for stale in [seen.id(), holder.id()] {
        trash(&board.get(seen.id()).unwrap()).await;
        let seen = in_trash(&board, seen.id()).await;
        let unique = key(".unique/images/k");
        store.put(unique.clone(), name(stale).into()).await.unwrap();
        let restored = review.restore(&seen).await.unwrap();
        let held = store.get(unique).await.unwrap().unwrap();
        assert_eq!(*held.value, *name(restored.id()).as_bytes());
        board.fresh_jobs().await.unwrap();
    }
    board.close().await;
}

async fn what_was_left_of_a_job_does_not_count_when_it_comes_back(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let seen = trashed(&board, NewJob::new("thumbnail")).await;
    for (part, left) in [
        (
            "last_modified",
            r#"{"last_modified":"2026-01-31T12:00:00.000000"}"#,
        ),
        ("state", r#"{"attempts":20,"unsettled":2}"#),
        ("cancel", "{}"),
    ] {
        let key = key(&format!("jobs/images/job{}.{part}", seen.id()));
        store.put(key, left.into()).await.unwrap();
    }
    let job = board.trash_review().restore(&seen).await.unwrap();
    board.fresh_jobs().await.unwrap();
    assert!(job.attempts() == 0 && !job.is_suspect());
    assert_eq!(job.last_modified(), job.created_on());
    board
        .claim(&job, "one")
        .await
        .unwrap()
        .consume()
        .await
        .unwrap();
    board.close().await;
}

async fn job_is_purged_as_it_was_seen_and_no_other(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let review = board.trash_review();
    let (first, second) = (
        trashed(&board, NewJob::new("first")).await,
        trashed(&board, NewJob::new("second")).await,
    );
    review.purge(&first).await.unwrap();
    let left = review.list().await.unwrap().jobs;
    assert_eq!(names(&left), ["second"]);

    // Something else has come into its place.
    let posting = store.get(place(second.id())).await.unwrap().unwrap().value;
    store.put(place(second.id()), posting).await.unwrap();
    let before = kept(&store).await;
    assert_eq!(kind(review.purge(&second).await), ErrorKind::NotFound);
    assert_eq!(kind(review.restore(&second).await), ErrorKind::NotFound);
    assert_eq!(kept(&store).await, before);

    // What is in the trash of another board is none of this one's.
    let other = builder("others").store(Arc::clone(&store));
    let other = other.connect().await.unwrap();
    let theirs = trashed(&other, NewJob::new("thumbnail")).await;
    assert_eq!(kind(review.purge(&theirs).await), ErrorKind::Invalid);
    assert_eq!(kind(review.restore(&theirs).await), ErrorKind::Invalid);
    assert_eq!(kept(&store).await, before);
    other.trash_review().purge(&theirs).await.unwrap();
    board.close().await;
    other.close().await;
}

fn at(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(time).unwrap().to_utc()
}

async fn board_at(store: &Arc<dyn Store>, time: &str) -> JobBoard {
    let board = builder("images").store(Arc::clone(store));
    let board = board.clock(Clock::counted_from(at(time)));
    board.connect().await.unwrap()
}

const HOUR: Duration = Duration::from_hours(1);

async fn jobs_older_than_an_age_are_purged_and_no_other(store: Arc<dyn Store>) {
    let early = board_at(&store, "2026-01-31T12:00:00Z").await;
    let late = board_at(&store, "2026-01-31T14:00:00Z").await;
    // More than go in one step, or are read at once.
    let old = early.post_many((0..120).map(|_| NewJob::new("old"))).await;
    for job in &old {
        trash(job.as_ref().unwrap()).await;
    }
    trashed(&late, NewJob::new("young")).await;
    let theirs = JobId::new(900).unwrap();
    let posting = store
        .get(place(old[0].as_ref().unwrap().id()))
        .await
        .unwrap();
    let mut posting: Value = serde_json::from_slice(&posting.unwrap().value).unwrap();
    posting.as_object_mut().unwrap().remove("jobboard");
    posting["name"] = json!("TaskFlow's");
    store
        .put(place(theirs), posting.to_string().into())
        .await
        .unwrap();
    let newer = json!({"jobboard": {"v": 2, "trashed_on": "2026-01-31T12:00:00.000000"}});
    store
        .put(key(".trash/images/job901"), newer.to_string().into())
        .await
        .unwrap();
    store
        .put(key(".trash/images/odd"), "{}".into())
        .await
        .unwrap();

    let review = late.trash_review();
    assert_eq!(review.purge_older_than(3 * HOUR).await.unwrap(), 0);
    assert_eq!(review.purge_older_than(Duration::MAX).await.unwrap(), 0);
    assert_eq!(all(&store, ".trash/images/").await.len(), 124);
    assert_eq!(review.purge_older_than(HOUR).await.unwrap(), 120);
    let left = review.list().await.unwrap();
    assert_eq!(names(&left.jobs), ["young", "TaskFlow's"]);
    assert_eq!(left.unreadable.len(), 2);
    assert_eq!(review.purge_older_than(HOUR).await.unwrap(), 0);
    early.close().await;
    late.close().await;
}

async fn old_job_that_is_restored_meanwhile_is_not_purged(store: Arc<dyn Store>) {
    let early = board_at(&store, "2026-01-31T12:00:00Z").await;
    let late = board_at(&store, "2026-01-31T14:00:00Z").await;
    for job in early.post_many((0..100).map(|_| NewJob::new("old"))).await {
        trash(&job.unwrap()).await;
    }
    let review = early.trash_review();
    let jobs = review.list().await.unwrap().jobs;
    let restoring = future::join_all(jobs.iter().step_by(3).map(|job| review.restore(job)));
    let purging = late.trash_review();
    let (restored, purged) = future::join(restoring, purging.purge_older_than(HOUR)).await;
    let restored: Vec<_> = restored.into_iter().flatten().collect();
    let purged = usize::try_from(purged.unwrap()).unwrap();
    assert_eq!(restored.len() + purged, 100);
    assert!(all(&store, ".trash/").await.is_empty());
    let on_board = early.fresh_jobs().await.unwrap().count();
    assert_eq!(on_board, restored.len());
    early.close().await;
    late.close().await;
}

async fn what_can_not_be_read_is_told_and_left_alone(store: Arc<dyn Store>) {
    let board = board_at(&store, "2026-01-31T14:00:00Z").await;
    let posting = |jobboard: Value| {
        let posting = json!({
            "uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11", "name": "n", "priority": "HIGH",
            "jobboard": jobboard,
        });
        posting.to_string()
    };
    let on = "2026-01-31T12:00:00.000000";
    let records = [
        ("job7", posting(json!({"v": 2, "trashed_on": on})), true),
        (
            "job8",
            posting(json!({"v": 2, "trashed_on": {"hunter2": 1}})),
            true,
        ),
        ("job9", "hunter2".to_owned(), false),
        (
            "job10",
            posting(json!({"v": 1, "trashed_on": on, "attempts": "hunter2"})),
            false,
        ),
        ("other", posting(json!({"v": 1, "trashed_on": on})), false),
    ];
    for (place, record, _) in &records {
        let place = key(&format!(".trash/images/{place}"));
        store.put(place, record.clone().into()).await.unwrap();
    }
    let before = kept(&store).await;
    let review = board.trash_review();
    let list = review.list().await.unwrap();
    assert!(list.jobs.is_empty());
    let told: Vec<_> = list
        .unreadable
        .iter()
        .map(|it| (it.key.clone(), it.newer))
        .collect();
    let expected = records
        .iter()
        .map(|(place, _, newer)| (key(&format!(".trash/images/{place}")), *newer));
    assert_eq!(told, expected.collect::<Vec<_>>());
    assert!(!format!("{list:?}").contains("hunter2"));
    assert_eq!(
        review
            .get(JobId::new(9).unwrap())
            .await
            .unwrap()
            .unreadable
            .len(),
        1
    );
    assert_eq!(review.purge_older_than(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(kept(&store).await, before);
    board.close().await;
}

async fn read_only_handle_lists_and_changes_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let seen = trashed(&board, NewJob::new("thumbnail")).await;
    let looking = builder("images").store(Arc::clone(&store)).read_only(true);
    let looking = looking.connect().await.unwrap();
    let review = looking.trash_review();
    assert_eq!(review.list().await.unwrap().jobs.len(), 1);
    let before = kept(&store).await;
    assert_eq!(kind(review.restore(&seen).await), ErrorKind::Denied);
    assert_eq!(kind(review.purge(&seen).await), ErrorKind::Denied);
    assert_eq!(kind(review.purge_older_than(HOUR).await), ErrorKind::Denied);
    assert_eq!(kept(&store).await, before);
    looking.close().await;
    assert_eq!(kind(review.list().await), ErrorKind::Closed);
    assert_eq!(kind(review.get(seen.id()).await), ErrorKind::Closed);
    board.close().await;
    assert_eq!(
        kind(board.trash_review().restore(&seen).await),
        ErrorKind::Closed
    );
}

/// A store that refuses to delete anything after so many deletes.
#[derive(Debug)]
struct Tired {
    memory: Memory,
    left: AtomicUsize,
}

#[async_trait]
impl Store for Tired {
    async fn range(&self, request: RangeRequest) -> store::Result<RangeResponse> {
        self.memory.range(request).await
    }

    async fn txn(&self, txn: Txn) -> store::Result<TxnResponse> {
        let deletes = txn
            .then
            .iter()
            .filter(|op| matches!(op, Op::Delete(_)))
            .count();
        let left = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(deletes));
        if left.is_err() {
            return Err(store::Error::new(store::ErrorKind::Denied, "enough"));
        }
        self.memory.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> store::Result<WatchStream> {
        self.memory.watch(request).await
    }

    async fn grant(&self, ttl: Duration) -> store::Result<Lease> {
        self.memory.grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> store::Result<()> {
        self.memory.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.memory.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> store::Result<()> {
        self.memory.compact(revision).await
    }
}

#[tokio::test]
async fn purge_that_ends_half_way_does_not_say_that_nothing_happened() {
    for (deletes, expected) in [(0, ErrorKind::Denied), (60, ErrorKind::Unknown)] {
        let memory = Memory::new();
        let early = board_at(&(Arc::new(memory.clone()) as _), "2026-01-31T12:00:00Z").await;
        for job in early.post_many((0..80).map(|_| NewJob::new("old"))).await {
            trash(&job.unwrap()).await;
        }
        let left = AtomicUsize::new(deletes);
        let store: Arc<dyn Store> = Arc::new(Tired { memory, left });
        let late = board_at(&store, "2026-01-31T14:00:00Z").await;
        let purged = late.trash_review().purge_older_than(HOUR).await;
        let error = purged.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        let there = late.trash_review().list().await.unwrap().jobs.len();
        assert_eq!(there, if deletes == 0 { 80 } else { 30 });
        late.close().await;
        early.close().await;
    }
}
