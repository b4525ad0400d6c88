//! Laws of leases. The shortest life of a lease is some seconds, so that those that wait for its
//! end take as long, unless time is paused.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{PATIENCE, Space, Watch};
use crate::store::{Beat, ErrorKind, Event, KeepAlive, Op, Revision, Store, Txn};

/// Long enough not to end while a law is checked.
const LONG: u64 = 600;

/// The shortest that etcd grants with its defaults.
const SHORT: u64 = 2;

/// Waits for the next change of a space, which must be that its keys `names` were deleted, all at
/// one revision. Gives that revision.
async fn assert_deleted(space: Space<'_>, watch: &mut Watch, names: &[&str]) -> Revision {
    let batch = watch.batch().await;
    let revision = batch[0].revision();
    let deleted: Vec<Event> = space
        .keys(names)
        .into_iter()
        .map(|key| Event::Delete { key, revision })
        .collect();
    assert_eq!(batch, deleted);
    revision
}

async fn next_beat(keep_alive: &mut KeepAlive) -> Beat {
    let beat = timeout(PATIENCE, keep_alive.changed()).await;
    beat.expect("the keep-alive has news")
}

/// A lease lives at least as long as was asked, counted from when it was asked.
pub async fn lease_is_granted_for_what_was_asked_or_more(store: &dyn Store, _prefix: &str) {
    let before = Instant::now();
    let asked = Duration::from_millis(600_100);
    let lease = store.grant(asked).await.unwrap();
    assert!(lease.ttl >= Duration::from_secs(601), "{lease:?}");
    assert!(before <= lease.sent_at && lease.sent_at <= Instant::now());
    assert!(store.grant(Duration::ZERO).await.unwrap().ttl > Duration::ZERO);
}

/// No two leases are the same.
pub async fn leases_differ(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let (one, two) = (space.grant(LONG).await, space.grant(LONG).await);
    assert_ne!(one.id, two.id);
}

/// A key tells which lease it ends with.
pub async fn key_tells_its_lease(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    space.put_with_lease("a", &lease).await;
    assert_eq!(space.get("a").await.unwrap().lease, Some(lease.id));
    space.put("a", "").await;
    assert_eq!(space.get("a").await.unwrap().lease, None);
}

/// All keys of a revoked lease are deleted at one revision, in their order.
pub async fn revoked_lease_ends_with_all_its_keys_at_one_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    space.put("other", "").await;
    for name in ["c", "a", "b"] {
        space.put_with_lease(name, &lease).await;
    }
    let mut watch = space.watch(space.header().await.revision.next()).await;
    space.revoke(&lease).await;
    assert_deleted(space, &mut watch, &["a", "b", "c"]).await;
    assert_eq!(space.get("b").await, None);
    assert!(space.get("other").await.is_some());
}

/// A lease that has ended is not found: not to be revoked again, and by no put.
pub async fn revoked_lease_is_not_found(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    space.revoke(&lease).await;
    let again = store.revoke(lease.id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::LeaseNotFound);
    let put = Op::put_with_lease(space.key("a"), "", lease.id);
    let refused = space.refused(Txn::new().then([put])).await;
    assert_eq!(refused, ErrorKind::LeaseNotFound);
}

/// A lease that nobody keeps alive ends by itself, not before its time, and a watch tells of it.
pub async fn delete_of_expired_lease_is_seen_by_watch(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(SHORT).await;
    space.put_with_lease("a", &lease).await;
    let put = space.put_with_lease("b", &lease).await;
    let mut watch = space.watch(put.next()).await;
    assert_deleted(space, &mut watch, &["a", "b"]).await;
    assert!(lease.sent_at.elapsed() >= lease.ttl);
    assert_eq!(space.get("a").await, None);
}

/// Once a lease has expired, nothing is put with it any more.
pub async fn expired_lease_takes_no_put(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(SHORT).await;
    let put = space.put_with_lease("a", &lease).await;
    let mut watch = space.watch(put.next()).await;
    assert_deleted(space, &mut watch, &["a"]).await;
    let put = Op::put_with_lease(space.key("a"), "", lease.id);
    let refused = space.refused(Txn::new().then([put])).await;
    assert_eq!(refused, ErrorKind::LeaseNotFound);
    let revoked = store.revoke(lease.id).await.unwrap_err();
    assert_eq!(revoked.kind(), ErrorKind::LeaseNotFound);
}

/// A put without a lease takes the key off the lease that it had.
pub async fn key_put_without_its_lease_outlives_it(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    space.put_with_lease("a", &lease).await;
    space.put("a", "").await;
    space.revoke(&lease).await;
    assert!(space.get("a").await.is_some());
}

/// A put with another lease moves the key to that.
pub async fn key_put_with_another_lease_ends_with_that(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let (one, two) = (space.grant(LONG).await, space.grant(LONG).await);
    space.put_with_lease("a", &one).await;
    space.put_with_lease("a", &two).await;
    space.revoke(&one).await;
    assert!(space.get("a").await.is_some());
    space.revoke(&two).await;
    assert_eq!(space.get("a").await, None);
}

/// A deleted key that was put again has nothing to do with its former lease.
pub async fn key_that_came_again_outlives_the_lease_of_the_first(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    space.put_with_lease("a", &lease).await;
    space.delete("a").await;
    space.put("a", "").await;
    space.revoke(&lease).await;
    assert!(space.get("a").await.is_some());
}

/// A lease that is kept alive lives on, and each word of it is newer than the one before.
pub async fn keep_alive_keeps_a_lease_beyond_its_time(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(SHORT).await;
    space.put_with_lease("a", &lease).await;
    let mut keep_alive = store.keep_alive(&lease, lease.ttl / 3);
    let mut last = lease.sent_at;
    while last < lease.sent_at + 2 * lease.ttl {
        let Beat::Alive { sent_at, ttl } = next_beat(&mut keep_alive).await else {
            panic!("the lease is kept alive");
        };
        assert!(sent_at >= last && sent_at <= Instant::now());
        assert!(ttl > Duration::ZERO && ttl <= lease.ttl);
        last = sent_at;
    }
    assert!(space.get("a").await.is_some());
    space.revoke(&lease).await;
}

/// Who keeps a lease alive is told when it is gone.
pub async fn keep_alive_tells_when_the_lease_is_gone(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(100));
    assert!(matches!(keep_alive.latest(), Beat::Alive { .. }));
    space.revoke(&lease).await;
    while next_beat(&mut keep_alive).await != Beat::Gone {}
    assert_eq!(keep_alive.latest(), Beat::Gone);
}

/// When nobody listens to a keep-alive any more, the lease ends. A clone is enough to listen.
pub async fn keep_alive_stops_when_its_last_handle_is_dropped(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(SHORT).await;
    let put = space.put_with_lease("a", &lease).await;
    let keep_alive = store.keep_alive(&lease, lease.ttl / 3);
    let mut clone = keep_alive.clone();
    drop(keep_alive);
    for _ in 0..3 {
        assert!(matches!(next_beat(&mut clone).await, Beat::Alive { .. }));
    }
    drop(clone);
    let mut watch = space.watch(put.next()).await;
    assert_deleted(space, &mut watch, &["a"]).await;
}

/// The end of a lease without keys changes nothing. Must have the store to itself.
pub async fn lease_without_keys_takes_no_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(LONG).await;
    let before = space.header().await.revision;
    space.revoke(&lease).await;
    assert_eq!(space.header().await.revision, before);
}
