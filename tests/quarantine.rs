//! What a person does with what can not be read, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future;
use jobboard::{
    ErrorKind, JobBoard, JobId, NewJob, Quarantined, Result, Unreadable,
    store::{Key, KeyRange, KeyValue, RangeRequest, Store, StoreExt},
};
use serde_json::{Value, json};

use self::support::{board, builder, stories};

stories! {
    broken_job_is_moved_whole_and_its_bytes_are_given_back
    what_was_left_of_a_job_is_moved_together
    key_of_nobody_is_moved_alone
    job_whose_state_can_not_be_read_can_be_claimed_again
    job_that_is_held_stays_where_it_is
    what_changed_since_it_was_seen_stays_where_it_is
    one_of_two_at_once_moves_it
    newer_record_is_told_as_such_and_left_alone
    what_is_too_large_stays_where_it_is
    place_that_is_taken_is_left_alone
    quarantined_record_is_purged_by_a_person_and_by_nothing_else
    broken_record_of_the_trash_can_be_moved_and_purged
    broken_quarantined_record_is_told_and_can_be_moved_again
    unique_key_of_a_moved_job_is_free_again
    who_waits_for_a_broken_job_is_told_so_after_it_was_moved
    bad_input_is_refused
}

const BROKEN: &[u8] = b"\xff{hunter2";

fn key(rest: &str) -> Key {
    Key::new(format!("/taskflow/{rest}")).unwrap()
}

fn job(rest: &str) -> Key {
    key(&format!("jobs/images/job{rest}"))
}

fn place(rest: &str) -> Key {
    key(&format!(".trash/images/quarantined.{rest}"))
}

async fn put(store: &Arc<dyn Store>, key: Key, value: impl Into<Bytes> + Send) {
    store.put(key, value.into()).await.unwrap();
}

/// All that is kept of the jobs and of the trash.
async fn kept(store: &Arc<dyn Store>) -> Vec<KeyValue> {
    let mut kept = Vec::new();
    for area in ["jobs/images/job", ".trash/images/"] {
        let range = KeyRange::prefix(key(area));
        kept.extend(store.range(RangeRequest::new(range)).await.unwrap().kvs);
    }
    kept.retain(|kv| kv.key != job("0.barrier"));
    kept
}

async fn keys(store: &Arc<dyn Store>) -> Vec<Key> {
    kept(store).await.into_iter().map(|kv| kv.key).collect()
}

/// What of the board can not be read now.
async fn unreadable(board: &JobBoard) -> Vec<Unreadable> {
    board.fresh_jobs().await.unwrap();
    board.unreadable()
}

/// The only key of the board that can not be read.
async fn the_unreadable(board: &JobBoard) -> Unreadable {
    let found = unreadable(board).await;
    let [it] = &found[..] else {
        panic!("{found:?}");
    };
    it.clone()
}

async fn quarantine(board: &JobBoard, it: &Unreadable) -> Result<()> {
    board.trash_review().quarantine(it, "ops", None).await
}

async fn quarantined(board: &JobBoard) -> Vec<Quarantined> {
    board.trash_review().list().await.unwrap().quarantined
}

fn kind<T: std::fmt::Debug>(answer: Result<T>) -> ErrorKind {
    answer.unwrap_err().kind()
}

