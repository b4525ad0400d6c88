//! What TaskFlow's clients can do to a board that they share: they read, then write, and nothing holds the
//! two together. Each is held between them here, while the job becomes ours.

use std::time::Duration;

use jobboard::{
    Claim, Ended, ErrorKind, EventKind, Job, JobState, NewJob,
    testing::{Auditor, Held, Promise},
};
use serde_json::{Value, json};

use crate::{
    foreign::posting,
    python::{Shown, TaskFlow},
    scene::{BOARD, PATIENCE, Scene, by, key, of, on_each, trash},
};

/// A job that TaskFlow claimed, and held between its `verb`'s read and the write that is `method` of its
/// client of etcd, until its claim ran out and the job was ours.
async fn overtaken(scene: &mut Scene, verb: &str, method: &str) -> (Job, Claim) {
    let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
    let claim = overtaken_at(scene, &job, verb, method).await;
    (job, claim)
}

/// As [`overtaken`], at a job that is there.
async fn overtaken_at(scene: &mut Scene, job: &Job, verb: &str, method: &str) -> Claim {
    let mut events = scene.board.events(EventKind::Released).unwrap();
    let () = scene.theirs.ask("claim", briefly(job)).await;
    scene
        .theirs
        .hold_before(method, verb, by("python", job))
        .await;
    events.next().await.unwrap();
    scene.board.claim(job, "rust").await.unwrap()
}

/// An order to claim a job for about a second.
fn briefly(job: &Job) -> Value {
    let mut brief = by("python", job);
    brief["expiry"] = json!(1);
    brief
}

/// Who finds that a promise is broken.
async fn auditor(scene: &Scene) -> Auditor {
    let auditor = Auditor::start(&scene.store, "/taskflow", BOARD).await;
    auditor.unwrap().beside_taskflow()
}

/// The auditor finds that this promise was broken.
async fn assert_broken(auditor: &Auditor, scene: &Scene, promise: Promise) {
    scene.board.fresh_jobs().await.unwrap();
    assert!(auditor.caught_up(scene.board.revision()).await);
    let broken = auditor.audit().unwrap_err();
    assert_eq!(broken.promise(), promise, "{broken}");
}

/// Every verb of a claim that is over says so.
async fn assert_lost(claim: &Claim) {
    claim.lost().await;
    assert!(!claim.is_held());
    for told in [claim.consume().await, claim.abandon().await] {
        assert_eq!(told.unwrap_err().kind(), ErrorKind::Lost);
    }
}

#[tokio::test]
async fn late_consume_of_theirs_takes_our_job_and_our_claim_is_lost() {
    on_each(async |scene| {
        let auditor = auditor(scene).await;
        let (job, claim) = overtaken(scene, "consume", "delete_prefix").await;
        auditor.log().believe("rust", &claim);
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        assert_lost(&claim).await;
        assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Consumed(None));
        assert_eq!(scene.keys(&key(job.id(), "")).await, []);

        // Nobody here asked for that.
        assert_broken(&auditor, scene, Promise::Fenced).await;
    })
    .await;
}

#[tokio::test]
async fn late_abandon_of_theirs_frees_our_job_and_our_claim_is_lost() {
    on_each(async |scene| {
        let (job, claim) = overtaken(scene, "abandon", "delete").await;
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        assert_lost(&claim).await;
        assert_eq!(
            (job.state(), job.is_suspect()),
            (JobState::Unclaimed, false)
        );
        // Its try counts, as that of an owner who died: after two it is suspect.
        let next = overtaken_at(scene, &job, "abandon", "delete").await;
        assert_eq!(next.attempt(), 2);
        assert_ne!(Held::from(&next), Held::from(&claim));
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        assert_lost(&next).await;
        assert_eq!((job.state(), job.is_suspect()), (JobState::Unclaimed, true));
    })
    .await;
}

#[tokio::test]
async fn late_trash_of_theirs_takes_our_job_and_our_claim_is_lost() {
    on_each(async |scene| {
        let auditor = auditor(scene).await;
        let (job, claim) = overtaken(scene, "trash", "delete_prefix").await;
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        assert_lost(&claim).await;
        assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Trashed(None));
        assert_eq!(scene.keys(&key(job.id(), "")).await, []);
        assert_broken(&auditor, scene, Promise::Fenced).await;
    })
    .await;
}

