//! Records as other versions of TaskFlow, its users and accidents leave them.
//!
//! TaskFlow has its board on etcd since 5.9.0, and what it writes there is the same up to 6.5.0.

use chrono::{DateTime, TimeDelta, Utc};
use jobboard::{ErrorKind, JobPriority, JobState};
use serde_json::{Value, json};

use crate::scene::{Scene, by, key, on_each, trash};

pub(crate) const UUID: &str = "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11";

/// What TaskFlow 5.9.0 to 6.5.0 writes when a job is posted.
pub(crate) fn posting() -> Value {
    json!({
        "uuid": UUID,
        "name": "thumbnail",
        "priority": "HIGH",
        "created_on": "2026-01-31T12:00:00.123456",
        "details": {"file": "a.png"},
        "sequence": 1,
    })
}

/// What became of a posting that lacks a field.
pub(crate) fn without(field: &str) -> Value {
    let mut posting = posting();
    posting.as_object_mut().unwrap().remove(field);
    posting
}

#[tokio::test]
async fn posting_is_read_without_what_a_job_can_do_without() {
    on_each(async |scene| {
        for field in ["sequence", "created_on", "details"] {
            scene.put(&key(1, "data"), without(field)).await;
            let job = scene.seen(UUID.parse().unwrap()).await;
            assert_eq!((job.id().get(), job.name()), (1, "thumbnail"), "{field}");
            assert_eq!(job.priority(), JobPriority::High);
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            claim.consume().await.unwrap();
        }
        assert_eq!(scene.board.unreadable(), []);
    })
    .await;
}

#[tokio::test]
async fn posting_is_read_with_what_only_its_writer_knows() {
    on_each(async |scene| {
        let mut record = posting();
        record["last_modified"] = json!("2026-01-31T12:00:00.123456");
        record["book"] = Value::Null;
        record["owner"] = json!({"of": "a later version"});
        scene.put(&key(1, "data"), record.clone()).await;
        let job = scene.seen(UUID.parse().unwrap()).await;
        assert_eq!(job.book_uuid(), None);
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.trash("no such file").await.unwrap();
        let (_, mut trashed) = scene.keys(&trash(1)).await.remove(0);
        trashed.as_object_mut().unwrap().remove("jobboard");
        assert_eq!(trashed, record);
    })
    .await;
}

