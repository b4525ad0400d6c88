//! What a board tells of what happens on it, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use jobboard::{
    CallbackOutcome, Ended, ErrorKind, Event, EventKind, EventKinds, Events, NewJob, Notification,
    Notifier,
    store::{Key, LeaseId, Memory, Store, StoreExt},
};
use serde_json::json;
use tokio::sync::mpsc;

use self::support::{board, builder, stories};

stories! {
    every_step_of_a_job_is_told_once_and_in_order
    what_is_told_can_be_seen
    job_of_a_dead_owner_is_told_as_such
    trashed_job_is_told_with_its_reason
    progress_is_told_and_ends_with_the_claim
    bad_progress_is_refused_and_changes_nothing
    only_what_was_asked_for_is_told
    owner_that_changed_while_nobody_looked_is_not_guessed
    callback_that_another_took_off_is_not_called_any_more
    callback_that_follows_others_hears_each_event_once
    failing_and_panicking_callbacks_harm_nobody
    callbacks_go_when_they_are_deregistered_and_at_a_reset
    filter_chooses_by_the_details
    callbacks_stay_over_a_reconnect_and_hear_what_they_missed
    stream_ends_with_the_board
}

/// An event in words: its kind, and the name of its job.
fn words(told: &Notification) -> String {
    let job = match &told.event {
        Event::Trashed(trashed) => trashed.name().to_owned(),
        _ => told.job().unwrap().name().to_owned(),
    };
    format!("{} {job}", told.kind())
}

async fn next(events: &mut Events) -> Notification {
    let next = tokio::time::timeout(Duration::from_secs(20), events.next());
    next.await.expect("an event is told").unwrap()
}

/// A callback that hands on what it is told, and where to read it.
fn listener() -> (
    impl Fn(&Notification) + Send + Sync + 'static,
    mpsc::Receiver<String>,
) {
    let (tell, told) = mpsc::channel(64);
    let callback = move |notification: &Notification| tell.try_send(words(notification)).unwrap();
    (callback, told)
}

async fn heard(told: &mut mpsc::Receiver<String>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(20), told.recv());
    next.await.expect("a callback is called").unwrap()
}

async fn every_step_of_a_job_is_told_once_and_in_order(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let mut events = board.events(EventKinds::ANY).unwrap();
    let job = other.post(NewJob::new("a")).await.unwrap();
    let claim = other.claim(&job, "one").await.unwrap();
    let abandoned = claim.abandon().await.unwrap();
    let claim = other.claim(&job, "two").await.unwrap();
    let consumed = claim.consume().await.unwrap();
    other.post(NewJob::new("b")).await.unwrap();

    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(next(&mut events).await);
    }
    let steps: Vec<_> = told.iter().map(words).collect();
    let wanted = [
        "POSTED a",
        "CLAIMED a",
        "RELEASED a",
        "CLAIMED a",
        "REMOVAL a",
        "POSTED b",
    ];
    assert_eq!(steps, wanted);
    assert!(told.is_sorted_by_key(|told| told.revision));
    assert_eq!((told[2].revision, told[4].revision), (abandoned, consumed));
    let owner_of = |index: usize| match &told[index].event {
        Event::Claimed { owner, .. } => owner.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!((owner_of(1), owner_of(3)), ("one".into(), "two".into()));
    match &told[2].event {
        Event::Released { owner, died, .. } => {
            assert_eq!((owner.as_deref(), *died), (Some("one"), false));
        }
        other => panic!("{other:?}"),
    }
    board.close().await;
    other.close().await;
}

async fn what_is_told_can_be_seen(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut events = board.events(EventKind::Posted).unwrap();
    for number in 0..50 {
        board.post(NewJob::new(format!("n{number}"))).await.unwrap();
        let told = next(&mut events).await;
        let job = told.job().unwrap();
        assert!(board.get(job.id()).is_some());
        assert!(board.revision() >= told.revision);
    }
    board.close().await;
}

