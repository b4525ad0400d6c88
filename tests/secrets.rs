//! The details and the results of jobs can carry secrets: they are in no log and in no `Debug` or `Display`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/log.rs"]
mod log;

use std::{
    fmt::{Debug, Write as _},
    sync::Arc,
};

use jobboard::{
    Ended, Event, EventKinds, JobBoard, NewJob, Notification, Outcome,
    store::{Key, Memory, Store, StoreExt},
};
use serde_json::json;

use self::log::Log;

const SECRET: &str = "hunter2";

async fn leave_a_result(board: &JobBoard, show: &mut impl FnMut(&dyn Debug)) {
    let job = board.post(NewJob::new("n")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    let too_long = json!(SECRET.repeat(64 << 10));
    show(&claim.consume_with(too_long).await.unwrap_err());
    let result = json!({"token": SECRET});
    claim.consume_with(result.clone()).await.unwrap();
    show(&claim);
    show(&claim.consume_with(result.clone()).await.unwrap_err());
    let ended = job.wait(None).await.unwrap();
    show(&ended);
    show(&Outcome::ConsumeWith(result.clone()));
    assert_eq!(ended, Ended::Consumed(Some(result)));
}

/// Claims a job beside which a later version keeps what is not known here.
async fn claim_beside_what_is_not_known(
    store: &Arc<dyn Store>,
    board: &JobBoard,
    show: &mut impl FnMut(&dyn Debug),
) {
    let job = board.post(NewJob::new("n")).await.unwrap();
    let state = Key::new(format!("/taskflow/jobs/images/job{}.state", job.id())).unwrap();
    let later = json!({"attempts": 1, "later": {"token": SECRET}});
    store
        .put(state.clone(), later.to_string().into())
        .await
        .unwrap();
    board.fresh_jobs().await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    assert_eq!(claim.attempt(), 2);
    show(&claim);
    let kept = store.get(state).await.unwrap().unwrap().value;
    assert!(String::from_utf8_lossy(&kept).contains(SECRET));
    claim.consume().await.unwrap();
}

#[tokio::test]
async fn details_and_results_are_in_no_log_and_in_no_debug_output() {
    let log = Log::of_the_process();
    let mut shown = String::new();
    let mut show = |it: &dyn Debug| writeln!(shown, "{it:?} {it:#?}").unwrap();

    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let board = JobBoard::builder("images").store(Arc::clone(&store));
    show(&board);
    let board = board.connect().await.unwrap();
    let mut events = board.events(EventKinds::ANY).unwrap();
    let fails = |told: &Notification| -> Result<(), String> { Err(format!("{told:?}")) };
    board.notifier().register(EventKinds::ANY, fails);
    let new = || NewJob::new("n").details(json!({"password": SECRET}));
    show(&new());

    let job = board.post(new()).await.unwrap();
    show(&job.details_as::<Vec<u8>>().unwrap_err());
    let claim = board.claim(&job, "one").await.unwrap();
    claim.abandon().await.unwrap();
    show(&claim.consume().await.unwrap_err());
    show(&claim);
    let claim = board.claim(&job, "one").await.unwrap();
    claim.trash("broken").await.unwrap();
    leave_a_result(&board, &mut show).await;
    claim_beside_what_is_not_known(&store, &board, &mut show).await;
    drop(board.claim(&board.post(new()).await.unwrap(), "two").await);
    for (number, broken) in [(7, "hunter2"), (8, r#"{"uuid": "hunter2"}"#)] {
        let key = Key::new(format!("/taskflow/jobs/images/job{number}.data")).unwrap();
        store.put(key, broken.into()).await.unwrap();
    }
    let jobs = board.fresh_jobs().await.unwrap();
    show(&jobs);
    for job in jobs {
        show(&(&job, job.to_string(), job.board()));
    }
    show(&board.unreadable());
    loop {
        let told = events.next().await.unwrap();
        show(&told);
        if let Event::Trashed(trashed) = &told.event {
            assert_eq!(trashed.details()["password"], json!(SECRET));
            show(&trashed.to_string());
            break;
        }
    }
    review(&store, &board, &mut show).await;
    board.close().await;

    let log = log.text();
    for needed in [
        "session opened",
        "granted a lease for results",
        "a callback failed",
        "can not be read",
    ] {
        assert!(log.contains(needed), "{needed:?} is not in the log: {log}");
    }
    assert!(!log.contains(SECRET), "{log}");
    assert!(!shown.contains(SECRET), "{shown}");
}

/// Reviews the trash, and shows what that tells.
async fn review(store: &Arc<dyn Store>, board: &JobBoard, show: &mut impl FnMut(&dyn Debug)) {
    let review = board.trash_review();
    for unreadable in board.unreadable() {
        review.quarantine(&unreadable, "ops", None).await.unwrap();
        show(
            &review
                .quarantine(&unreadable, "ops", None)
                .await
                .unwrap_err(),
        );
    }
    let broken = Key::new("/taskflow/.trash/images/job9").unwrap();
    store.put(broken, SECRET.into()).await.unwrap();
    let list = review.list().await.unwrap();
    assert_eq!((list.quarantined.len(), list.unreadable.len()), (2, 1));
    show(&(&list, &review));
    let trashed = &list.jobs[0];
    show(&trashed.details_as::<Vec<u8>>().unwrap_err());
    show(&review.restore(trashed).await.unwrap());
    show(&review.restore(trashed).await.unwrap_err());
}
