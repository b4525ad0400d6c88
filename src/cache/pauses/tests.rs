use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::{
    protocol::keys::{BoardName, Namespace},
    store::{Memory, StoreExt},
};

/// More than any wait of a test takes.
const BOUND: Duration = Duration::from_secs(1);

fn keys() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

/// A view of a board that is paused from the beginning, or is not.
async fn setup(paused: bool) -> (Memory, PauseCache) {
    let store = Memory::new();
    if paused {
        pause(&store).await;
    }
    let random = Random::seeded(5);
    let cache = PauseCache::start(Arc::new(store.clone()), &keys(), random);
    cache.reader().ready().await.unwrap();
    (store, cache)
}

/// Even a record that can not be read pauses.
async fn pause(store: &Memory) {
    store.put(keys().paused(), "?".into()).await.unwrap();
}

async fn resume(store: &Memory) {
    store.delete(keys().paused().into()).await.unwrap();
}

async fn is(cache: &PauseCache, paused: bool) -> bool {
    let reached = timeout(BOUND, cache.reader().until(paused)).await;
    reached.is_ok_and(|reached| reached.is_ok())
}

#[tokio::test(start_paused = true)]
async fn first_list_shows_whether_the_board_is_paused() {
    for paused in [true, false] {
        let (_store, cache) = setup(paused).await;
        assert_eq!(is(&cache, true).await, paused);
        assert_eq!(is(&cache, false).await, !paused);
    }
}

#[tokio::test(start_paused = true)]
async fn pause_and_its_end_wake_who_waits() {
    let (store, cache) = setup(false).await;
    for _ in 0..2 {
        let (paused, ()) = tokio::join!(is(&cache, true), pause(&store));
        assert!(paused);
        let (resumed, ()) = tokio::join!(is(&cache, false), resume(&store));
        assert!(resumed);
    }
}

#[tokio::test(start_paused = true)]
async fn other_keys_beside_it_are_no_pause() {
    let (store, cache) = setup(false).await;
    let beside = Key::new("/taskflow/.control/jobboard/paused2").unwrap();
    store.put(beside.clone(), "{}".into()).await.unwrap();
    assert!(!is(&cache, true).await);
    cache.reader().relist().await.unwrap();
    assert!(is(&cache, false).await);
    pause(&store).await;
    assert!(is(&cache, true).await);
    store.delete(beside.into()).await.unwrap();
    assert!(!is(&cache, false).await);
}

#[tokio::test(start_paused = true)]
async fn relist_shows_what_was_written_before_it_was_asked_for() {
    let (store, cache) = setup(false).await;
    for paused in [true, false] {
        if paused {
            pause(&store).await;
        } else {
            resume(&store).await;
        }
        cache.reader().relist().await.unwrap();
        assert_eq!(*cache.reader().paused.borrow(), paused);
    }
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_wait() {
    let (_store, cache) = setup(false).await;
    let reader = cache.reader().clone();
    let (waited, ()) = tokio::join!(reader.until(true), cache.close());
    assert_eq!(waited, Err(Closed));
    cache.close().await;
    assert!(matches!(
        reader.relist().await,
        Err(Unlisted::Closed(Closed))
    ));
    // What it showed at last stays.
    assert_eq!(reader.until(false).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_owner_ends_the_task() {
    let (_store, cache) = setup(false).await;
    let reader = cache.reader().clone();
    drop(cache);
    let ended = timeout(BOUND, reader.until(true)).await;
    assert_eq!(ended.unwrap(), Err(Closed));
}

#[test]
fn list_that_was_not_completed_is_void() {
    let (tell, paused) = watch::channel(false);
    let mut sink = Pauses {
        key: keys().paused(),
        incoming: false,
        paused: tell,
    };
    let at = Revision::new(7);
    let stands = KeyValue {
        key: keys().paused(),
        value: "{}".into(),
        create_revision: at,
        mod_revision: at,
        version: 1,
        lease: None,
    };
    sink.list_begins();
    sink.page(vec![stands.clone()]);
    assert!(!*paused.borrow(), "it is not complete");
    sink.list_begins();
    sink.list_complete(at, Origin::First);
    assert!(!*paused.borrow());
    sink.list_begins();
    sink.page(vec![stands]);
    sink.list_complete(at, Origin::Relisted);
    assert!(*paused.borrow());
}
