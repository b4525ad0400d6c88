//! Lists: in pages, at first and on demand.

use super::*;

#[tokio::test(start_paused = true)]
async fn long_list_is_read_in_pages() {
    let setup = Setup::with_jobs(PAGE * 2 + 7).await;
    setup.store.held.send_replace(false);
    soon(setup.reader().ready()).await.unwrap();
    assert_eq!(setup.reader().len(), PAGE * 2 + 7);
    assert_eq!(setup.store.reads.load(SeqCst), 3);
    setup.assert_equals_list().await;
    let told = setup.told();
    assert_eq!((told.len(), told[0].origin), (1, Origin::First));
}

#[tokio::test(start_paused = true)]
async fn list_goes_on_with_the_page_that_failed() {
    let setup = Setup::with_jobs(PAGE + 1).await;
    setup.store.failing_read.store(2, SeqCst);
    setup.store.held.send_replace(false);
    soon(setup.reader().ready()).await.unwrap();
    assert_eq!(setup.reader().len(), PAGE + 1);
    assert_eq!(setup.store.reads.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn list_takes_smaller_pages_where_large_ones_get_no_answer() {
    let setup = Setup::with_jobs(PAGE).await;
    setup.store.largest_read.store(PAGE / 8, SeqCst);
    setup.store.held.send_replace(false);
    soon(setup.reader().ready()).await.unwrap();
    assert_eq!(setup.reader().len(), PAGE);
    assert_eq!(setup.store.reads.load(SeqCst), 3 + PAGE.div_ceil(PAGE / 8));
}

#[tokio::test(start_paused = true)]
async fn list_keeps_its_pages_where_it_can_not_be_read_at_all_for_a_while() {
    let setup = Setup::with_jobs(PAGE * 2).await;
    setup.store.fail(ErrorKind::Unavailable);
    setup.store.held.send_replace(false);
    until(|| setup.store.reads.load(SeqCst) > 8).await;
    let failed = setup.store.reads.load(SeqCst);
    setup.store.fail(None);
    soon(setup.reader().ready()).await.unwrap();
    assert_eq!(setup.store.reads.load(SeqCst), failed + 2);
}

#[tokio::test(start_paused = true)]
async fn list_outruns_compactions_by_larger_pages() {
    let setup = Setup::with_jobs(PAGE * 3).await;
    setup.store.compacts.store(true, SeqCst);
    setup.store.held.send_replace(false);
    soon(setup.reader().ready()).await.unwrap();
    assert_eq!(setup.reader().len(), PAGE * 3);
}

#[tokio::test(start_paused = true)]
async fn refused_user_is_told_so_and_tried_rarely() {
    let setup = Setup::new();
    setup.store.fail(ErrorKind::Denied);
    let refused = soon(setup.reader().ready()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(refused.to_string().ends_with("told to fail"), "{refused}");
    let Status::Reconnecting(trouble) = setup.reader().status() else {
        panic!("the status tells of it");
    };
    assert_eq!(trouble.cause.kind(), ErrorKind::Denied);
    sleep(Duration::from_mins(5)).await;
    let tries = setup.store.reads.load(SeqCst);
    assert!((14..=24).contains(&tries), "{tries}");
    setup.store.fail(None);
    until(|| matches!(setup.reader().status(), Status::Connected)).await;
    soon(setup.reader().ready()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_list_is_told_at_once_and_tried_as_often_as_it_is_asked_for() {
    let setup = Setup::watching().await;
    setup.store.fail(ErrorKind::Denied);
    setup.store.break_watches();
    until(|| setup.reader().is_denied()).await;
    for _ in 0..3 {
        let reads = setup.store.reads.load(SeqCst);
        let refused = soon(setup.reader().relist()).await.unwrap_err();
        assert!(matches!(refused, Unlisted::Denied(_)), "{refused}");
        assert_eq!(setup.store.reads.load(SeqCst), reads + 1);
    }
    setup.post(1).await;
    setup.store.fail(None);
    soon(setup.reader().relist()).await.unwrap();
    assert_eq!(setup.jobs(), [1]);
    assert!(!setup.reader().is_denied());
}

#[tokio::test(start_paused = true)]
async fn refused_list_says_nothing_to_who_asked_after_it_began() {
    let setup = Setup::watching().await;
    let reads = setup.store.reads.load(SeqCst);
    setup.store.refused_read.store(reads + 1, SeqCst);
    let (reader, other) = (setup.reader().clone(), setup.reader().clone());
    setup.store.held.send_replace(true);
    let early = tokio::spawn(async move { reader.relist().await });
    until(|| setup.store.reads.load(SeqCst) > reads).await;
    let late = tokio::spawn(async move { other.relist().await });
    tokio::task::yield_now().await;
    setup.store.held.send_replace(false);
    soon(late).await.unwrap().unwrap();
    // The list that came next shows what it wanted as well.
    soon(early).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn user_who_was_refused_the_first_list_is_not_when_that_is_over() {
    let setup = Setup::new();
    setup.store.fail(ErrorKind::Denied);
    soon(setup.reader().ready()).await.unwrap_err();
    soon(setup.reader().ready()).await.unwrap_err();
    setup.store.fail(None);
    soon(setup.reader().ready()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn store_that_can_not_be_reached_is_waited_for() {
    let setup = Setup::new();
    setup.store.fail(ErrorKind::Unavailable);
    let limit = Duration::from_mins(1);
    let waited = tokio::time::timeout(limit, setup.reader().ready()).await;
    assert!(waited.is_err());
    setup.store.fail(None);
    soon(setup.reader().ready()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn list_shows_what_was_written_before_it_was_asked_for() {
    let setup = Setup::watching().await;
    setup.store.mute.store(true, SeqCst);
    setup.post(1).await;
    soon(setup.reader().relist()).await.unwrap();
    assert_eq!(setup.jobs(), [1]);
}

#[tokio::test(start_paused = true)]
async fn one_list_serves_all_who_asked_before_it_began_and_nobody_after() {
    let setup = Setup::watching().await;
    setup.store.mute.store(true, SeqCst);
    let reads = setup.store.reads.load(SeqCst);
    let (reader, other) = (setup.reader().clone(), setup.reader().clone());
    setup.store.held.send_replace(true);
    let early = tokio::spawn(async move { tokio::join!(reader.relist(), reader.relist()) });
    until(|| setup.store.reads.load(SeqCst) > reads).await;
    let late = tokio::spawn(async move { other.relist().await });
    tokio::task::yield_now().await;
    setup.store.held.send_replace(false);
    assert!(matches!(soon(early).await.unwrap(), (Ok(()), Ok(()))));
    soon(late).await.unwrap().unwrap();
    assert_eq!(setup.store.reads.load(SeqCst) - reads, 2);
    assert_eq!(setup.reader().counts().relists, 2);
}
