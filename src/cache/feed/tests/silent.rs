//! Watches that tell nothing.

use super::*;

#[tokio::test(start_paused = true)]
async fn idle_watch_costs_one_small_read_now_and_then() {
    let setup = Setup::watching().await;
    setup.move_store().await;
    until(|| setup.store.proofs.load(SeqCst) > 0).await;
    let reads = setup.store.reads.load(SeqCst);
    sleep(Duration::from_mins(10)).await;
    let reads = setup.store.reads.load(SeqCst) - reads;
    assert!((39..=60).contains(&reads), "{reads}");
    assert_eq!(setup.store.proofs.load(SeqCst), 1);
    assert_eq!(setup.store.watches.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn silent_watch_of_an_unchanged_range_is_kept() {
    let setup = Setup::with_jobs(3).await;
    setup.store.held.send_replace(false);
    setup.connected().await;
    let posted = setup.post(1).await;
    setup.shows(posted).await;
    for _ in 0..120 {
        setup.move_store().await;
        sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(setup.store.watches.load(SeqCst), 1);
    let proofs = setup.store.proofs.load(SeqCst);
    assert!((5..=9).contains(&proofs), "{proofs}");
    assert_eq!(setup.reader().counts().relists, 0);
}

#[tokio::test(start_paused = true)]
async fn silent_watch_is_kept_where_a_full_store_refuses_the_proof() {
    let setup = Setup::watching().await;
    setup.store.full.store(true, SeqCst);
    for _ in 0..24 {
        setup.move_store().await;
        sleep(Duration::from_secs(5)).await;
    }
    assert!(setup.store.proofs.load(SeqCst) > 1);
    assert_eq!(setup.reader().counts().reopened, 0);
}

#[tokio::test(start_paused = true)]
async fn watch_that_does_not_tell_is_opened_anew() {
    let setup = Setup::watching().await;
    setup.store.mute.store(true, SeqCst);
    let posted = setup.post(1).await;
    let since = Instant::now();
    until(|| setup.reader().counts().reopened > 0).await;
    assert!(since.elapsed() <= ASK_AFTER * 3 / 2 + GRACE + Duration::from_millis(10));
    // What the muted watch swallowed, the new one tells.
    setup.store.mute.store(false, SeqCst);
    setup.store.break_watches();
    setup.shows(posted).await;
    assert_eq!(setup.jobs(), [1]);
    assert_eq!(setup.reader().counts().relists, 0);
}

#[tokio::test(start_paused = true)]
async fn watch_that_does_not_tell_of_a_mere_rewrite_is_opened_anew() {
    let setup = Setup::watching().await;
    let state = setup.put(1, JobPart::State, "{}").await;
    setup.shows(state).await;
    setup.store.mute.store(true, SeqCst);
    setup.put(1, JobPart::State, r#"{"attempts":1}"#).await;
    let since = Instant::now();
    until(|| setup.reader().counts().reopened > 0).await;
    assert!(since.elapsed() <= ASK_AFTER * 3 / 2 + GRACE + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn range_whose_watches_do_not_tell_is_listed() {
    let setup = Setup::watching().await;
    setup.store.mute.store(true, SeqCst);
    let posted = setup.post(1).await;
    setup.shows(posted).await;
    let counts = setup.reader().counts();
    assert_eq!(
        (setup.jobs(), counts.relists, counts.reopened),
        (vec![1], 1, 2)
    );
}
