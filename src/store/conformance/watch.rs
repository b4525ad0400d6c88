//! Laws of watches.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::{Space, Watch, changes_of};
use crate::store::{Event, Key, Op, Revision, Store, StoreExt, Txn};

/// A watch from the past tells all that happened since, from that revision on.
pub async fn watch_from_the_past_tells_all_since(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("a", "before").await;
    let first = space.put("a", "first").await;
    let second = space.put("b", "").await;
    let third = space.delete("a").await;
    let told = space.watch(first).await.until_revision(third).await;
    let (a, b) = (space.key("a"), space.key("b"));
    assert_eq!(
        changes_of(&told),
        [(a.clone(), first), (b, second), (a, third)]
    );
}

/// A watch from a revision that is still to come tells nothing that happens before it.
pub async fn watch_from_the_future_tells_nothing_before(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let mut from = space.put("a", "").await;
    for _ in 0..20 {
        from = from.next();
    }
    let mut watch = space.watch(from).await;
    let mut expected = Vec::new();
    while expected.len() < 3 {
        let revision = space.put("a", "").await;
        if revision >= from {
            expected.push((space.key("a"), revision));
        }
    }
    let told = watch.until_revision(expected[2].1).await;
    assert_eq!(changes_of(&told), expected);
}

/// A watch that has caught up goes on with what happens now.
pub async fn watch_goes_on_from_the_past_into_the_present(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let past = space.put("a", "").await;
    let mut watch = space.watch(past).await;
    assert_eq!(changes_of(&watch.batch().await), [(space.key("a"), past)]);
    let present = space.put("b", "").await;
    assert_eq!(
        changes_of(&watch.batch().await),
        [(space.key("b"), present)]
    );
}

/// The event of a put carries the key as a read at its revision would.
pub async fn put_is_told_with_all_of_the_key(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(600).await;
    let first = space.put("a", "value").await;
    let before = space.get("a").await.unwrap();
    let second = space.put_with_lease("a", &lease).await;
    let after = space.get("a").await.unwrap();
    let told = space.watch(first).await.until_revision(second).await;
    assert_eq!(told, [Event::Put(before), Event::Put(after)]);
    space.revoke(&lease).await;
}

/// The event of a delete tells the key and when it went; and a delete of nothing is no event.
pub async fn delete_is_told_with_its_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let put = space.put("a", "").await;
    let mut watch = space.watch(put.next()).await;
    space.delete("b").await;
    let revision = space.delete("a").await;
    let key = space.key("a");
    assert_eq!(watch.batch().await, [Event::Delete { key, revision }]);
}

/// A watch tells nothing of keys outside its range, not even of those changed with one inside.
pub async fn watch_tells_of_its_range_alone(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let start = space.header().await.revision.next();
    let mut watch = Watch::open(store, space.between("b", "d"), start).await;
    let puts = ["a", "b", "c", "d"].map(|name| Op::put(space.key(name), ""));
    let revision = space.txn(Txn::new().then(puts)).await.header.revision;
    space.put("a", "").await;
    space.put("d", "").await;
    let last = space.put("c", "").await;
    let told = changes_of(&watch.until_revision(last).await);
    let (b, c) = (space.key("b"), space.key("c"));
    assert_eq!(told, [(b, revision), (c.clone(), revision), (c, last)]);
}

/// A watch of one key tells of no other, not even of those that begin with it.
pub async fn watch_of_one_key_tells_of_no_other(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let start = space.header().await.revision.next();
    let mut watch = Watch::open(store, space.key("a").into(), start).await;
    space.put("a1", "").await;
    space.put("b", "").await;
    let last = space.put("a", "").await;
    let told = changes_of(&watch.until_revision(last).await);
    assert_eq!(told, [(space.key("a"), last)]);
}

/// The changes of one revision come in one batch, however many they are and wherever the watch
/// begins.
pub async fn revision_is_never_split(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let start = space.header().await.revision.next();
    let mut live = space.watch(start).await;
    for _ in 0..30 {
        let puts = (0..100).map(|number| Op::put(space.key(number), "some value"));
        space.txn(Txn::new().then(puts)).await;
    }
    let last = space.put("last", "").await;
    let mut late = space.watch(start).await;
    for watch in [&mut live, &mut late] {
        let mut sizes = BTreeMap::new();
        for batch in watch.batches_until(&space.key("last")).await {
            let mut of_batch = BTreeMap::new();
            for event in &batch {
                *of_batch.entry(event.revision()).or_insert(0) += 1;
            }
            for (revision, size) in of_batch {
                assert_eq!(sizes.insert(revision, size), None, "{revision} was split");
            }
        }
        assert_eq!(sizes.remove(&last), Some(1));
        assert_eq!(sizes.into_values().collect::<Vec<_>>(), vec![100; 30]);
    }
}

/// The delete of a range is one revision, told in one batch, in the order of the keys.
pub async fn delete_of_many_keys_is_one_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let mut put = Revision::ZERO;
    for name in ["c", "b", "a"] {
        put = space.put(name, "").await;
    }
    let mut watch = space.watch(put.next()).await;
    let revision = store.delete(space.all()).await.unwrap();
    let deleted = space.keys(["a", "b", "c"]);
    let deleted: Vec<_> = deleted.into_iter().map(|key| (key, revision)).collect();
    assert_eq!(changes_of(&watch.batch().await), deleted);
}

/// Watches of the same range tell the same, whenever they were opened.
pub async fn every_watch_of_a_range_tells_the_same(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let start = space.header().await.revision.next();
    let mut watches = Vec::new();
    for number in 0..20 {
        watches.push(space.watch(start).await);
        space.put(number % 3, "").await;
        space.delete(number % 2).await;
    }
    space.put("last", "").await;
    let last = space.key("last");
    let first = watches[0].until(&last).await;
    assert!(first.len() > 20);
    for mut watch in watches.drain(1..) {
        assert_eq!(watch.until(&last).await, first);
    }
}

/// Whatever is written while a watch is opened and read is told once, in order, and complete.
pub async fn nothing_is_told_twice_or_left_out_under_concurrent_writers(
    store: &dyn Store,
    prefix: &str,
) {
    let space = Space::new(store, prefix);
    let start = space.header().await.revision.next();
    let writer = |number: u32| async move {
        let mut written = Vec::new();
        for _ in 0..50 {
            written.push((space.key(number), space.put(number, "").await));
        }
        written
    };
    let reader = |late: u32| async move {
        for _ in 0..late {
            space.header().await;
        }
        let mut told: Vec<(Key, Revision)> = Vec::new();
        let mut watch = space.watch(start).await;
        while told.len() < 400 {
            told.extend(changes_of(&watch.batch().await));
        }
        told
    };
    let writers = join_all((0..8).map(writer));
    let readers = join_all((0..8).map(|number| reader(number * 5)));
    let (written, told) = futures::join!(writers, readers);
    let mut written = written.concat();
    written.sort_by_key(|(_, revision)| *revision);
    for told in told {
        assert_eq!(told, written);
    }
}
