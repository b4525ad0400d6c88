//! Records that TaskFlow's clients can not read, and what comes of them there and here.

use jobboard::{Ended, NewJob};
use serde_json::{Value, json};

use crate::{
    foreign::{UUID, posting, without},
    python::Shown,
    scene::{PATIENCE, Scene, key, on_each},
};

/// A posting that TaskFlow can not read.
struct Malformed {
    record: String,
    /// What its clients raise.
    error: &'static str,
    /// Whether this library can read it.
    reads: bool,
}

/// One of each kind.
fn postings() -> [Malformed; 5] {
    let mut urgent = posting();
    urgent["priority"] = json!("URGENT");
    let malformed = |record: Value, error| Malformed {
        record: record.to_string(),
        error,
        reads: false,
    };
    [
        Malformed {
            record: "no JSON".to_owned(),
            error: "JobFailure",
            reads: false,
        },
        Malformed {
            reads: true,
            ..malformed(without("sequence"), "KeyError")
        },
        malformed(without("uuid"), "KeyError"),
        malformed(urgent, "ValueError"),
        malformed(json!([]), "TypeError"),
    ]
}

/// Locks that TaskFlow's clients can not read, and what they raise.
const LOCKS: [(&str, &str); 3] = [
    ("x", "JSONDecodeError"),
    ("{}", "KeyError"),
    ("null", "TypeError"),
];

/// Moves the posting out of the way.
async fn mend(scene: &Scene) {
    scene.board.fresh_jobs().await.unwrap();
    let review = scene.board.trash_review();
    for told in scene.board.unreadable() {
        review.quarantine(&told, "operator", None).await.unwrap();
    }
    if let Some(job) = scene.board.find(UUID.parse().unwrap()) {
        let claim = scene.board.claim(&job, "operator").await.unwrap();
        claim.trash("TaskFlow can not read it").await.unwrap();
    }
}

#[tokio::test]
async fn posting_that_stops_their_boards_is_told_here_and_stops_nothing() {
    on_each(async |scene| {
        for bad in postings() {
            let () = scene.theirs.ask("reconnect", json!({})).await;
            assert_eq!(scene.listed_by_them().await, []);
            scene.put(&key(77, "data"), &bad.record).await;
            let good = scene.board.post(NewJob::new("good")).await.unwrap();

            // Their watch is over: nobody tells them of what is posted from now on.
            let waited = scene.theirs.try_to("wait", json!({"timeout": 1})).await;
            assert_eq!(waited.unwrap_err().error, "NotFound", "{}", bad.record);
            assert_eq!(scene.known_to_them().await, []);
            let stopped = scene.theirs.try_to("list", json!({})).await;
            assert_eq!(stopped.unwrap_err().error, bad.error, "{}", bad.record);

            let told: &[_] = if bad.reads { &[] } else { &[key(77, "data")] };
            assert_eq!(scene.unreadable().await, told, "{}", bad.record);
            assert!(scene.board.jobs().any(|job| job.uuid() == good.uuid()));
            let claim = scene.board.claim(&good, "rust").await.unwrap();

            // A person moves it out of the way here, and TaskFlow goes on.
            mend(scene).await;
            let listed = scene.listed_by_them().await;
            assert_eq!((listed.len(), listed[0].uuid), (1, good.uuid()));
            claim.consume().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn lock_that_stops_their_iteration_is_told_here_and_stops_nothing() {
    on_each(async |scene| {
        for (lock, error) in LOCKS {
            let () = scene.theirs.ask("reconnect", json!({})).await;
            assert_eq!(scene.listed_by_them().await, []);
            let held = scene.board.post(NewJob::new("held")).await.unwrap();
            scene.put(&key(held.id(), "lock"), lock).await;
            let good = scene.board.post(NewJob::new("good")).await.unwrap();
            let stopped = scene.theirs.try_to("list", json!({})).await;
            assert_eq!(stopped.unwrap_err().error, error, "{lock}");

            assert_eq!(scene.unreadable().await, [key(held.id(), "lock")]);
            let claim = scene.board.claim(&good, "rust").await.unwrap();
            claim.consume().await.unwrap();
            let token = scene.board.holder(held.id()).unwrap().token;
            scene.board.release(held.id(), token, None).await.unwrap();
            // Their watch goes on.
            let after = scene.board.post(NewJob::new("after")).await.unwrap();
            let is_after = |shown: &Shown| shown.uuid == after.uuid();
            while !scene.known_to_them().await.iter().any(is_after) {}
            for job in [held, after] {
                let claim = scene.board.claim(&job, "rust").await.unwrap();
                claim.consume().await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn conductor_of_theirs_ends_at_a_record_that_it_can_not_read() {
    on_each(async |scene| {
        for bad in postings().into_iter().skip(1) {
            scene.put(&key(77, "data"), &bad.record).await;
            assert_eq!(ended(scene).await, bad.error, "{}", bad.record);
            mend(scene).await;
        }
        let job = scene.board.post(NewJob::new("held")).await.unwrap();
        for (lock, error) in LOCKS {
            scene.put(&key(job.id(), "lock"), lock).await;
            assert_eq!(ended(scene).await, error, "{lock}");
        }
    })
    .await;
}

/// What a conductor of theirs ends with.
async fn ended(scene: &mut Scene) -> String {
    let conducting = json!({"who": "conductor"});
    let ended = scene.theirs.try_to("conduct", conducting).await;
    ended.unwrap_err().error
}

#[tokio::test]
async fn conductor_of_theirs_goes_on_after_a_posting_that_is_no_json() {
    on_each(async |scene| {
        scene.put(&key(77, "data"), "no JSON").await;
        let job = scene.board.post(NewJob::new("no book")).await.unwrap();
        // It would delete the posting, in each of its iterations.
        let calls = ["delete", "delete"];
        let conducting = json!({"who": "conductor"});
        scene
            .theirs
            .hold_before_each(&calls, "conduct", conducting)
            .await;
        scene.theirs.go_on_until_before("delete").await;
        assert_eq!(scene.unreadable().await, [key(77, "data")]);
        mend(scene).await;
        assert_eq!(scene.theirs.go_on().await, Ok(json!(null)));
        assert_eq!(job.wait(PATIENCE).await.unwrap(), Ended::Trashed(None));
    })
    .await;
}
