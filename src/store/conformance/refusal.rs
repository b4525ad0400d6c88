//! Laws of what a transaction may not do, and of what looks like it but is allowed.

use super::{Space, nested};
use crate::store::{Compare, ErrorKind, Op, RangeRequest, Store, Txn};

/// Larger than the 1.5 MiB that etcd takes in one request.
const TOO_LARGE: usize = 3 << 19;

async fn assert_invalid(space: Space<'_>, ops: impl IntoIterator<Item = Op>) {
    assert_refused(space, ErrorKind::Invalid, ops).await;
}

async fn assert_refused(space: Space<'_>, why: ErrorKind, ops: impl IntoIterator<Item = Op>) {
    let txn = Txn::new().then(ops);
    assert_eq!(space.refused(txn).await, why);
    let count = RangeRequest::new(space.all()).count_only();
    assert_eq!(space.store.range(count).await.unwrap().count, 0);
}

/// A key can not be put twice, at any level, in branches that could both happen.
pub async fn key_put_twice_is_refused(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let put = || Op::put(space.key("a"), "");
    assert_invalid(space, [put(), put()]).await;
    assert_invalid(space, [put(), nested([put()])]).await;
    assert_invalid(space, [nested([put()]), put()]).await;
    assert_invalid(space, [nested([put()]), nested([nested([put()])])]).await;
    let other = Op::Txn(Txn::new().otherwise([put()]));
    assert_invalid(space, [put(), other]).await;
    let unused = Txn::new().otherwise([put(), put()]);
    assert_eq!(space.refused(unused).await, ErrorKind::Invalid);
}

/// A key can not be both put and deleted, alone or as part of a range.
pub async fn key_both_put_and_deleted_is_refused(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let put = || Op::put(space.key("b"), "");
    for delete in [
        Op::delete(space.key("b")),
        Op::delete(space.between("a", "c")),
    ] {
        let delete = || delete.clone();
        assert_invalid(space, [put(), delete()]).await;
        assert_invalid(space, [delete(), put()]).await;
        assert_invalid(space, [nested([put()]), delete()]).await;
        assert_invalid(space, [put(), nested([delete()])]).await;
        assert_invalid(space, [nested([delete()]), nested([put()])]).await;
    }
}

/// Of two branches only one happens, so that both may put the same key, or one delete it.
pub async fn branches_may_put_the_same_key(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let either = || {
        let txn = Txn::new().when([Compare::present(space.key("a"))]);
        let (then, otherwise) = (Op::put(space.key("a"), "2"), Op::put(space.key("a"), "1"));
        txn.then([then]).otherwise([otherwise])
    };
    space.txn(either()).await;
    assert_eq!(space.get("a").await.unwrap().value, "1");
    space.txn(Txn::new().then([Op::Txn(either())])).await;
    assert_eq!(space.get("a").await.unwrap().value, "2");
    let mut delete = either();
    delete.then = vec![Op::delete(space.key("a"))];
    space.txn(Txn::new().then([Op::Txn(delete)])).await;
    assert_eq!(space.get("a").await, None);
}

/// To delete a key twice is no contradiction.
pub async fn key_may_be_deleted_twice(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("a", "").await;
    let ops = [
        Op::delete(space.key("a")),
        Op::delete(space.all()),
        nested([Op::delete(space.key("a"))]),
    ];
    space.txn(Txn::new().then(ops)).await;
    assert_eq!(space.get("a").await, None);
}

/// A transaction has at most 128 compares, and as many operations in either branch.
pub async fn too_many_operations_are_refused(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let puts = |number: usize| (0..number).map(move |number| Op::put(space.key(number), ""));
    assert_refused(space, ErrorKind::TooManyOps, puts(129)).await;
    let compares = (0..129).map(|_| Compare::absent(space.key("a")));
    let refused = space.refused(Txn::new().when(compares)).await;
    assert_eq!(refused, ErrorKind::TooManyOps);
    let compares = (0..128).map(|_| Compare::absent(space.key("a")));
    let full = Txn::new()
        .when(compares)
        .then(puts(128))
        .otherwise(puts(128));
    assert!(space.txn(full).await.succeeded);
}

/// A nested transaction has what its parent left of the 128; its siblings take nothing from it.
pub async fn nested_operations_count_against_the_rest(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let group = |members: usize, size: usize| {
        (0..members).map(move |member| {
            let name = move |number| space.key(format_args!("{member}.{number}"));
            nested((0..size).map(move |number| Op::put(name(number), "")))
        })
    };
    assert_refused(space, ErrorKind::TooManyOps, group(65, 64)).await;
    assert_refused(space, ErrorKind::TooManyOps, group(64, 65)).await;
    space.txn(Txn::new().then(group(64, 64))).await;
}

/// A request larger than the 1.5 MiB that etcd takes is refused, and one of 1 MiB is not.
pub async fn request_that_is_too_large_is_refused(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    assert_refused(
        space,
        ErrorKind::RequestTooLarge,
        [Op::put(space.key("a"), vec![b'v'; TOO_LARGE])],
    )
    .await;
    assert_refused(
        space,
        ErrorKind::RequestTooLarge,
        [Op::put(space.key("a"), vec![b'v'; 2 * TOO_LARGE])],
    )
    .await;
    let fits = Op::put(space.key("a"), vec![b'v'; 1 << 20]);
    space.txn(Txn::new().then([fits])).await;
}

/// What a transaction that could write reads is never of a past revision.
pub async fn past_is_not_read_by_a_transaction_that_writes(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let revision = space.header().await.revision;
    let past = || Op::Range(RangeRequest::new(space.all()).at(revision));
    assert_invalid(space, [past(), Op::put(space.key("a"), "")]).await;
    assert_invalid(space, [nested([past()]), Op::delete(space.key("a"))]).await;
}

/// A put with a lease that does not exist refuses all of the transaction.
pub async fn put_with_an_unknown_lease_changes_nothing(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(600).await;
    space.revoke(&lease).await;
    let leased = || Op::put_with_lease(space.key("b"), "", lease.id);
    for last in [leased(), nested([leased()])] {
        let txn = Txn::new().then([Op::put(space.key("a"), ""), last]);
        assert_eq!(space.refused(txn).await, ErrorKind::LeaseNotFound);
        assert_eq!(space.get("a").await, None);
    }
}

/// A lease that does not exist is no matter in a branch that does not happen.
pub async fn unknown_lease_matters_only_where_it_would_be_put(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(600).await;
    space.revoke(&lease).await;
    let leased = || Op::put_with_lease(space.key("b"), "", lease.id);
    let inner = Txn::new().otherwise([leased()]);
    let txn = Txn::new().then([Op::put(space.key("a"), ""), Op::Txn(inner)]);
    space.txn(txn.otherwise([leased()])).await;
    assert!(space.get("a").await.is_some());
}

/// What is refused leaves no trace. Must have the store to itself.
pub async fn refused_transaction_takes_no_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let before = space.put("a", "").await;
    let put = || Op::put(space.key("b"), "");
    space.refused(Txn::new().then([put(), put()])).await;
    let lease = space.grant(600).await;
    space.revoke(&lease).await;
    let leased = Op::put_with_lease(space.key("c"), "", lease.id);
    space.refused(Txn::new().then([put(), leased])).await;
    assert_eq!(space.header().await.revision, before);
}