fn contents<const N: usize>(of: [(&str, &'static [u8]); N]) -> Vec<(Key, Bytes)> {
    of.map(|(rest, value)| (job(rest), Bytes::from_static(value)))
        .to_vec()
}

async fn broken_job_is_moved_whole_and_its_bytes_are_given_back(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let good = board.post(NewJob::new("good")).await.unwrap();
    put(&store, job("70.data"), BROKEN).await;
    put(&store, job("70.state"), r#"{"attempts":2,"unsettled":0}"#).await;
    put(&store, job("70.odd"), "").await;
    put(&store, job("700.data"), "another").await;
    let found = unreadable(&board).await;
    let it = found.iter().find(|it| it.key == job("70.data")).unwrap();
    assert!(!it.newer);
    let review = board.trash_review();
    review.quarantine(it, "ops", Some("by hand")).await.unwrap();

    let left = unreadable(&board).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].key, job("700.data"));
    let all = quarantined(&board).await;
    let [moved] = &all[..] else {
        panic!("{all:?}");
    };
    let expected = [
        ("70.data", BROKEN),
        ("70.odd", b""),
        ("70.state", br#"{"attempts":2,"unsettled":0}"#),
    ];
    assert_eq!(moved.contents(), contents(expected));
    assert_eq!(
        (moved.quarantined_by(), moved.reason()),
        ("ops", Some("by hand"))
    );
    assert_eq!(moved.error(), it.why);
    assert!(moved.quarantined_on() >= good.created_on().unwrap());
    assert!(!format!("{moved:?}").contains("hunter2"));
    let record = store.get(place("job70.data")).await.unwrap().unwrap();
    assert_eq!(record.create_revision, moved.revision());
    let record: Value = serde_json::from_slice(&record.value).unwrap();
    assert_eq!(
        record["keys"][0],
        json!({"key": "job70.data", "value": "/3todW50ZXIy"})
    );
    assert_eq!(record["jobboard"]["v"], 1);

    let found = (review_of(&board, 70).await, review_of(&board, 7).await);
    assert_eq!(found, (1, 0));
    board.close().await;
}

/// How much of a job is quarantined.
async fn review_of(board: &JobBoard, id: u64) -> usize {
    let found = board.trash_review().get(JobId::new(id).unwrap()).await;
    found.unwrap().quarantined.len()
}

async fn what_was_left_of_a_job_is_moved_together(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let last = r#"{"last_modified":"2026-01-31T12:00:00.000000"}"#;
    put(&store, job("7.last_modified"), last).await;
    put(&store, job("7.state"), "{}").await;
    let it = the_unreadable(&board).await;
    assert_eq!(it.key, job("7.data"));
    quarantine(&board, &it).await.unwrap();
    let moved = &quarantined(&board).await[0];
    let expected = contents([("7.last_modified", last.as_bytes()), ("7.state", b"{}")]);
    assert_eq!(moved.contents(), expected);
    assert!(moved.error().contains("its posting is not"));
    assert_eq!(keys(&store).await, [place("job7.data")]);
    assert_eq!(unreadable(&board).await, []);
    // What comes later is something else.
    assert_eq!(kind(quarantine(&board, &it).await), ErrorKind::NotFound);
    board.close().await;
}

async fn key_of_nobody_is_moved_alone(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let claim = board.post(NewJob::new("good")).await.unwrap();
    let claim = board.claim(&claim, "one").await.unwrap();
    let odd = Key::new(&b"/taskflow/jobs/images/job9.\xff/%"[..]).unwrap();
    let nobodys = [
        job(&format!("{}.odd", claim.job().id())),
        job("042.data"),
        odd,
    ];
    for key in &nobodys {
        put(&store, key.clone(), BROKEN).await;
    }
    let found = unreadable(&board).await;
    assert_eq!(found.len(), nobodys.len());
    for it in &found {
        quarantine(&board, it).await.unwrap();
    }
    let moved = quarantined(&board).await;
    for key in nobodys {
        let content = (key, Bytes::from_static(BROKEN));
        assert!(
            moved.iter().any(|it| *it.contents() == [content.clone()]),
            "{content:?}"
        );
    }
    assert_eq!(unreadable(&board).await, []);
    claim.consume().await.unwrap();
    board.close().await;
}

async fn job_whose_state_can_not_be_read_can_be_claimed_again(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let posted = board.post(NewJob::new("good")).await.unwrap();
    put(&store, job(&format!("{}.state", posted.id())), BROKEN).await;
    let it = the_unreadable(&board).await;
    assert_eq!(kind(board.claim(&posted, "one").await), ErrorKind::Corrupt);
    quarantine(&board, &it).await.unwrap();
    board.fresh_jobs().await.unwrap();
    let claim = board.claim(&posted, "one").await.unwrap();
    claim.consume().await.unwrap();
    board.close().await;
}

async fn job_that_is_held_stays_where_it_is(store: Arc<dyn Store>) {
    let board = board(&store).await;
    put(&store, job("7.data"), BROKEN).await;
    put(&store, job("7.lock"), r#"{"owner": "tf"}"#).await;
    put(&store, job("8.lock"), r#"{"owner": "tf"}"#).await;
    put(&store, job("9.data"), BROKEN).await;
    put(&store, job("9.lock"), BROKEN).await;
    let before = kept(&store).await;
    let found = unreadable(&board).await;
    assert_eq!(found.len(), 4);
    for it in &found {
        let error = quarantine(&board, it).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Claimed, "{error}");
        let owner = (!it.key.as_str().unwrap().contains("job9")).then_some("tf");
        assert_eq!(error.owner(), owner, "{error}");
    }
    assert_eq!(kept(&store).await, before);

    // An operator takes them from their owners first.
    for id in [7, 8, 9].map(|id| JobId::new(id).unwrap()) {
        let holder = board.holder(id).unwrap();
        board.release(id, holder.token, None).await.unwrap();
    }
    // The owner of a job that is not there has left nothing, and nothing is written in its place.
    let left = unreadable(&board).await;
    assert_eq!(left.len(), 2);
    for it in left {
        quarantine(&board, &it).await.unwrap();
    }
    assert!(
        keys(&store)
            .await
            .iter()
            .all(|key| !key.as_bytes().starts_with(b"/taskflow/jobs"))
    );
    board.close().await;
}

async fn what_changed_since_it_was_seen_stays_where_it_is(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    put(&store, job("7.data"), BROKEN).await;
    let it = the_unreadable(&board).await;
    let posting =
        json!({"uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11", "name": "n", "priority": "HIGH"});
    for changed in [BROKEN, posting.to_string().as_bytes()] {
        put(&store, job("7.data"), Bytes::copy_from_slice(changed)).await;
        let before = kept(&store).await;
        assert_eq!(kind(quarantine(&board, &it).await), ErrorKind::NotFound);
        assert_eq!(kept(&store).await, before);
    }
    // Mended, it is no business of the trash.
    assert_eq!(unreadable(&other).await, []);
    store.delete(job("7.data").into()).await.unwrap();
    assert_eq!(kind(quarantine(&board, &it).await), ErrorKind::NotFound);
    // Nor is it, if what stood beside it is all that is left: that was not seen.
    put(&store, job("7.state"), "{}").await;
    assert_eq!(kind(quarantine(&board, &it).await), ErrorKind::NotFound);
    let orphans = the_unreadable(&board).await;
    put(&store, job("7.data"), posting.to_string()).await;
    assert_eq!(
        kind(quarantine(&board, &orphans).await),
        ErrorKind::NotFound
    );
    assert_eq!(keys(&store).await, [job("7.data"), job("7.state")]);
    board.close().await;
    other.close().await;
}

async fn one_of_two_at_once_moves_it(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    for _ in 0..8 {
        put(&store, job("7.data"), BROKEN).await;
        let (it, same) = (the_unreadable(&board).await, the_unreadable(&other).await);
        let both = future::join(quarantine(&board, &it), quarantine(&other, &same)).await;
        let ((Ok(()), Err(error)) | (Err(error), Ok(()))) = both else {
            panic!("{both:?}");
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(quarantined(&board).await.len(), 8);
    assert_eq!(unreadable(&other).await, []);
    board.close().await;
    other.close().await;
}

async fn newer_record_is_told_as_such_and_left_alone(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let posting = |extras: Value| {
        let uuid = "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11";
        let posting = json!({"uuid": uuid, "name": "n", "priority": "HIGH", "jobboard": extras});
        posting.to_string()
    };
    put(&store, job("7.data"), posting(json!({"v": 2}))).await;
    put(
        &store,
        job("8.data"),
        posting(json!({"v": 2, "unique": ["k"]})),
    )
    .await;
    put(&store, key(".trash/images/job9"), posting(json!({"v": 2}))).await;
    put(
        &store,
        place("job10.data"),
        r#"{"jobboard":{"v":2},"keys":3}"#,
    )
    .await;
    // What goes with a broken posting can be newer, too.
    put(&store, job("11.data"), "?").await;
    put(&store, job("11.cancel"), r#"{"jobboard":{"v":2}}"#).await;
    let before = kept(&store).await;
    let mut found = unreadable(&board).await;
    let list = board.trash_review().list().await.unwrap();
    assert!(list.jobs.is_empty() && list.quarantined.is_empty());
    found.extend(list.unreadable);
    // Two of job 11: its posting, which is not newer, and its request.
    assert_eq!(found.len(), 6);
    assert_eq!(found.iter().filter(|it| it.newer).count(), 5);
    for it in found {
        let error = quarantine(&board, &it).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("a newer version"), "{error}");
    }
    assert_eq!(kept(&store).await, before);
    board.close().await;
}

async fn what_is_too_large_stays_where_it_is(store: Arc<dyn Store>) {
    let board = board(&store).await;
    put(&store, job("7.data"), vec![b'x'; 1 << 20]).await;
    let it = the_unreadable(&board).await;
    put(&store, job("7.odd"), vec![b'x'; 100 << 10]).await;
    let before = kept(&store).await;
    let error = quarantine(&board, &it).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("the limit is 1468006"),
        "{error}"
    );
    assert_eq!(kept(&store).await, before);

    // Moved one after the other they fit.
    let found = unreadable(&board).await;
    let odd = found.iter().find(|it| it.key == job("7.odd")).unwrap();
    quarantine(&board, odd).await.unwrap();
    quarantine(&board, &it).await.unwrap();
    let moved = quarantined(&board).await;
    assert_eq!(moved[1].contents()[0].1.len(), 1 << 20);

    put(&store, job("8.data"), BROKEN).await;
    for number in 0..50 {
        put(&store, job(&format!("8.odd{number}")), "").await;
    }
    let found = unreadable(&board).await;
    let it = found.iter().find(|it| it.key == job("8.data")).unwrap();
    let before = kept(&store).await;
    assert_eq!(kind(quarantine(&board, it).await), ErrorKind::Invalid);
    assert_eq!(kept(&store).await, before);
    store.delete(job("8.odd0").into()).await.unwrap();
    quarantine(&board, it).await.unwrap();
    assert_eq!(unreadable(&board).await, []);
    board.close().await;
}

async fn place_that_is_taken_is_left_alone(store: Arc<dyn Store>) {
    let board = board(&store).await;
    put(&store, place("job7.data"), "somebody's").await;
    for value in ["one", "two"] {
        put(&store, job("7.data"), value).await;
        quarantine(&board, &the_unreadable(&board).await)
            .await
            .unwrap();
    }
    let places = ["job7.data", "job7.data.1", "job7.data.2"].map(place);
    assert_eq!(keys(&store).await, places);
    let found = store.get(places[0].clone()).await.unwrap().unwrap();
    assert_eq!(&*found.value, b"somebody's");
    let moved = quarantined(&board).await;
    let values: Vec<_> = moved.iter().map(|it| &*it.contents()[0].1).collect();
    assert_eq!(values, [b"one", b"two"]);
    board.close().await;
}

async fn quarantined_record_is_purged_by_a_person_and_by_nothing_else(store: Arc<dyn Store>) {
    let board = board(&store).await;
    put(&store, job("7.data"), BROKEN).await;
    quarantine(&board, &the_unreadable(&board).await)
        .await
        .unwrap();
    let review = board.trash_review();
    assert_eq!(review.purge_older_than(Duration::ZERO).await.unwrap(), 0);
    let moved = quarantined(&board).await.remove(0);
    review.purge_quarantined(&moved).await.unwrap();
    assert_eq!(
        kind(review.purge_quarantined(&moved).await),
        ErrorKind::NotFound
    );
    assert_eq!(keys(&store).await, []);
    // The next one in its place is another.
    put(&store, job("7.data"), BROKEN).await;
    quarantine(&board, &the_unreadable(&board).await)
        .await
        .unwrap();
    assert_eq!(
        kind(review.purge_quarantined(&moved).await),
        ErrorKind::NotFound
    );
    assert_eq!(quarantined(&board).await.len(), 1);
    board.close().await;
}

async fn broken_record_of_the_trash_can_be_moved_and_purged(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let review = board.trash_review();
    for place in ["job7", "odd"] {
        put(&store, key(&format!(".trash/images/{place}")), BROKEN).await;
    }
    for it in review.list().await.unwrap().unreadable {
        quarantine(&board, &it).await.unwrap();
    }
    let list = review.list().await.unwrap();
    assert!(list.unreadable.is_empty());
    let [seven, odd] = &list.quarantined[..] else {
        panic!("{list:?}");
    };
    let content = |place: &str| {
        let key = key(&format!(".trash/images/{place}"));
        [(key, Bytes::from_static(BROKEN))]
    };
    assert_eq!(seven.contents(), content("job7"));
    assert_eq!(odd.contents(), content("odd"));
    for it in &list.quarantined {
        review.purge_quarantined(it).await.unwrap();
    }
    assert_eq!(keys(&store).await, []);
    board.close().await;
}

async fn broken_quarantined_record_is_told_and_can_be_moved_again(store: Arc<dyn Store>) {
    let board = board(&store).await;
    put(&store, place("job7.data"), BROKEN).await;
    let list = board.trash_review().list().await.unwrap();
    assert!(list.quarantined.is_empty());
    quarantine(&board, &list.unreadable[0]).await.unwrap();
    let moved = quarantined(&board).await;
    assert_eq!(
        moved[0].contents(),
        [(place("job7.data"), Bytes::from_static(BROKEN))]
    );
    board.close().await;
}

async fn unique_key_of_a_moved_job_is_free_again(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let report = || NewJob::new("report").unique("k");
    let posted = board.post(report()).await.unwrap();
    put(&store, job(&format!("{}.data", posted.id())), BROKEN).await;
    let it = the_unreadable(&board).await;
    assert_eq!(kind(board.post(report()).await), ErrorKind::Corrupt);
    quarantine(&board, &it).await.unwrap();
    assert!(!board.post(report()).await.unwrap().existed());
    assert!(board.post(report()).await.unwrap().existed());
    board.close().await;
}

async fn who_waits_for_a_broken_job_is_told_so_after_it_was_moved(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let posted = board.post(NewJob::new("n")).await.unwrap();
    put(&store, job(&format!("{}.data", posted.id())), BROKEN).await;
    let it = the_unreadable(&board).await;
    assert_eq!(kind(posted.wait(None).await), ErrorKind::Corrupt);
    quarantine(&board, &it).await.unwrap();
    unreadable(&board).await;
    assert_eq!(kind(posted.wait(None).await), ErrorKind::Corrupt);
    board.close().await;
}

async fn bad_input_is_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    put(&store, job("7.data"), BROKEN).await;
    let it = the_unreadable(&board).await;
    let before = kept(&store).await;
    let review = board.trash_review();
    let long = "r".repeat(4097);
    for (by, reason) in [("", None), (&long[..256], None), ("ops", Some(&long[..]))] {
        assert_eq!(
            kind(review.quarantine(&it, by, reason).await),
            ErrorKind::Invalid
        );
    }
    let other = builder("others").store(Arc::clone(&store));
    let other = other.connect().await.unwrap();
    assert_eq!(kind(quarantine(&other, &it).await), ErrorKind::Invalid);
    let looking = builder("images").store(Arc::clone(&store)).read_only(true);
    let looking = looking.connect().await.unwrap();
    assert_eq!(kind(quarantine(&looking, &it).await), ErrorKind::Denied);

    // An entity that can not be read goes with its session.
    put(&store, key(".entities/images/a/b/c"), BROKEN).await;
    let mut entity = it.clone();
    entity.key = key(".entities/images/a/b/c");
    assert_eq!(kind(quarantine(&board, &entity).await), ErrorKind::Invalid);
    assert_eq!(kept(&store).await, before);
    let longest = "r".repeat(4096);
    let by = "b".repeat(255);
    review.quarantine(&it, &by, Some(&longest)).await.unwrap();
    assert_eq!(quarantined(&board).await[0].reason(), Some(&longest[..]));
    for board in [board, other, looking] {
        board.close().await;
    }
}
