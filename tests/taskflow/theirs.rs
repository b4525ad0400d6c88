//! What TaskFlow posts, claims and settles, as it is seen here.

use jobboard::{Ended, ErrorKind, Event, EventKind, Job, JobPriority, JobState};
use serde_json::{Value, json};

use crate::scene::{PATIENCE, Scene, by, key, of, on_each, trash};

/// Names and texts that are easily broken on the way.
pub(crate) const TEXTS: [&str; 5] = [
    "plain",
    "",
    "größe ßtraße 作業 🧰",
    "e\u{301} \u{202e}rtl \u{feff}",
    "quote \" backslash \\ newline \n tab \t nul \0 del \u{7f}",
];

pub(crate) const PRIORITIES: [JobPriority; 5] = [
    JobPriority::VeryHigh,
    JobPriority::High,
    JobPriority::Normal,
    JobPriority::Low,
    JobPriority::VeryLow,
];

/// Details of every kind that JSON has.
pub(crate) fn details(text: &str) -> Value {
    json!({
        text: text,
        "nested": {"list": [1, -2, 3.5, 1e40, true, null, [], {}], "text": [text]},
        "big": u64::MAX,
        "small": i64::MIN,
    })
}

#[tokio::test]
async fn job_of_theirs_is_here_as_it_was_posted() {
    on_each(async |scene| {
        for text in TEXTS {
            for priority in PRIORITIES {
                let posted = json!({
                    "name": text, "details": details(text), "priority": priority,
                });
                let (job, shown) = scene.posted_by_them(posted).await;
                assert_eq!(job.name(), text);
                assert_eq!(Value::Object(job.details()), details(text));
                assert_eq!(job.priority(), priority);
                assert_eq!((job.uuid(), job.id().get()), (shown.uuid, shown.sequence));
                assert_eq!((job.book_name(), job.book_uuid()), (None, None));
                assert_eq!((job.state(), job.attempts()), (JobState::Unclaimed, 0));
            }
        }
        assert_eq!(scene.board.job_count(), TEXTS.len() * PRIORITIES.len());
        assert_eq!(scene.board.unreadable(), []);
    })
    .await;
}

#[tokio::test]
async fn job_of_theirs_without_details_and_with_large_ones_is_here() {
    on_each(async |scene| {
        for nothing in [Value::Null, json!({})] {
            let (job, shown) = scene
                .posted_by_them(json!({"name": "a", "details": nothing}))
                .await;
            assert!(job.details().is_empty());
            assert_eq!(shown.details, json!({}));
        }
        // A MiB, but for what else is in a posting. They write what is not ASCII in six bytes.
        let large = json!({"text": "x".repeat((1 << 20) - 512)});
        let (job, _) = scene
            .posted_by_them(json!({"name": "large", "details": large}))
            .await;
        assert_eq!(Value::Object(job.details()), large);
    })
    .await;
}

#[tokio::test]
async fn job_of_theirs_has_its_time_and_a_claim_of_theirs_moves_it() {
    on_each(async |scene| {
        let (job, shown) = scene.posted_by_them(json!({"name": "a"})).await;
        // They write it down, and show nothing of it themselves.
        assert_eq!(shown.created_on, None);
        let records = scene.keys(&key(job.id(), "data")).await;
        assert_eq!(records[0].1["created_on"], written(job.created_on()));
        assert_eq!(job.last_modified(), job.created_on());

        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let looked = scene.looked_up_by_them(&job).await;
        scene.board.fresh_jobs().await.unwrap();
        assert_eq!(looked.last_modified, Some(written(job.last_modified())));
        assert!(job.last_modified() > job.created_on());
    })
    .await;
}

