//! Stores that have another history than before.

use super::*;

#[tokio::test(start_paused = true)]
async fn another_cluster_is_another_history() {
    let setup = Setup::watching().await;
    let posted = setup.post(1).await;
    setup.shows(posted).await;
    setup.told();
    let other = Memory::builder().cluster_id(2).build();
    *setup.store.memory.lock().unwrap() = other;
    let earlier = setup.post(2).await;
    let later = setup.post(2).await;
    assert!(earlier <= posted && posted < later);
    setup.store.break_watches();
    until(|| setup.jobs() == [2]).await;
    let told = setup.told();
    assert_eq!(told[0].origin, Origin::OtherHistory);
    assert_eq!(told.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn store_that_was_set_back_is_another_history() {
    let setup = Setup::watching().await;
    setup.post(1).await;
    let late = setup.move_store().await;
    let last = setup.post(3).await;
    setup.shows(last).await;
    setup.told();
    *setup.store.memory.lock().unwrap() = Memory::new();
    let posted = setup.post(2).await;
    assert!(posted < late);
    setup.store.break_watches();
    until(|| setup.jobs() == [2]).await;
    assert_eq!(setup.told()[0].origin, Origin::OtherHistory);
    assert_eq!(setup.reader().applied(), posted);
    let waited = setup.reader().wait_applied(setup.post(4).await);
    assert_eq!(waited.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_revision_of_a_history_that_ended_is_let_go() {
    let setup = Setup::watching().await;
    let applied = setup.reader().applied();
    let reader = setup.reader().clone();
    let waits = tokio::spawn(async move { reader.wait_applied(Revision::new(1_000)).await });
    tokio::task::yield_now().await;
    *setup.store.memory.lock().unwrap() = Memory::builder().cluster_id(2).build();
    setup.store.break_watches();
    assert_eq!(soon(waits).await.unwrap(), Ok(()));
    assert!(setup.reader().applied() <= applied.next());
}