#[tokio::test]
async fn late_trash_of_theirs_puts_what_we_consumed_into_the_trash() {
    on_each(async |scene| {
        let auditor = auditor(scene).await;
        let (job, claim) = overtaken(scene, "trash", "create").await;
        claim.consume().await.unwrap();
        assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Consumed(None));
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        let found = scene.board.trash_review().list().await.unwrap();
        assert_eq!(found.jobs[0].uuid(), job.uuid());
        // Without a reason, as all that they trash: a person is to look before it is restored.
        assert_eq!(found.jobs[0].reason(), None);
        assert_eq!(scene.board.job_count(), 0);
        assert_broken(&auditor, scene, Promise::Kept).await;
    })
    .await;
}

#[tokio::test]
async fn job_that_is_trashed_here_amid_a_trash_of_theirs_has_a_place_of_its_own() {
    on_each(async |scene| {
        let (job, claim) = overtaken(scene, "trash", "delete_prefix").await;
        claim.trash("ours").await.unwrap();
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        let found = scene.board.trash_review().get(job.id()).await.unwrap();
        let reasons: Vec<_> = found.jobs.iter().map(|job| job.reason()).collect();
        assert_eq!(reasons, [None, Some("ours")]);
    })
    .await;
}

#[tokio::test]
async fn owners_name_is_all_that_they_compare() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        let claim = scene.board.claim(&job, "worker").await.unwrap();
        let () = scene.theirs.ask("consume", by("worker", &job)).await;
        assert_lost(&claim).await;
        assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Consumed(None));
    })
    .await;
}

#[tokio::test]
async fn claim_of_theirs_on_what_we_consumed_meanwhile_is_refused_and_leaves_nothing() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        scene
            .theirs
            .hold_before("create", "claim", by("python", &job))
            .await;
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.consume().await.unwrap();
        let refused = scene.theirs.go_on().await.unwrap_err();
        assert_eq!(refused.error, "UnclaimableJob");
        scene.board.fresh_jobs().await.unwrap();
        assert_eq!(scene.board.unreadable(), []);
        assert_eq!(scene.keys(&key(job.id(), "")).await, []);
    })
    .await;
}

#[tokio::test]
async fn lock_that_they_leave_behind_is_told_and_hides_no_job() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        let mut dying = TaskFlow::start(&scene.etcd, BOARD).await;
        let between = ["create", "get"];
        dying
            .hold_before_each(&between, "claim", by("python", &job))
            .await;
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.consume().await.unwrap();
        // It has made the lock, and dies before it looks whether there is a job.
        dying.go_on_until_before("get").await;
        dying.kill().await;

        let other = scene.board.post(NewJob::new("b")).await.unwrap();
        scene.board.fresh_jobs().await.unwrap();
        let told = scene.board.unreadable();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].key.as_str(), Some(&*key(job.id(), "data")));
        assert!(
            told[0].why.contains("other keys of the job"),
            "{}",
            told[0].why
        );
        assert_eq!(scene.board.jobs().count(), 1);
        let listed = scene.listed_by_them().await;
        assert_eq!((listed.len(), listed[0].uuid), (1, other.uuid()));
    })
    .await;
}

#[tokio::test]
async fn trash_that_they_leave_half_done_is_in_the_trash_and_runs_again() {
    on_each(async |scene| {
        let auditor = auditor(scene).await;
        let mut events = scene.board.events(EventKind::Released).unwrap();
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        let mut dying = TaskFlow::start(&scene.etcd, BOARD).await;
        let () = dying.ask("claim", briefly(&job)).await;
        dying
            .hold_before("delete_prefix", "trash", by("python", &job))
            .await;
        dying.kill().await;
        events.next().await.unwrap();
        assert_broken(&auditor, scene, Promise::Kept).await;

        let found = scene.board.trash_review().list().await.unwrap();
        assert_eq!((found.jobs.len(), found.jobs[0].uuid()), (1, job.uuid()));
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.consume().await.unwrap();
        // Where it is found is all that tells how it ended.
        assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Trashed(None));
    })
    .await;
}

