use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::*;
use crate::store::{Event, Key, Memory, StoreExt};

const PATIENCE: Duration = Duration::from_secs(2);

const TTL: Duration = Duration::from_secs(5);

fn key() -> Key {
    Key::new("key").unwrap()
}

/// A store that always fails as `faults` has it, and what is behind it.
fn setup(faults: impl FnOnce(&mut Faults)) -> (Faulty<Memory>, Memory) {
    let memory = Memory::new();
    let mut always = Faults::NONE;
    always.patience = PATIENCE;
    faults(&mut always);
    let store = Faulty::new(memory.clone(), Random::seeded(1), always);
    (store, memory)
}

async fn watched(store: &Faulty<Memory>) -> WatchStream {
    let all = WatchRequest::new(key(), Revision::new(1));
    store.watch(all).await.unwrap()
}

/// Puts the key; gives what is told and after how long, and whether it is there then, and later.
async fn put(faults: impl FnOnce(&mut Faults)) -> (Option<ErrorKind>, Duration, bool, bool) {
    let (store, memory) = setup(faults);
    let asked = Instant::now();
    let told = store.put(key(), "value".into()).await;
    let took = asked.elapsed();
    let there = memory.get(key()).await.unwrap().is_some();
    sleep(2 * PATIENCE).await;
    let later = memory.get(key()).await.unwrap().is_some();
    (told.err().map(|error| error.kind()), took, there, later)
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_request_does_what_it_says() {
    let at_once = Duration::ZERO;
    assert_eq!(put(|_| {}).await, (None, at_once, true, true));
    assert_eq!(
        put(|faults| faults.unsent = 1_000).await,
        (Some(ErrorKind::Unavailable), at_once, false, false)
    );
    let ambiguous = Some(ErrorKind::Ambiguous);
    assert_eq!(
        put(|faults| faults.lost_requests = 1_000).await,
        (ambiguous, PATIENCE, false, false)
    );
    assert_eq!(
        put(|faults| faults.lost_answers = 1_000).await,
        (ambiguous, PATIENCE, true, true)
    );
    assert_eq!(
        put(|faults| faults.late_requests = 1_000).await,
        (ambiguous, PATIENCE, false, true)
    );
}

#[tokio::test(start_paused = true)]
async fn members_are_refused_together_and_one_that_is_alone_is_not() {
    let (store, memory) = setup(|faults| faults.refused = 1_000);
    let member = || Op::Txn(Txn::new().then([Op::put(key(), "value")]));
    let error = store.txn(Txn::new().then([member()])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyOps);
    assert!(memory.get(key()).await.unwrap().is_none());
    store.put(key(), "value".into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn store_that_is_cut_off_loses_all_and_is_as_before_when_it_is_connected_again() {
    let (store, memory) = setup(|_| {});
    let lease = store.grant(TTL).await.unwrap();
    let mut alive = store.keep_alive(&lease, Duration::from_secs(1));
    let mut watch = watched(&store).await;
    alive.changed().await;
    store.cut_off(true);
    let error = store.put(key(), "value".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    let error = store.get(key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    memory.put(key(), "value".into()).await.unwrap();
    assert!(watch.next().now_or_never().is_none());
    sleep(TTL).await;
    assert!(alive.changed().now_or_never().is_none());
    assert!(memory.revoke(lease.id).await.is_err(), "it has ended");
    store.cut_off(false);
    assert_eq!(alive.changed().await, Beat::Gone);
    store.put(key(), "value".into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn watches_break_fall_silent_and_tell_what_they_told() {
    let (store, _memory) = setup(|faults| faults.old_batches = 500);
    let mut watch = watched(&store).await;
    let (mut put, mut told, mut again) = (Vec::new(), Vec::new(), 0);
    for number in 0..50 {
        put.push(store.put(key(), number.to_string().into()).await.unwrap());
        while told.last() != put.last() {
            let batch = watch.next().await.unwrap().unwrap();
            let revision = batch.events.last().map(Event::revision).unwrap();
            if told.contains(&revision) {
                again += 1;
            } else {
                told.push(revision);
            }
        }
    }
    assert_eq!(told, put);
    assert!(again > 0);

    let cut: fn(&mut Faults) = |faults| faults.cut_watches = 1_000;
    let cancelled: fn(&mut Faults) = |faults| faults.cancelled_watches = 1_000;
    for (ends, kind) in [
        (cut, ErrorKind::Unavailable),
        (cancelled, ErrorKind::Compacted),
    ] {
        let (store, _memory) = setup(ends);
        let mut watch = watched(&store).await;
        store.put(key(), "value".into()).await.unwrap();
        let error = watch.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(watch.next().await.is_none());
    }

    let (store, _memory) = setup(|faults| faults.silent_watches = 1_000);
    let mut watch = watched(&store).await;
    store.put(key(), "value".into()).await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, watch.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn leases_are_said_to_have_ended_that_have_not_and_are_lost_and_extended() {
    let (store, memory) = setup(|faults| faults.false_ends = 1_000);
    let lease = store.grant(TTL).await.unwrap();
    let mut alive = store.keep_alive(&lease, TTL);
    assert_eq!(alive.changed().await, Beat::Gone);
    sleep(TTL / 2).await;
    store.extend_leases().await;
    sleep(TTL * 3 / 4).await;
    assert!(memory.revoke(lease.id).await.is_ok(), "it was extended");

    let (store, memory) = setup(|_| {});
    let lease = store.grant(TTL).await.unwrap();
    store.lose_a_lease().await;
    assert!(memory.revoke(lease.id).await.is_err(), "it was lost");
}

#[tokio::test(start_paused = true)]
async fn same_chance_brings_the_same_faults() {
    let told = |seed| async move {
        let store = Faulty::new(Memory::new(), Random::seeded(seed), Faults::ALL);
        let mut told = Vec::new();
        for _ in 0..100 {
            let asked = Instant::now();
            let put = store.put(key(), "value".into()).await;
            told.push((put.err().map(|error| error.kind()), asked.elapsed()));
        }
        told
    };
    assert_eq!(told(1).await, told(1).await);
    assert_ne!(told(1).await, told(2).await);
}
