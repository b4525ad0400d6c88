use futures::{FutureExt, StreamExt};

use super::*;
use crate::store::{Beat, Event, Key, KeyRange, Op, StoreExt};

const SECOND: Duration = Duration::from_secs(1);

fn key(text: &'static str) -> Key {
    Key::new(text).unwrap()
}

/// Lets the other tasks run as far as they come, without any time passing.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

async fn put_with_lease(store: &Memory, lease: &Lease) {
    let put = Op::put_with_lease(key("a"), "1", lease.id);
    store.txn(Txn::new().then([put])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn key_of_an_expired_lease_is_deleted_while_nobody_asks() {
    let store = Memory::new();
    let lease = store.grant(5 * SECOND).await.unwrap();
    put_with_lease(&store, &lease).await;
    let mut watch = store
        .watch(WatchRequest::new(key("a"), Revision::new(3)))
        .await
        .unwrap();
    let granted = Instant::now();
    let batch = watch.next().await.unwrap().unwrap();
    assert!(matches!(batch.events[..], [Event::Delete { .. }]));
    assert_eq!(granted.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn shorter_lease_ends_before_a_longer_one_that_was_granted_first() {
    let store = Memory::new();
    store.grant(50 * SECOND).await.unwrap();
    settle().await;
    let lease = store.grant(5 * SECOND).await.unwrap();
    put_with_lease(&store, &lease).await;
    let mut watch = store
        .watch(WatchRequest::new(key("a"), Revision::new(3)))
        .await
        .unwrap();
    let granted = Instant::now();
    watch.next().await.unwrap().unwrap();
    assert_eq!(granted.elapsed().as_secs(), 5);
}

#[test]
fn lease_ends_without_a_runtime_too() {
    let store = Memory::new();
    let lease = store.grant(2 * SECOND).now_or_never().unwrap().unwrap();
    store.shared.lock().end_due(lease.sent_at + 2 * SECOND);
    let revoked = store.revoke(lease.id).now_or_never().unwrap();
    assert_eq!(revoked.unwrap_err().kind(), ErrorKind::LeaseNotFound);
}

#[test]
fn leases_end_in_time_after_the_first_runtime_has_gone() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let store = Memory::new();
    runtime()
        .block_on(async { store.grant(9 * SECOND).await })
        .unwrap();
    runtime().block_on(async {
        let lease = store.grant(2 * SECOND).await.unwrap();
        put_with_lease(&store, &lease).await;
        let request = WatchRequest::new(key("a"), Revision::new(3));
        let mut watch = store.watch(request).await.unwrap();
        let batch = watch.next().await.unwrap().unwrap();
        assert!(matches!(batch.events[..], [Event::Delete { .. }]));
    });
}

#[tokio::test(start_paused = true)]
async fn tasks_end_with_the_last_handle() {
    let store = Memory::new();
    let lease = store.grant(5 * SECOND).await.unwrap();
    let _keep_alive = store.clone().keep_alive(&lease, SECOND);
    let tasks = tokio::runtime::Handle::current().metrics();
    settle().await;
    assert_eq!(tasks.num_alive_tasks(), 2);
    drop(store);
    settle().await;
    assert_eq!(tasks.num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn watch_ends_with_the_last_handle() {
    let store = Memory::new();
    let request = WatchRequest::new(key("a"), Revision::new(1));
    let mut watch = store.watch(request).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    drop(store);
    let error = watch.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn keep_alive_stops_when_its_last_handle_is_dropped() {
    let store = Memory::new();
    let lease = store.grant(5 * SECOND).await.unwrap();
    let mut keep_alive = store.keep_alive(&lease, SECOND);
    for _ in 0..10 {
        assert!(matches!(keep_alive.changed().await, Beat::Alive { .. }));
    }
    drop(keep_alive);
    tokio::time::sleep(6 * SECOND).await;
    let revoked = store.revoke(lease.id).await.unwrap_err();
    assert_eq!(revoked.kind(), ErrorKind::LeaseNotFound);
}

#[tokio::test]
async fn watch_that_falls_behind_the_history_is_told_so() {
    let store = Memory::builder().history(10).build();
    let range = KeyRange::prefix(key("a"));
    let request = WatchRequest::new(range, Revision::new(1));
    let mut watch = store.watch(request).await.unwrap();
    for _ in 0..11 {
        store.put(key("a"), "1".into()).await.unwrap();
    }
    let error = watch.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compacted);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn stores_tell_their_clusters_apart() {
    let (one, two) = (Memory::new(), Memory::builder().cluster_id(9).build());
    let answer = two.range(RangeRequest::new(key("a"))).await.unwrap();
    assert_eq!(answer.header.cluster_id, 9);
    let lease = one.grant(SECOND).await.unwrap();
    assert!(two.revoke(lease.id).await.is_err());
}

#[tokio::test]
async fn loop_of_requests_lets_others_run() {
    let store = Memory::new();
    let other = tokio::spawn(std::future::ready(()));
    while !other.is_finished() {
        store.put(key("a"), "1".into()).await.unwrap();
    }
}
