//! Laws of compaction. Each must have the store to itself.

use futures::StreamExt;
use tokio::time::timeout;

use super::{PATIENCE, Space, changes_of};
use crate::store::{
    ErrorKind, Op, Pager, RangeRequest, Result, Revision, Store, Txn, WatchRequest,
};

/// A space whose key `a` was put at each of the two revisions.
async fn setup<'a>(store: &'a dyn Store, prefix: &'a str) -> (Space<'a>, Revision, Revision) {
    let space = Space::new(store, prefix);
    let old = space.put("a", "old").await;
    let new = space.put("a", "new").await;
    (space, old, new)
}

async fn compact(store: &dyn Store, revision: Revision) -> Result<(), ErrorKind> {
    let answer = store.compact(revision).await;
    answer.map_err(|error| error.kind())
}

/// The compacted revision itself can be read, and what was before it can not.
pub async fn compacted_revision_is_still_read_and_none_before_it(store: &dyn Store, prefix: &str) {
    let (space, old, new) = setup(store, prefix).await;
    space.put("a", "newest").await;
    assert_eq!(compact(store, new).await, Ok(()));
    let read = |revision| store.range(RangeRequest::new(space.all()).at(revision));
    assert_eq!(read(new).await.unwrap().kvs[0].value, "new");
    assert_eq!(read(old).await.unwrap_err().kind(), ErrorKind::Compacted);
}

/// A compaction takes nothing from what the keys are now, however old they are.
pub async fn newest_values_outlive_a_compaction(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let old = space.put("a", "old").await;
    space.put("b", "").await;
    let last = space.delete("b").await;
    assert_eq!(compact(store, last).await, Ok(()));
    let kv = space.get("a").await.unwrap();
    assert_eq!((kv.value, kv.mod_revision), ("old".into(), old));
    assert_eq!(space.get("b").await, None);
}

/// What was compacted is not compacted again.
pub async fn revision_is_compacted_once(store: &dyn Store, prefix: &str) {
    let (_, old, new) = setup(store, prefix).await;
    assert_eq!(compact(store, new).await, Ok(()));
    assert_eq!(compact(store, new).await, Err(ErrorKind::Compacted));
    assert_eq!(compact(store, old).await, Err(ErrorKind::Compacted));
}

/// A revision that is still to come is not compacted.
pub async fn future_revision_is_not_compacted(store: &dyn Store, prefix: &str) {
    let (space, _, new) = setup(store, prefix).await;
    assert_eq!(compact(store, new.next()).await, Err(ErrorKind::Invalid));
    assert_eq!(space.get("a").await.unwrap().value, "new");
}

/// A transaction that only reads is refused, too, where a revision is gone.
pub async fn transaction_reads_no_compacted_revision(store: &dyn Store, prefix: &str) {
    let (space, old, new) = setup(store, prefix).await;
    assert_eq!(compact(store, new).await, Ok(()));
    let past = Op::Range(RangeRequest::new(space.all()).at(old));
    let refused = space.refused(Txn::new().then([past])).await;
    assert_eq!(refused, ErrorKind::Compacted);
}

/// A watch that should begin with what is gone ends at once, and for good.
pub async fn watch_from_before_a_compaction_ends_as_compacted(store: &dyn Store, prefix: &str) {
    let (space, old, new) = setup(store, prefix).await;
    assert_eq!(compact(store, new).await, Ok(()));
    let error = match store.watch(WatchRequest::new(space.all(), old)).await {
        Err(error) => error,
        Ok(mut watch) => {
            let first = timeout(PATIENCE, watch.next()).await.expect("it ends");
            let error = first.expect("with an error").unwrap_err();
            assert!(watch.next().await.is_none());
            error
        }
    };
    assert_eq!(error.kind(), ErrorKind::Compacted);
}

/// A watch that begins after the compacted revision misses nothing.
pub async fn watch_from_after_a_compaction_tells_all(store: &dyn Store, prefix: &str) {
    let (space, old, new) = setup(store, prefix).await;
    assert_eq!(compact(store, old).await, Ok(()));
    let deleted = space.delete("a").await;
    let mut watch = space.watch(old.next()).await;
    let last = space.put("z", "").await;
    let told = changes_of(&watch.until(&space.key("z")).await);
    let (a, z) = (space.key("a"), space.key("z"));
    assert_eq!(told, [(a.clone(), new), (a, deleted), (z, last)]);
}

/// Pages whose revision is compacted between them end with an error, not with half of the keys.
pub async fn pages_end_when_their_revision_is_compacted(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("a", "").await;
    space.put("b", "").await;
    let mut pager = Pager::new(space.all(), 1);
    assert!(pager.next(store).await.unwrap().is_some());
    let later = space.put("c", "").await;
    assert_eq!(compact(store, later).await, Ok(()));
    let error = pager.next(store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compacted);
}
