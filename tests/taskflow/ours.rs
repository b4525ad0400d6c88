//! What we post, claim and settle, as TaskFlow sees it.

use std::time::Duration;

use jobboard::{Job, JobPriority, JobState, NewJob};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    python::Shown,
    scene::{by, key, of, on_each, trash},
    theirs::{PRIORITIES, TEXTS, details, written},
};

/// What TaskFlow is to show of a job of ours.
fn as_posted(job: &Job) -> Shown {
    Shown {
        uuid: job.uuid(),
        name: job.name().to_owned(),
        details: Value::Object(job.details()),
        priority: job.priority(),
        sequence: job.id().get(),
        book_name: job.book_name().map(str::to_owned),
        book_uuid: job.book_uuid(),
        // TaskFlow shows none of any job on etcd.
        created_on: None,
    }
}

#[tokio::test]
async fn job_of_ours_is_there_as_it_was_posted() {
    on_each(async |scene| {
        // An empty name is TaskFlow's alone.
        for text in TEXTS.into_iter().filter(|text| !text.is_empty()) {
            for priority in PRIORITIES {
                let new = NewJob::new(text).details(details(text)).priority(priority);
                let job = scene.board.post(new).await.unwrap();
                let listed = scene.listed_by_them().await;
                let shown = listed.iter().find(|shown| shown.uuid == job.uuid());
                assert_eq!(shown, Some(&as_posted(&job)));
                assert_eq!(Value::Object(job.details()), details(text));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn job_of_ours_without_details_and_with_large_ones_is_there() {
    on_each(async |scene| {
        let empty = scene.board.post(NewJob::new("empty")).await.unwrap();
        let large = json!({"text": "ä".repeat((1 << 19) - 256)});
        let new = NewJob::new("large").details(large.clone());
        let large = scene.board.post(new).await.unwrap();
        let shown = [as_posted(&empty), as_posted(&large)];
        assert_eq!(scene.listed_by_them().await, shown);
    })
    .await;
}

#[tokio::test]
async fn job_with_all_that_we_know_and_they_do_not_is_there() {
    on_each(async |scene| {
        let new = NewJob::new("a")
            .max_attempts(3)
            .delay(Duration::from_hours(1))
            .backoff(jobboard::Backoff::default())
            .unique("account/7");
        let job = scene.board.post(new).await.unwrap();
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.progress(0.5, Some("halfway")).await.unwrap();
        claim.abandon().await.unwrap();
        assert_eq!(scene.listed_by_them().await, [as_posted(&job)]);
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        let () = scene.theirs.ask("consume", by("python", &job)).await;
        // What they do not know of a job goes with it, and its unique key is free.
        assert_eq!(scene.keys(&key(job.id(), "")).await, []);
        let again = NewJob::new("a").unique("account/7");
        assert!(!scene.board.post(again).await.unwrap().existed());
    })
    .await;
}

#[tokio::test]
async fn jobs_of_ours_are_iterated_lowest_first_and_waited_for() {
    on_each(async |scene| {
        scene.theirs.order("wait", json!({"timeout": 30})).await;
        let mut posted = Vec::new();
        for priority in [
            JobPriority::Low,
            JobPriority::VeryHigh,
            JobPriority::Normal,
            JobPriority::VeryHigh,
        ] {
            let new = NewJob::new("a").priority(priority);
            posted.push(scene.board.post(new).await.unwrap().id().get());
        }
        let came = scene.theirs.answer().await.unwrap();
        assert_ne!(came.as_array().unwrap().len(), 0);
        let [low, first, normal, second] = posted[..] else {
            panic!("{posted:?}")
        };
        let listed = scene.listed_by_them().await;
        let listed: Vec<_> = listed.iter().map(|shown| shown.sequence).collect();
        assert_eq!(listed, [low, normal, first, second]);
    })
    .await;
}

#[tokio::test]
async fn claim_of_ours_keeps_them_out_and_is_named() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        let claim = scene.board.claim(&job, "rüst 7").await.unwrap();
        scene.board.fresh_jobs().await.unwrap();
        let looked = scene.looked_up_by_them(&job).await;
        assert_eq!(
            (looked.state, looked.owner.as_deref()),
            (JobState::Claimed, Some("rüst 7"))
        );
        assert_eq!(looked.last_modified, Some(written(job.last_modified())));
        let refused = scene.theirs.try_to("claim", by("python", &job)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.error, "UnclaimableJob");
        assert!(refused.says.contains("'rüst 7'"), "{}", refused.says);
        for verb in ["consume", "abandon", "trash"] {
            let refused = scene.theirs.try_to(verb, by("python", &job)).await;
            assert_eq!(refused.unwrap_err().error, "JobFailure", "{verb}");
        }
        let unclaimed: Vec<Shown> = {
            let order = json!({"only_unclaimed": true});
            scene.theirs.ask("list", order).await
        };
        assert_eq!(unclaimed, []);
        assert!(claim.is_held());
        claim.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn claim_of_ours_has_a_time_that_they_can_read_and_put_off() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        let expires_in: i64 = scene.theirs.ask("expires_in", of(&job)).await;
        assert!((1..=10).contains(&expires_in), "{expires_in}");
        // It is not theirs, and they put it off.
        let extended: bool = scene.theirs.ask("extend_expiry", of(&job)).await;
        assert!(extended && claim.is_held());
        claim.consume().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn jobs_of_one_priority_go_by_number_there_and_by_when_they_were_posted_here() {
    on_each(async |scene| {
        let mut posted = Vec::new();
        // Numbers are taken in blocks here, and that of the last of these is not used up.
        for _ in 0..10 {
            let job = scene.board.post(NewJob::new("a")).await.unwrap();
            posted.push(job.id().get());
        }
        let (_, theirs) = scene.posted_by_them(json!({"name": "b"})).await;
        let late = scene.board.post(NewJob::new("c")).await.unwrap();
        assert!(late.id().get() < theirs.sequence);
        posted.extend([theirs.sequence, late.id().get()]);

        let here = scene.board.fresh_jobs().await.unwrap();
        let here = here.map(|job| job.id().get());
        assert_eq!(here.collect::<Vec<_>>(), posted);
        let listed = scene.listed_by_them().await;
        let there: Vec<_> = listed.iter().map(|shown| shown.sequence).collect();
        posted.sort_unstable();
        assert_eq!(there, posted);
    })
    .await;
}

#[tokio::test]
async fn job_that_we_settle_has_ended_there() {
    on_each(async |scene| {
        for verb in ["consume", "trash"] {
            let job = scene.board.post(NewJob::new(verb)).await.unwrap();
            let claim = scene.board.claim(&job, "rust").await.unwrap();
            assert_eq!(scene.listed_by_them().await, [as_posted(&job)]);
            let waiting = json!({"uuid": job.uuid(), "timeout": 30});
            scene.theirs.order("wait_for", waiting).await;
            match verb {
                "consume" => claim.consume().await.unwrap(),
                _ => claim.trash("no such file").await.unwrap(),
            };
            assert_eq!(scene.theirs.answer().await, Ok(json!(true)));
            assert_eq!(scene.listed_by_them().await, []);
        }
        let records = scene.keys(&trash("")).await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].1["name"], "trash");
    })
    .await;
}

#[tokio::test]
async fn job_that_we_give_back_is_theirs_to_claim() {
    on_each(async |scene| {
        let job = scene.board.post(NewJob::new("a")).await.unwrap();
        let claim = scene.board.claim(&job, "rust").await.unwrap();
        claim.abandon().await.unwrap();
        let state = scene.looked_up_by_them(&job).await.state;
        assert_eq!(state, JobState::Unclaimed);
        let () = scene.theirs.ask("claim", by("python", &job)).await;
        scene.board.fresh_jobs().await.unwrap();
        let owner = scene.board.find_owner(&job);
        assert_eq!(owner.as_deref(), Some("python"));
        // Only ours are counted.
        assert_eq!(job.attempts(), 1);
        let () = scene.theirs.ask("consume", by("python", &job)).await;
        assert_eq!(scene.keys(&key(job.id(), "")).await, []);
    })
    .await;
}

#[tokio::test]
async fn numbers_are_given_once_whoever_posts() {
    on_each(async |scene| {
        let (board, theirs) = (&scene.board, &mut scene.theirs);
        let ours = async {
            let new = |number| NewJob::new(format!("rust-{number}"));
            for part in 0..10 {
                for posted in board.post_many((part * 10..part * 10 + 10).map(new)).await {
                    posted.unwrap();
                }
            }
        };
        let order = json!({"prefix": "python", "numbers": [0, 100]});
        let ((), theirs): ((), Vec<Uuid>) = tokio::join!(ours, theirs.ask("post_many", order));
        assert_eq!(theirs.len(), 100);
        let jobs = scene.board.fresh_jobs().await.unwrap();
        let mut names: Vec<_> = jobs.map(|job| job.name().to_owned()).collect();
        let mut expected: Vec<_> = ["rust", "python"]
            .into_iter()
            .flat_map(|who| (0..100).map(move |number| format!("{who}-{number}")))
            .collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
    })
    .await;
}
