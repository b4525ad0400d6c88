use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::{
    protocol::{
        entity::{Entity, EntityRecord},
        keys::{BoardName, Namespace},
    },
    store::{Memory, StoreExt},
};

struct Setup {
    store: Memory,
    cache: EntityCache,
}

impl Setup {
    /// A view that shows its first list, of an empty board.
    async fn new() -> Self {
        let store = Memory::new();
        let random = Random::seeded(5);
        let cache = EntityCache::start(Arc::new(store.clone()), keys(), random);
        cache.reader().ready().await.unwrap();
        Self { store, cache }
    }

    async fn register(&self, name: &str) -> Revision {
        let kv = stands(name, Revision::ZERO);
        self.store.put(kv.key, kv.value).await.unwrap()
    }

    async fn remove(&self, name: &str) -> Revision {
        let key = stands(name, Revision::ZERO).key;
        self.store.delete(key.into()).await.unwrap()
    }
}

fn keys() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

fn stands(name: &str, at: Revision) -> KeyValue {
    let entity = Entity::new("conductor", name);
    let record = EntityRecord::new("register", &entity).unwrap();
    KeyValue {
        key: keys().entity("conductor", name, Uuid::from_u128(1)),
        value: record.bytes().clone(),
        create_revision: at,
        mod_revision: at,
        version: 1,
        lease: None,
    }
}

fn names(list: &[Registered]) -> Vec<&str> {
    list.iter().map(|one| one.entity.name()).collect()
}

/// What happened, and to whom.
fn said(batch: &Batch) -> Vec<(char, String)> {
    let say = |event: &EntityEvent| match event {
        EntityEvent::Registered(one) => ('+', one.entity.name().to_owned()),
        EntityEvent::Changed(one) => ('~', one.entity.name().to_owned()),
        EntityEvent::Gone(one) => ('-', one.entity.name().to_owned()),
        EntityEvent::Lagged => panic!("a feed does not lag"),
    };
    batch.iter().map(say).collect()
}

fn say(what: char, name: &str) -> (char, String) {
    (what, name.to_owned())
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_in_order_when_they_can_be_read() {
    let setup = Setup::new().await;
    let reader = setup.cache.reader();
    let mut told = reader.listen().unwrap();
    let first = setup.register("a").await;
    setup.register("b").await;
    setup.remove("a").await;
    assert_eq!(said(&told.recv().await.unwrap()), [say('+', "a")]);
    assert!(reader.applied() >= first);
    assert_eq!(said(&told.recv().await.unwrap()), [say('+', "b")]);
    assert_eq!(said(&told.recv().await.unwrap()), [say('-', "a")]);
    assert_eq!(names(&reader.list()), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn list_shows_who_was_registered_before_it_was_asked_for() {
    let setup = Setup::new().await;
    setup.register("a").await;
    setup.cache.reader().relist().await.unwrap();
    assert_eq!(names(&setup.cache.reader().of_kind("conductor")), ["a"]);
    assert_eq!(setup.cache.reader().of_kind("cond").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn change_wakes_who_waits_for_it() {
    let setup = Setup::new().await;
    let mut reader = setup.cache.reader().clone();
    reader.changed().await.unwrap();
    let (changed, registered) = tokio::join!(reader.changed(), setup.register("a"));
    assert_eq!(changed.unwrap(), registered);
    assert_eq!(names(&reader.list()), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_wait_and_keeps_the_view() {
    let setup = Setup::new().await;
    let mut reader = setup.cache.reader().clone();
    let mut told = reader.listen().unwrap();
    setup.register("a").await;
    assert_eq!(said(&told.recv().await.unwrap()), [say('+', "a")]);
    reader.changed().await.unwrap();
    setup.cache.close().await;
    setup.cache.close().await;
    assert_eq!(reader.changed().await, Err(Closed));
    assert!(matches!(
        reader.relist().await,
        Err(Unlisted::Closed(Closed))
    ));
    assert!(told.recv().await.is_err() && reader.listen().is_none());
    assert_eq!(names(&reader.list()), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_owner_ends_the_task() {
    let setup = Setup::new().await;
    let mut told = setup.cache.reader().listen().unwrap();
    drop(setup);
    let ended = tokio::time::timeout(Duration::from_secs(1), told.recv()).await;
    assert!(ended.unwrap().is_err());
}

/// A sink and one who listens to it; no feed.
fn sink() -> (Entities, broadcast::Receiver<Batch>) {
    let (batches, told) = broadcast::channel(WAITING);
    let sink = Entities {
        keys: keys(),
        roll: Arc::new(RwLock::new(Roll::new(keys()))),
        incoming: Roll::new(keys()),
        batches,
    };
    (sink, told)
}

#[test]
fn list_that_was_not_completed_is_void() {
    let (mut sink, mut told) = sink();
    let at = Revision::new(7);
    sink.list_begins();
    sink.page(vec![stands("void", at)]);
    sink.list_begins();
    sink.page(vec![stands("a", at)]);
    sink.page(vec![stands("b", at)]);
    assert_eq!(sink.roll.read().unwrap().list(|_| true), []);
    sink.list_complete(at, Origin::First);
    let first = told.try_recv().unwrap();
    assert_eq!(said(&first), [say('+', "a"), say('+', "b")]);
}

#[test]
fn differences_of_a_list_are_told_at_once_and_nothing_where_there_is_none() {
    let (mut sink, mut told) = sink();
    let [before, after] = [Revision::new(7), Revision::new(9)];
    let list = |sink: &mut Entities, at, names: &[&str]| {
        sink.list_begins();
        sink.page(names.iter().map(|name| stands(name, before)).collect());
        sink.list_complete(at, Origin::Relisted);
    };
    list(&mut sink, before, &["a", "b"]);
    told.try_recv().unwrap();
    list(&mut sink, after, &["a", "b"]);
    assert!(told.is_empty());
    list(&mut sink, after, &["b", "c"]);
    assert_eq!(
        said(&told.try_recv().unwrap()),
        [say('-', "a"), say('+', "c")]
    );
}
