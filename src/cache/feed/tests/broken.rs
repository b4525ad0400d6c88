//! Watches that break.

use super::*;

#[tokio::test(start_paused = true)]
async fn compacted_watch_is_followed_by_a_list_that_tells_the_differences() {
    let setup = Setup::watching().await;
    setup.post(1).await;
    setup.post(2).await;
    let claimed = setup.put(3, JobPart::Owner, r#"{"owner":"w"}"#).await;
    setup.shows(claimed).await;
    setup.told();
    setup.store.fail(ErrorKind::Unavailable);
    setup.store.break_watches();
    setup.delete(1, JobPart::Data).await;
    setup.post(4).await;
    setup.delete(4, JobPart::Data).await;
    setup.put(2, JobPart::Owner, r#"{"owner":"w"}"#).await;
    setup.delete(3, JobPart::Owner).await;
    let last = setup.post(5).await;
    setup.store.memory().compact(last).await.unwrap();
    setup.store.fail(None);
    setup.shows(last).await;
    let told = setup.told();
    let expected = [
        (1, ChangeKind::Removed),
        (2, ChangeKind::Claimed),
        (5, ChangeKind::Posted),
    ];
    assert_eq!((told.len(), told[0].origin), (1, Origin::Relisted));
    assert_eq!((told[0].revision, &*told[0].changes), (last, &expected[..]));
    assert_eq!(told[0].owners, [(2, true), (3, false)]);
}

#[tokio::test(start_paused = true)]
async fn events_that_were_applied_are_dropped_and_counted() {
    let setup = Setup::watching().await;
    setup.post(1).await;
    let second = setup.post(2).await;
    setup.shows(second).await;
    setup.told();
    setup.store.repeats.store(true, SeqCst);
    setup.store.break_watches();
    let third = setup.post(3).await;
    setup.shows(third).await;
    let revisions: Vec<_> = setup.told().iter().map(|told| told.revision).collect();
    assert_eq!(revisions, [third]);
    assert_eq!(setup.reader().counts().dropped_events, 2);
}

#[tokio::test(start_paused = true)]
async fn broken_watch_is_opened_again_and_misses_nothing() {
    let setup = Setup::watching().await;
    let before = setup.post(9).await;
    setup.shows(before).await;
    setup.told();
    setup.store.fail(ErrorKind::Unavailable);
    setup.store.break_watches();
    let mut revisions = Vec::new();
    for job in 1..=5 {
        revisions.push(setup.post(job).await);
    }
    until(|| matches!(setup.reader().status(), Status::Reconnecting(_))).await;
    assert_eq!(setup.jobs(), [9], "a view that is cut off stays as it is");
    setup.store.fail(None);
    setup.shows(revisions[4]).await;
    let told: Vec<_> = setup.told().iter().map(|told| told.revision).collect();
    assert_eq!(told, revisions);
    assert!(matches!(setup.reader().status(), Status::Connected));
    let counts = setup.reader().counts();
    assert_eq!((counts.relists, counts.reopened), (0, 1));
    assert_eq!(counts.dropped_events, 0);
}

#[tokio::test(start_paused = true)]
async fn tries_grow_rarer_while_the_store_is_away() {
    let setup = Setup::watching().await;
    setup.store.fail(ErrorKind::Unavailable);
    setup.store.break_watches();
    sleep(Duration::from_mins(5)).await;
    let tries = setup.store.watches.load(SeqCst) - 1;
    assert!((60..=130).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn first_retry_after_a_healthy_time_is_made_at_once() {
    let setup = Setup::watching().await;
    for _ in 0..10 {
        sleep(HEALTHY).await;
        let broken_at = Instant::now();
        let watches = setup.store.watches.load(SeqCst);
        setup.store.break_watches();
        until(|| setup.store.watches.load(SeqCst) > watches).await;
        assert!(broken_at.elapsed() < Duration::from_millis(10));
    }
}

#[tokio::test(start_paused = true)]
async fn watch_that_tells_more_than_is_taken_is_followed_by_a_list() {
    let setup = Setup::watching().await;
    setup.store.mute.store(true, SeqCst);
    let posted = setup.post(1).await;
    let broken_at = Instant::now();
    setup.store.break_watches_as(ErrorKind::TooLarge);
    setup.shows(posted).await;
    assert_eq!(setup.reader().counts().relists, 1);
    // Nobody had to find out that the watch is silent.
    assert!(broken_at.elapsed() < Duration::from_secs(1));
}