#[tokio::test]
async fn late_claim_of_theirs_leaves_a_time_without_a_job_which_is_told() {
    on_each(async |scene| {
        let mut events = scene.board.events(EventKind::Released).unwrap();
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        scene
            .theirs
            .hold_before("put", "claim", briefly(&job))
            .await;
        events.next().await.unwrap();
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.consume().await.unwrap();
        // They believe that they have it.
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        let refused = scene.theirs.try_to("consume", by("python", &job)).await;
        assert_eq!(refused.unwrap_err().error, "NotFound");

        let left = scene.keys(&key(job.id(), "")).await;
        assert_eq!(
            (left.len(), &left[0].0),
            (1, &key(job.id(), "last_modified"))
        );
        assert_eq!(scene.unreadable().await, [key(job.id(), "data")]);
    })
    .await;
}

#[tokio::test]
async fn job_that_they_post_under_a_number_that_is_taken_is_nowhere() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        let record = scene.record(&key(job.id(), "data")).await;
        let counter = format!("/taskflow/jobs/{BOARD}/sequence");
        scene.put(&counter, job.id().get() - 1).await;
        let shown: Shown = scene.theirs.ask("post", json!({"name": "b"})).await;
        assert_eq!(shown.sequence, job.id().get());
        scene.board.fresh_jobs().await.unwrap();
        assert!(scene.board.find(shown.uuid).is_none());
        assert_eq!(scene.record(&key(job.id(), "data")).await, record);
    })
    .await;
}

#[tokio::test]
async fn job_that_they_trash_under_a_number_that_the_trash_has_is_kept_nowhere() {
    on_each(async |scene| {
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        let other = posting();
        scene.put(&trash(job.id()), &other).await;
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let () = scene.theirs.ask("trash", by("python", &job)).await;
        assert_eq!(scene.keys(&key(job.id(), "")).await, []);
        assert_eq!(scene.keys(&trash("")).await, [(trash(job.id()), other)]);
    })
    .await;
}

#[tokio::test]
async fn what_we_know_of_a_job_does_not_keep_them_from_it() {
    on_each(async |scene| {
        let delayed = NewJob::new("delayed").delay(Duration::from_hours(1));
        let delayed = scene.board.post(delayed).await.unwrap();
        let tried = NewJob::new("tried").max_attempts(1);
        let tried = scene.board.post(tried).await.unwrap();
        let claim = scene.board.claim(&tried, "rust").await.unwrap();
        claim.abandon().await.unwrap();
        let cancelled = scene.board.post(NewJob::new("cancelled")).await.unwrap();
        let claim = scene.board.claim(&cancelled, "rust").await.unwrap();
        scene
            .board
            .cancel(&cancelled, "operator", None)
            .await
            .unwrap();
        claim.abandon().await.unwrap();
        scene.board.pause("operator", None).await.unwrap();
        for job in [delayed, tried, cancelled] {
            let () = scene.theirs.ask("claim", by("python", &job)).await;
            let () = scene.theirs.ask("consume", by("python", &job)).await;
            assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Consumed(None));
        }
    })
    .await;
}

#[tokio::test]
async fn released_claim_of_theirs_believes_on_and_can_change_nothing() {
    on_each(async |scene| {
        for expiry in [json!(null), json!(60)] {
            let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
            let mut order = by("python", &job);
            order["expiry"] = expiry.clone();
            let () = scene.theirs.ask("claim", order).await;
            // It learns of its lease while it holds the job.
            let _: i64 = scene.theirs.ask("expires_in", of(&job)).await;
            scene.board.fresh_jobs().await.unwrap();
            let token = scene.board.holder(job.id()).unwrap().token;
            scene.board.release(job.id(), token, None).await.unwrap();
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            if expiry.is_number() {
                // Its lease is what is asked, and not whether the job is still its own.
                let extended: bool = scene.theirs.ask("extend_expiry", of(&job)).await;
                assert!(extended);
            }
            let refused = scene.theirs.try_to("consume", by("python", &job)).await;
            assert_eq!(refused.unwrap_err().error, "JobFailure");
            assert!(claim.is_held());
            claim.consume().await.unwrap();
        }
        assert_eq!(scene.keys(&trash("")).await, []);
    })
    .await;
}