#[tokio::test]
async fn jobs_of_theirs_are_iterated_and_waited_for() {
    on_each(async |scene| {
        let waiting = scene.board.clone();
        let waiting = tokio::spawn(async move { waiting.wait(PATIENCE).await });
        let mut posted = Vec::new();
        for priority in ["LOW", "VERY_HIGH", "NORMAL", "VERY_HIGH"] {
            let job = json!({"name": "a", "priority": priority});
            posted.push(scene.posted_by_them(job).await.1.sequence);
        }
        let came = waiting.await.unwrap().unwrap().unwrap();
        assert!(came.count() > 0);
        let [low, first, normal, second] = posted[..] else {
            panic!("{posted:?}")
        };
        let ours: Vec<_> = scene.board.jobs().map(|job| job.id().get()).collect();
        assert_eq!(ours, [first, second, normal, low]);
    })
    .await;
}

#[tokio::test]
async fn claim_of_theirs_keeps_us_out_and_is_named() {
    on_each(async |scene| {
        for (expiry, leased) in [(json!(60), true), (Value::Null, false)] {
            let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
            let mut claim = by("pythön 7", &job);
            claim["expiry"] = expiry;
            let () = scene.theirs.ask("claim", claim).await;
            let refused = scene.board.claim(&job, "rust").await.unwrap_err();
            let owner = Some("pythön 7");
            assert_eq!(
                (refused.kind(), refused.owner()),
                (ErrorKind::Claimed, owner)
            );

            scene.board.fresh_jobs().await.unwrap();
            assert_eq!(job.state(), JobState::Claimed);
            assert_eq!(scene.board.find_owner(&job).as_deref(), owner);
            let holder = scene.board.holder(job.id()).unwrap();
            assert_eq!((holder.name.as_deref(), holder.session), (owner, None));
            assert_eq!(holder.leased, leased);
            assert_eq!(scene.board.jobs().only_unclaimed().count(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn job_that_they_settle_has_ended_here() {
    on_each(async |scene| {
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let (waiting, order) = (job.wait(PATIENCE), by("python", &job));
        let (ended, ()) = tokio::join!(waiting, scene.theirs.ask("consume", order));
        assert_eq!(ended.unwrap(), Ended::Consumed(None));
        assert_eq!(job.state(), JobState::Complete);

        let mut events = scene.board.events(EventKind::Released).unwrap();
        let (job, _) = scene.posted_by_them(json!({"name": "b"})).await;
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let () = scene.theirs.ask("abandon", by("python", &job)).await;
        let told = events.next().await.unwrap().event;
        assert!(matches!(told, Event::Released { died: false, .. }));
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        assert_eq!(claim.attempt(), 1);
        claim.consume().await.unwrap();
        // Nothing of either is left.
        let left = scene.keys(&key("", "").replace('.', "")).await;
        assert!(left.iter().all(|(key, _)| key.ends_with("job0.barrier")));
    })
    .await;
}

#[tokio::test]
async fn job_that_they_trash_is_in_our_trash_and_comes_back_to_them() {
    on_each(async |scene| {
        let posted = json!({"name": "a ß", "details": details("ß"), "priority": "HIGH"});
        let (job, before) = scene.posted_by_them(posted).await;
        let record = scene.keys(&key(job.id(), "data")).await;
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let (waiting, order) = (job.wait(PATIENCE), by("python", &job));
        let (ended, ()) = tokio::join!(waiting, scene.theirs.ask("trash", order));
        assert_eq!(ended.unwrap(), Ended::Trashed(None));

        let review = scene.board.trash_review();
        let found = review.list().await.unwrap();
        assert_eq!((found.jobs.len(), found.unreadable.len()), (1, 0));
        let trashed = &found.jobs[0];
        assert_eq!((trashed.uuid(), trashed.name()), (job.uuid(), "a ß"));
        assert_eq!(Value::Object(trashed.details()), details("ß"));
        // They do not say.
        assert_eq!((trashed.reason(), trashed.trashed_by()), (None, None));
        assert_eq!((trashed.trashed_on(), trashed.attempts()), (None, None));

        review.restore(trashed).await.unwrap();
        assert_eq!(scene.listed_by_them().await, [before]);
        assert_eq!(scene.keys(&key(job.id(), "data")).await, record);
        assert_eq!(scene.keys(&trash(job.id())).await, []);
    })
    .await;
}

#[tokio::test]
async fn claim_of_theirs_is_settled_by_its_owners_name() {
    on_each(async |scene| {
        for verb in ["consume", "abandon", "trash"] {
            let (job, _) = scene.posted_by_them(json!({"name": verb})).await;
            let () = scene.theirs.ask("claim", by("python", &job)).await;
            let other = scene.board.consume(&job, "rust").await.unwrap_err();
            assert_eq!(other.kind(), ErrorKind::NotOwner);
            let settled = match verb {
                "consume" => scene.board.consume(&job, "python").await,
                "abandon" => scene.board.abandon(&job, "python").await,
                _ => scene.board.trash(&job, "python", Some("bad")).await,
            };
            settled.unwrap();
            let state = scene.looked_up_by_them(&job).await.state;
            assert_eq!(
                state == JobState::Unclaimed,
                verb == "abandon",
                "{verb}: {state}"
            );
        }
        assert_eq!(scene.keys(&trash("")).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn claim_of_theirs_whose_time_is_up_is_ours_to_make() {
    on_each(async |scene| {
        let mut events = scene.board.events(EventKind::Released).unwrap();
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        claimed_for(scene, &job, 1).await;
        assert!(expires_in(scene, &job).await <= 2);
        events.next().await.unwrap();
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        // What they did not count is not counted.
        assert_eq!((claim.attempt(), job.is_suspect()), (1, false));
        claim.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn time_of_a_claim_of_theirs_is_put_off_by_what_it_was_made_with() {
    on_each(async |scene| {
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        claimed_for(scene, &job, 5).await;
        let extended: bool = scene.theirs.ask("extend_expiry", of(&job)).await;
        assert!(extended);
        // They asked for 60.
        assert!(expires_in(scene, &job).await <= 5);
    })
    .await;
}

#[tokio::test]
async fn time_of_their_second_claim_of_a_job_is_told_and_put_off_as_that_of_the_first() {
    on_each(async |scene| {
        let mut events = scene.board.events(EventKind::Released).unwrap();
        let (job, _) = scene.posted_by_them(json!({"name": "a"})).await;
        claimed_for(scene, &job, 60).await;
        assert!(expires_in(scene, &job).await > 10);
        let () = scene.theirs.ask("abandon", by("python", &job)).await;
        events.next().await.unwrap();
        // The lease of the first claim lives on, and is what they ask.
        claimed_for(scene, &job, 2).await;
        assert!(expires_in(scene, &job).await > 10);
        let extended: bool = scene.theirs.ask("extend_expiry", of(&job)).await;
        assert!(extended);
        events.next().await.unwrap();
        assert_eq!(job.state(), JobState::Unclaimed);

        let (job, _) = scene.posted_by_them(json!({"name": "b"})).await;
        claimed_for(scene, &job, 1).await;
        assert!(expires_in(scene, &job).await <= 2);
        events.next().await.unwrap();
        claimed_for(scene, &job, 60).await;
        assert_eq!(expires_in(scene, &job).await, -1);
        let extended: bool = scene.theirs.ask("extend_expiry", of(&job)).await;
        assert!(!extended);
        scene.board.fresh_jobs().await.unwrap();
        assert!(scene.board.holder(job.id()).unwrap().leased);
    })
    .await;
}

/// TaskFlow claims a job for so many seconds.
async fn claimed_for(scene: &mut Scene, job: &Job, expiry: u32) {
    let mut claim = by("python", job);
    claim["expiry"] = json!(expiry);
    let () = scene.theirs.ask("claim", claim).await;
}

/// In how many seconds a claim of theirs ends, as they say.
async fn expires_in(scene: &mut Scene, job: &Job) -> i64 {
    scene.theirs.ask("expires_in", of(job)).await
}

/// A time as TaskFlow writes it.
pub(crate) fn written(time: Option<chrono::DateTime<chrono::Utc>>) -> String {
    time.unwrap().format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}
