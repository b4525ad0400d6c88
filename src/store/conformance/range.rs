//! Laws of reads.

use super::{Space, keys_of};
use crate::store::{
    ErrorKind, Key, KeyRange, Op, RangeRequest, RangeResponse, Revision, Store, StoreExt, Txn,
};

/// A space with the keys `a`, `b` and `c`.
async fn setup<'a>(store: &'a dyn Store, prefix: &'a str) -> Space<'a> {
    let space = Space::new(store, prefix);
    for name in ["a", "b", "c"] {
        space.put(name, "value").await;
    }
    space
}

async fn read(space: Space<'_>, request: RangeRequest) -> RangeResponse {
    space.store.range(request).await.unwrap()
}

/// A read gives its keys in the order of their bytes, whatever the order of the writes.
pub async fn keys_come_in_the_order_of_their_bytes(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for name in ["b", "a/1", "B", "a", "é", "a0"] {
        space.put(name, "").await;
    }
    let answer = read(space, RangeRequest::new(space.all())).await;
    let ordered = space.keys(["B", "a", "a/1", "a0", "b", "é"]);
    assert_eq!((keys_of(&answer.kvs), answer.count), (ordered, 6));
}

/// The end of a range is not in it, and its start is.
pub async fn range_ends_before_its_end(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let answer = read(space, RangeRequest::new(space.between("a", "c"))).await;
    assert_eq!(keys_of(&answer.kvs), space.keys(["a", "b"]));
}

/// A range without an end goes on to the last key of the store, and begins no earlier than asked.
pub async fn unbounded_range_has_no_end(store: &dyn Store, prefix: &str) {
    let high = |name: &str| Key::new([&[u8::MAX], prefix.as_bytes(), name.as_bytes()].concat());
    let (first, second) = (high("/1").unwrap(), high("/2").unwrap());
    store.put(first, "".into()).await.unwrap();
    store.put(second.clone(), "".into()).await.unwrap();
    let highest = KeyRange::prefix(Key::new([u8::MAX].to_vec()).unwrap());
    let rest = highest.starting_at(second.clone()).unwrap();
    let answer = store.range(RangeRequest::new(rest).limit(1)).await.unwrap();
    assert_eq!(keys_of(&answer.kvs), [second]);
}

/// A key that does not exist is no error.
pub async fn missing_key_is_an_empty_answer(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let answer = read(space, RangeRequest::new(space.key("d"))).await;
    assert_eq!((answer.kvs, answer.count), (vec![], 0));
}

/// With a limit the first keys are given, and all are counted.
pub async fn limit_bounds_the_keys_and_not_the_count(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let answer = read(space, RangeRequest::new(space.all()).limit(2)).await;
    assert_eq!(keys_of(&answer.kvs), space.keys(["a", "b"]));
    assert_eq!(answer.count, 3);
    let answer = read(space, RangeRequest::new(space.all()).limit(9)).await;
    assert_eq!((answer.kvs.len(), answer.count), (3, 3));
}

/// A limit of zero means none, though etcd itself would give all.
pub async fn limit_of_zero_gives_the_count_alone(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let answer = read(space, RangeRequest::new(space.all()).limit(0)).await;
    assert_eq!((answer.kvs, answer.count), (vec![], 3));
}

/// Without values the rest of each key is still told.
pub async fn keys_only_leaves_the_values_out(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let full = space.get("b").await.unwrap();
    let answer = read(space, RangeRequest::new(space.key("b")).keys_only()).await;
    let kv = answer.first().unwrap();
    assert!(kv.value.is_empty() && !full.value.is_empty());
    assert_eq!(kv.mod_revision, full.mod_revision);
    assert_eq!((kv.create_revision, kv.version), (full.create_revision, 1));
}

/// A count gives no key, and counts all of them.
pub async fn count_only_gives_no_key(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let answer = read(space, RangeRequest::new(space.all()).count_only()).await;
    assert_eq!((answer.kvs, answer.count), (vec![], 3));
}

/// A past revision shows each key as it was then, while the header tells of now.
pub async fn past_revision_is_read_as_it_was(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let then = space.put("b", "old").await;
    space.put("b", "new").await;
    space.delete("a").await;
    let last = space.put("d", "").await;
    let answer = read(space, RangeRequest::new(space.all()).at(then)).await;
    assert_eq!(keys_of(&answer.kvs), space.keys(["a", "b", "c"]));
    assert_eq!(answer.kvs[1].value, "old");
    assert_eq!(answer.kvs[1].mod_revision, then);
    assert!(answer.header.revision >= last);
}

/// A revision that is still to come can not be read.
pub async fn future_revision_is_refused(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let newest = space.header().await.revision;
    let revision = Revision::new(newest.get() + 1_000_000);
    let answer = store
        .range(RangeRequest::new(space.all()).at(revision))
        .await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Invalid);
}

/// Revision zero is that of a store without keys, though etcd itself takes it for the newest.
pub async fn revision_zero_is_not_the_newest(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let request = RangeRequest::new(space.all()).at(Revision::ZERO);
    match store.range(request).await {
        Ok(answer) => assert_eq!((answer.kvs, answer.count), (vec![], 0)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Compacted),
    }
}

/// A read sees every write that was answered before it was sent.
pub async fn read_sees_every_write_before_it(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for _ in 0..20 {
        let written = space.put("a", "").await;
        let answer = read(space, RangeRequest::new(space.key("a"))).await;
        assert_eq!(answer.first().map(|kv| kv.mod_revision), Some(written));
        assert!(answer.header.revision >= written);
    }
}

/// Every answer names the same cluster.
pub async fn all_answers_come_from_one_cluster(store: &dyn Store, prefix: &str) {
    let space = setup(store, prefix).await;
    let cluster_id = space.header().await.cluster_id;
    let nested = Txn::new().then([Op::get(space.key("a"))]);
    let answer = space.txn(nested).await;
    assert_eq!(answer.header.cluster_id, cluster_id);
    let nested = answer.responses[0].as_range().unwrap();
    assert_eq!(nested.header.cluster_id, cluster_id);
}
