//! Records as other versions of TaskFlow, its users and accidents leave them.
//!
//! TaskFlow has its board on etcd since 5.9.0, and what it writes there is the same up to 6.5.0.

use jobboard::{ErrorKind, JobPriority, JobState, NewJob};
use serde_json::{Value, json};

use crate::scene::{by, key, on_each, trash};

const UUID: &str = "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11";

/// What TaskFlow 5.9.0 to 6.5.0 writes when a job is posted.
fn posting() -> Value {
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
fn without(field: &str) -> Value {
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
        for (time, reads) in [
            (json!("2026-02-01T12:00:00.123456"), true),
            (json!("2026-02-01T12:00:00"), true),
            (json!("2026-02-01T12:00:00Z"), true),
            (json!("2026-02-01T12:00:00.123456+00:00"), true),
            (json!("2026-02-01 12:00:00"), false),
            (json!("Sun Feb  1 12:00:00 2026"), false),
            (json!(1_769_947_200), false),
            (json!(null), false),
        ] {
            let job = scene.posted_by_them(json!({"name": "a"})).await.0;
            let at = key(job.id(), "last_modified");
            scene.put(&at, json!({"last_modified": time})).await;
            scene.board.fresh_jobs().await.unwrap();
            let told: Vec<_> = scene.board.unreadable();
            let told: Vec<_> = told.iter().map(|one| one.key.as_str().unwrap()).collect();
            assert_eq!(told.is_empty(), reads, "{time}");
            assert!(reads || told == [at.as_str()]);
            assert_eq!(job.last_modified() == job.created_on(), !reads, "{time}");
            // Who claims it writes it anew.
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            scene.board.fresh_jobs().await.unwrap();
            assert_eq!(scene.board.unreadable(), []);
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
            scene.board.fresh_jobs().await.unwrap();
            assert_eq!(scene.board.unreadable().len(), 1);
            assert_eq!(job.state(), JobState::Claimed);
            let holder = scene.board.holder(job.id()).unwrap();
            assert_eq!((holder.name, holder.leased), (None, false));
            let claim = scene.board.claim(&other, "rust").await.unwrap();
            claim.consume().await.unwrap();
            let released = scene.board.release(job.id(), holder.token, None).await;
            released.unwrap();
            scene.board.fresh_jobs().await.unwrap();
            assert_eq!(scene.board.unreadable(), []);
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

#[tokio::test]
async fn posting_that_stops_their_boards_is_told_here_and_stops_nothing() {
    on_each(async |scene| {
        let good = scene.board.post(NewJob::new("good")).await.unwrap();
        for bad in ["no JSON".to_owned(), without("uuid").to_string()] {
            scene.put(&key(77, "data"), bad).await;
            scene.board.fresh_jobs().await.unwrap();
            let told = scene.board.unreadable();
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].key.as_str(), Some(&*key(77, "data")));
            assert_eq!(scene.board.jobs().count(), 1);
        }
        scene.put(&key(77, "data"), "no JSON").await;
        let stopped = scene.theirs.try_to("list", json!({})).await;
        assert_eq!(stopped.unwrap_err().error, "JobFailure");
        // A person moves it out of the way here, and TaskFlow goes on.
        scene.board.fresh_jobs().await.unwrap();
        let told = scene.board.unreadable();
        let review = scene.board.trash_review();
        review.quarantine(&told[0], "operator", None).await.unwrap();
        let listed = scene.listed_by_them().await;
        assert_eq!((listed.len(), listed[0].uuid), (1, good.uuid()));
    })
    .await;
}