async fn job_of_a_dead_owner_is_told_as_such(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let mut events = board.events(EventKind::Released).unwrap();
    let job = other.post(NewJob::new("a")).await.unwrap();
    let held = other.claim(&job, "one").await.unwrap();
    held.progress(0.5, None).await.unwrap();
    let lock = format!("/taskflow/jobs/images/job{}.lock", job.id());
    let lock = store.get(Key::new(lock).unwrap()).await.unwrap().unwrap();
    let lease: LeaseId = lock.lease.unwrap();
    store.revoke(lease).await.unwrap();
    match next(&mut events).await.event {
        Event::Released { owner, died, .. } => {
            assert_eq!((owner.as_deref(), died), (Some("one"), true));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(board.get(job.id()).unwrap().progress(), None);
    board.close().await;
    other.close().await;
}

async fn trashed_job_is_told_with_its_reason(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let trash = async |name: &str| {
        let job = board.post(NewJob::new(name)).await.unwrap();
        let claim = board.claim(&job, "one").await.unwrap();
        claim.trash("no such file").await.unwrap();
        assert_eq!(
            job.wait(None).await.unwrap(),
            Ended::Trashed(Some("no such file".to_owned()))
        );
    };
    trash("before").await;
    // The trash is first looked at when somebody listens: at what the board showed then.
    let mut events = board.events(EventKind::Trashed).unwrap();
    trash("after").await;
    let told = next(&mut events).await;
    let Event::Trashed(trashed) = &told.event else {
        panic!("{told:?}");
    };
    assert_eq!(trashed.name(), "after");
    assert_eq!(trashed.reason(), Some("no such file"));
    assert_eq!(
        (trashed.trashed_by(), trashed.attempts()),
        (Some("one"), Some(1))
    );
    assert_eq!(trashed.revision(), told.revision);
    board.close().await;
}

async fn progress_is_told_and_ends_with_the_claim(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let mut events = board.events(EventKind::Progress).unwrap();
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    claim.progress(0.25, Some("fetching")).await.unwrap();
    claim.progress(1.0, None).await.unwrap();
    for wanted in [(0.25, Some("fetching")), (1.0, None)] {
        match next(&mut events).await.event {
            Event::Progress { progress, .. } => {
                assert_eq!((progress.fraction, progress.message.as_deref()), wanted);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(job.progress().is_some());
    claim.abandon().await.unwrap();
    assert_eq!(
        claim.progress(0.5, None).await.unwrap_err().kind(),
        ErrorKind::Lost
    );
    board.fresh_jobs().await.unwrap();
    assert_eq!(job.progress(), None);
    board.close().await;
}

async fn bad_progress_is_refused_and_changes_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let refused = claim.progress(bad, None).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{bad}");
    }
    let long = "m".repeat(256);
    let refused = claim.progress(0.5, Some(&long)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    board.fresh_jobs().await.unwrap();
    assert_eq!(job.progress(), None);
    claim.consume().await.unwrap();
    board.close().await;
}

async fn only_what_was_asked_for_is_told(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let kinds = [EventKind::Posted, EventKind::Removal];
    let mut events = board.events(kinds).unwrap();
    let (callback, mut told) = listener();
    board.notifier().register(kinds, callback);
    let job = board.post(NewJob::new("a")).await.unwrap();
    let claim = board.claim(&job, "one").await.unwrap();
    claim.consume().await.unwrap();
    for wanted in ["POSTED a", "REMOVAL a"] {
        assert_eq!(words(&next(&mut events).await), wanted);
        assert_eq!(heard(&mut told).await, wanted);
    }
    board.close().await;
}

async fn owner_that_changed_while_nobody_looked_is_not_guessed(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = other.post(NewJob::new("a")).await.unwrap();
    let first = other.claim(&job, "one").await.unwrap();
    board.fresh_jobs().await.unwrap();
    let (tell, mut told) = mpsc::channel(64);
    board
        .notifier()
        .register(Notifier::ANY, move |told: &Notification| {
            tell.try_send(told.event.clone()).map_err(|e| e.to_string())
        });
    board.close().await;
    first.abandon().await.unwrap();
    let _second = other.claim(&job, "two").await.unwrap();
    board.connect().await.unwrap();
    match told.recv().await.unwrap() {
        Event::Released { owner, died, .. } => assert_eq!((owner, died), (None, false)),
        other => panic!("{other:?}"),
    }
    match told.recv().await.unwrap() {
        Event::Claimed { owner, .. } => assert_eq!(owner.as_deref(), Some("two")),
        other => panic!("{other:?}"),
    }
    board.close().await;
    other.close().await;
}

async fn callback_that_another_took_off_is_not_called_any_more(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (callback, mut told) = listener();
    let clearing = board.clone();
    let cleared = board
        .notifier()
        .register(EventKind::Posted, move |_: &Notification| {
            clearing.notifier().reset();
        });
    board.notifier().register(EventKind::Posted, callback);
    board.post(NewJob::new("a")).await.unwrap();
    assert_eq!(told.recv().await, None);
    assert!(!board.notifier().is_registered(cleared));
    board.close().await;
}

async fn callback_that_follows_others_hears_each_event_once(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (callback, mut told) = listener();
    let before = board
        .notifier()
        .register(EventKind::Posted, |_: &Notification| {});
    // Its mailbox is in use by now.
    board.post(NewJob::new("before")).await.unwrap();
    board.fresh_jobs().await.unwrap();
    board.notifier().deregister(before);
    board.notifier().register(EventKind::Posted, callback);
    board.post(NewJob::new("a")).await.unwrap();
    assert_eq!(heard(&mut told).await, "POSTED a");
    board.close().await;
    board.connect().await.unwrap();
    board.post(NewJob::new("b")).await.unwrap();
    assert_eq!(heard(&mut told).await, "POSTED b");
    board.close().await;
}

async fn failing_and_panicking_callbacks_harm_nobody(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let fails = |_: &Notification| -> Result<(), &str> { Err("no") };
    let panics = |_: &Notification| -> Result<(), &str> {
        panic!("a callback of a test panics, as it should")
    };
    board.notifier().register(Notifier::ANY, fails);
    board.notifier().register(Notifier::ANY, panics);
    let bad_filter = |_: &Notification| panic!("a filter of a test panics, as it should");
    let (never, mut unheard) = listener();
    board
        .notifier()
        .register_filtered(Notifier::ANY, bad_filter, never);
    let (callback, mut told) = listener();
    board.notifier().register(EventKind::Posted, callback);
    for name in ["a", "b"] {
        board.post(NewJob::new(name)).await.unwrap();
        assert_eq!(heard(&mut told).await, format!("POSTED {name}"));
    }
    assert!(unheard.try_recv().is_err());
    board.close().await;
}

async fn callbacks_go_when_they_are_deregistered_and_at_a_reset(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let notifier = board.notifier();
    let [
        (first, mut to_first),
        (second, mut to_second),
        (third, mut to_third),
    ] = [listener(), listener(), listener()];
    let first = notifier.register(EventKind::Posted, first);
    let second = notifier.register(EventKind::Posted, second);
    assert!(notifier.is_registered(first) && notifier.is_registered(second));
    assert!(notifier.deregister(first));
    assert!(!notifier.deregister(first) && !notifier.is_registered(first));
    board.post(NewJob::new("a")).await.unwrap();
    assert_eq!(heard(&mut to_second).await, "POSTED a");
    notifier.reset();
    assert!(!notifier.is_registered(second));
    notifier.register(EventKind::Posted, third);
    board.post(NewJob::new("b")).await.unwrap();
    assert_eq!(heard(&mut to_third).await, "POSTED b");
    // Those who are gone dropped their ends.
    assert_eq!(to_first.recv().await, None);
    assert_eq!(to_second.recv().await, None);
    board.close().await;
}

async fn filter_chooses_by_the_details(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (callback, mut told) = listener();
    let large = |told: &Notification| {
        let details = told.job().map(jobboard::Job::details);
        details.is_some_and(|details| details.get("size") == Some(&json!("large")))
    };
    board
        .notifier()
        .register_filtered(EventKind::Posted, large, callback);
    for (name, size) in [
        ("a", "small"),
        ("b", "large"),
        ("c", "small"),
        ("d", "large"),
    ] {
        let new = NewJob::new(name).details(json!({"size": size}));
        board.post(new).await.unwrap();
    }
    assert_eq!(heard(&mut told).await, "POSTED b");
    assert_eq!(heard(&mut told).await, "POSTED d");
    board.close().await;
}

async fn callbacks_stay_over_a_reconnect_and_hear_what_they_missed(store: Arc<dyn Store>) {
    let other = board(&store).await;
    let kept = other.post(NewJob::new("kept")).await.unwrap();
    let gone = other.post(NewJob::new("gone")).await.unwrap();

    let board = builder("images").store(Arc::clone(&store)).build().unwrap();
    let (callback, mut told) = listener();
    board.notifier().register(Notifier::ANY, callback);
    board.connect().await.unwrap();
    assert_eq!(heard(&mut told).await, "POSTED kept");
    assert_eq!(heard(&mut told).await, "POSTED gone");
    board.close().await;

    let _held = other.claim(&kept, "one").await.unwrap();
    let claim = other.claim(&gone, "one").await.unwrap();
    claim.trash("broken").await.unwrap();
    other.post(NewJob::new("new")).await.unwrap();
    board.connect().await.unwrap();
    let mut missed = Vec::new();
    for _ in 0..4 {
        missed.push(heard(&mut told).await);
    }
    missed.sort();
    let wanted = ["CLAIMED kept", "POSTED new", "REMOVAL gone", "TRASHED gone"];
    assert_eq!(missed, wanted);
    board.close().await;
    other.close().await;
    assert!(told.try_recv().is_err());
}

async fn stream_ends_with_the_board(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let events = board.events(EventKind::Posted).unwrap();
    board.post(NewJob::new("a")).await.unwrap();
    board.fresh_jobs().await.unwrap();
    board.close().await;
    let told: Vec<_> = events.map(|told| words(&told)).collect().await;
    assert_eq!(told, ["POSTED a"]);
    let closed = board.events(EventKind::Posted).unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callback_hears_nothing_from_before_it_was_registered() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let board = board(&store).await;
    // The first callback holds the others up until it may go on.
    let (go_on, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    board
        .notifier()
        .register(EventKind::Posted, move |_: &Notification| {
            gate.lock()
                .unwrap()
                .recv()
                .map_err(|error| error.to_string())
        });
    for _ in 0..2 {
        board.post(NewJob::new("before")).await.unwrap();
    }
    board.fresh_jobs().await.unwrap();
    let (callback, mut told) = listener();
    board.notifier().register(EventKind::Posted, callback);
    drop(go_on);
    board.post(NewJob::new("after")).await.unwrap();
    assert_eq!(heard(&mut told).await, "POSTED after");
    board.close().await;
}

#[tokio::test]
async fn slow_listener_is_told_that_it_lagged_and_goes_on() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let board = board(&store).await;
    let mut events = board.events(EventKind::Posted).unwrap();
    for number in 0..1_100 {
        board.post(NewJob::new(format!("n{number}"))).await.unwrap();
    }
    board.fresh_jobs().await.unwrap();
    let told = next(&mut events).await;
    let Event::Lagged { missed } = told.event else {
        panic!("{told:?}");
    };
    let next = words(&next(&mut events).await);
    assert_eq!((missed > 0, next), (true, format!("POSTED n{missed}")));
    board.close().await;
    let rest = events.count().await;
    assert_eq!(u64::try_from(rest).unwrap() + missed + 1, 1_100);
}

#[tokio::test]
async fn first_list_is_told_whole_however_long() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let other = board(&store).await;
    for number in 0..3_000 {
        other.post(NewJob::new(format!("n{number}"))).await.unwrap();
    }
    let board = builder("images").store(store).build().unwrap();
    let (tell, mut told) = mpsc::channel(3_000);
    board
        .notifier()
        .register(Notifier::ANY, move |told: &Notification| {
            tell.try_send(told.kind())
        });
    board.connect().await.unwrap();
    board.close().await;
    let mut kinds = Vec::new();
    while let Ok(kind) = told.try_recv() {
        kinds.push(kind);
    }
    assert_eq!(kinds, [EventKind::Posted; 3_000]);
}

#[test]
fn callback_that_gives_nothing_or_ok_did_not_fail() {
    assert_eq!(().failure(), None);
    assert_eq!(Ok::<(), &str>(()).failure(), None);
    assert_eq!(Err::<(), _>("no").failure().as_deref(), Some("no"));
}