#[tokio::test]
async fn time_of_an_old_format_is_told_and_the_job_goes_on() {
    on_each(async |scene| {
        let noon: DateTime<Utc> = "2026-02-01T12:00:00Z".parse().unwrap();
        let after = noon + TimeDelta::microseconds(123_456);
        for (time, reads) in [
            (json!("2026-02-01T12:00:00.123456"), Some(after)),
            (json!("2026-02-01T12:00:00"), Some(noon)),
            (json!("2026-02-01T12:00:00Z"), Some(noon)),
            (json!("2026-02-01T14:00:00.123456+02:00"), Some(after)),
            (json!("2026-02-01 12:00:00"), None),
            (json!("Sun Feb  1 12:00:00 2026"), None),
            (json!(1_769_947_200), None),
            (json!(null), None),
        ] {
            let job = scene.posted_by_them(json!({"name": "a"})).await.0;
            let at = key(job.id(), "last_modified");
            scene.put(&at, json!({"last_modified": time})).await;
            let told = scene.unreadable().await;
            let unread: &[_] = if reads.is_none() { &[at] } else { &[] };
            assert_eq!(told, unread, "{time}");
            let since = reads.or_else(|| job.created_on());
            assert_eq!(job.last_modified(), since, "{time}");
            // Who claims it writes it anew.
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            assert!(scene.unreadable().await.is_empty());
            claim.consume().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn lock_without_a_lease_holds_until_it_is_released() {
    on_each(async |scene| {
        for lock in [
            json!({"owner": "python"}),
            json!({"owner": "python", "lease_id": null}),
        ] {
            let job = scene.posted_by_them(json!({"name": "a"})).await.0;
            scene.put(&key(job.id(), "lock"), lock).await;
            scene.board.fresh_jobs().await.unwrap();
            let holder = scene.board.holder(job.id()).unwrap();
            assert_eq!(
                (holder.name.as_deref(), holder.leased),
                (Some("python"), false)
            );
            let refused = scene.board.claim(&job, "rust").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Claimed);
            let released = scene.board.release(job.id(), holder.token, None).await;
            released.unwrap();
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            claim.consume().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn lock_that_can_not_be_read_is_told_and_holds_its_job() {
    on_each(async |scene| {
        for lock in [json!({}), json!({"owner": 7}), json!("python"), json!(null)] {
            let job = scene.posted_by_them(json!({"name": "a"})).await.0;
            let other = scene.posted_by_them(json!({"name": "b"})).await.0;
            scene.put(&key(job.id(), "lock"), lock).await;
            assert_eq!(scene.unreadable().await, [key(job.id(), "lock")]);
            assert_eq!(job.state(), JobState::Claimed);
            let holder = scene.board.holder(job.id()).unwrap();
            assert_eq!((holder.name, holder.leased), (None, false));
            let claim = scene.board.claim(&other, "rust").await.unwrap();
            claim.consume().await.unwrap();
            let released = scene.board.release(job.id(), holder.token, None).await;
            released.unwrap();
            assert!(scene.unreadable().await.is_empty());
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            claim.consume().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn record_of_the_trash_without_our_notes_is_read_and_comes_back() {
    on_each(async |scene| {
        scene.put(&trash(1), posting()).await;
        scene.put(&trash(2), "no JSON").await;
        let review = scene.board.trash_review();
        let found = review.list().await.unwrap();
        assert_eq!((found.jobs.len(), found.unreadable.len()), (1, 1));
        assert_eq!(found.jobs[0].name(), "thumbnail");
        assert_eq!(found.jobs[0].reason(), None);
        let job = review.restore(&found.jobs[0]).await.unwrap();
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let () = scene.theirs.ask("consume", by("python", &job)).await;
    })
    .await;
}

/// Jobs that TaskFlow posts and this library can not read, as Python writes them.
const ODD: [&str; 9] = [
    "name=7",
    "name='a', details=['a.png']",
    "name='a', book=LogBook('b', uuid='none')",
    "name='a', details={'n': float('nan')}",
    "name='a', details={'n': 10**400}",
    r"name='a\ud800'",
    r"name='a', details={'text': '\ud800'}",
    "name='a', details=nested(128)",
    "name='a', details={'a': {'$serde_json::private::RawValue': '[1]'}}",
];

#[tokio::test]
async fn what_they_post_and_we_can_not_read_is_told_and_hides_no_job() {
    on_each(async |scene| {
        let mut odd = Vec::new();
        for job in ODD {
            odd.push(key(posted_as_told(scene, job).await, "data"));
        }
        posted_as_told(scene, "name='good', details=nested(127)").await;
        let mut told = scene.unreadable().await;
        told.sort();
        odd.sort();
        assert_eq!(told, odd);
        let jobs: Vec<_> = scene.board.jobs().collect();
        assert_eq!((jobs.len(), jobs[0].name()), (1, "good"));
        let claim = scene.board.claim(&jobs[0], "rust").await.unwrap();
        claim.consume().await.unwrap();
        // They wait for who can read them.
        let listed: usize = scene.theirs.ask("count", json!({})).await;
        assert_eq!(listed, ODD.len());
    })
    .await;
}

#[tokio::test]
async fn number_of_any_length_is_kept_to_the_last_digit() {
    on_each(async |scene| {
        let job = "name='a', details={'n': 2**70, 'text': 'ß'}";
        let number = posted_as_told(scene, job).await;
        let job = scene.board.fresh_jobs().await.unwrap().next().unwrap();
        // What is read of it is the nearest number of 64 bits.
        assert_eq!(job.details()["n"], json!(1_180_591_620_717_411_303_424_f64));

        let claim = scene.board.claim(&job, "rust").await.unwrap();
        assert_has_it(&scene.record(&key(number, "data")).await);
        claim.trash("no such file").await.unwrap();
        assert_has_it(&scene.record(&trash(number)).await);
        let review = scene.board.trash_review();
        let found = review.list().await.unwrap();
        review.restore(&found.jobs[0]).await.unwrap();
        assert_has_it(&scene.record(&key(number, "data")).await);
    })
    .await;
}

/// A record has the details with the long number, to the byte.
fn assert_has_it(record: &[u8]) {
    let record = std::str::from_utf8(record).unwrap();
    let details = r#"{"n": 1180591620717411303424, "text": "\u00df"}"#;
    assert!(record.contains(details), "{record}");
}

/// TaskFlow posts what a text of Python says; gives its number.
async fn posted_as_told(scene: &mut Scene, job: &str) -> u64 {
    scene
        .theirs
        .ask("post_as_told", json!({ "job": job }))
        .await
}
