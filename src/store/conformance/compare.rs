//! Laws of the compares of a transaction.

use super::{Space, count, nested_answer};
use crate::store::{Compare, KeyRange, Op, Relation, Revision, Store, Target, Txn};

/// Whether a compare holds.
async fn holds(
    space: Space<'_>,
    range: impl Into<KeyRange>,
    relation: Relation,
    target: Target,
) -> bool {
    let compare = Compare::new(range, relation, target);
    space.txn(Txn::new().when([compare])).await.succeeded
}

/// Checks that `target` compares as equal to the property of `range`, and as nothing else.
async fn assert_equal(space: Space<'_>, range: impl Into<KeyRange>, target: Target) {
    let range = range.into();
    for (relation, expected) in [
        (Relation::Equal, true),
        (Relation::NotEqual, false),
        (Relation::Greater, false),
        (Relation::Less, false),
    ] {
        let found = holds(space, range.clone(), relation, target.clone()).await;
        assert_eq!(found, expected, "{range:?} {relation:?} {target:?}");
    }
}

/// `then` happens if every compare holds, and `otherwise` if one does not; never both.
pub async fn branch_is_chosen_by_all_compares(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("a", "1").await;
    let txn = |value: &'static str| {
        Txn::new()
            .when([
                Compare::present(space.key("a")),
                Compare::value(space.key("a"), value),
            ])
            .then([Op::put(space.key("then"), "")])
            .otherwise([Op::put(space.key("otherwise"), "")])
    };
    assert!(!space.txn(txn("2")).await.succeeded);
    assert!(space.get("then").await.is_none() && space.get("otherwise").await.is_some());
    space.delete("otherwise").await;
    assert!(space.txn(txn("1")).await.succeeded);
    assert!(space.get("then").await.is_some() && space.get("otherwise").await.is_none());
}

/// Each property of a key is compared by its own order.
pub async fn each_target_compares_with_what_the_key_has(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let lease = space.grant(600).await;
    let created = space.put("a", "").await;
    let put = space.put_with_lease("a", &lease).await;
    let key = || space.key("a");
    assert_equal(space, key(), Target::CreateRevision(created)).await;
    assert_equal(space, key(), Target::ModRevision(put)).await;
    assert_equal(space, key(), Target::Version(2)).await;
    assert_equal(space, key(), Target::Value("leased".into())).await;
    assert_equal(space, key(), Target::Lease(Some(lease.id))).await;
    assert!(holds(space, key(), Relation::NotEqual, Target::Lease(None)).await);
    assert!(holds(space, key(), Relation::Greater, Target::Version(1)).await);
    assert!(
        holds(
            space,
            key(),
            Relation::Less,
            Target::ModRevision(put.next())
        )
        .await
    );
    assert!(holds(space, key(), Relation::Less, Target::Value("leasee".into())).await);
    assert!(
        holds(
            space,
            key(),
            Relation::Greater,
            Target::Value("lease".into())
        )
        .await
    );
    space.revoke(&lease).await;
}

/// A missing key has the revisions 0, the version 0 and no lease.
pub async fn missing_key_compares_as_zero(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let key = || space.key("a");
    assert_equal(space, key(), Target::CreateRevision(Revision::ZERO)).await;
    assert_equal(space, key(), Target::ModRevision(Revision::ZERO)).await;
    assert_equal(space, key(), Target::Version(0)).await;
    assert_equal(space, key(), Target::Lease(None)).await;
    let later = Target::ModRevision(Revision::new(1));
    assert!(holds(space, key(), Relation::Less, later).await);
}

/// No compare of the value of a missing key holds, not even that it differs.
pub async fn value_of_a_missing_key_never_holds(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for relation in [
        Relation::Equal,
        Relation::NotEqual,
        Relation::Greater,
        Relation::Less,
    ] {
        for value in ["", "a"] {
            let target = Target::Value(value.into());
            assert!(!holds(space, space.key("a"), relation, target).await);
        }
    }
}

/// A compare of a range holds if it holds for every key in it.
pub async fn compare_of_a_range_must_hold_for_each_key(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for name in ["a", "b", "c"] {
        space.put(name, "1").await;
    }
    space.put("c", "2").await;
    let version = || Target::Version(1);
    assert!(holds(space, space.between("a", "c"), Relation::Equal, version()).await);
    assert!(!holds(space, space.all(), Relation::Equal, version()).await);
    let value = || Target::Value("2".into());
    assert!(!holds(space, space.all(), Relation::Less, value()).await);
    assert!(holds(space, space.between("a", "c"), Relation::Less, value()).await);
}

/// A range without keys compares as a key that is missing.
pub async fn compare_of_an_empty_range_is_that_of_a_missing_key(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    assert_equal(space, space.all(), Target::Version(0)).await;
    let value = Target::Value("".into());
    assert!(!holds(space, space.all(), Relation::NotEqual, value).await);
    let absent = || Txn::new().when([Compare::absent(space.all())]);
    assert!(space.txn(absent()).await.succeeded);
    space.put("a", "").await;
    assert!(!space.txn(absent()).await.succeeded);
}

/// All compares are evaluated before anything is written.
pub async fn nested_compares_do_not_see_what_was_written_before_them(
    store: &dyn Store,
    prefix: &str,
) {
    let space = Space::new(store, prefix);
    let inner = Txn::new()
        .when([Compare::present(space.key("a"))])
        .then([Op::put(space.key("then"), "")])
        .otherwise([Op::get(space.key("a"))]);
    let ops = [Op::put(space.key("a"), ""), Op::Txn(inner)];
    let answer = space.txn(Txn::new().then(ops)).await;
    let inner = nested_answer(&answer, 1);
    assert!(!inner.succeeded);
    assert_eq!(count(&inner.responses[0]), 1);
    assert_eq!(space.get("then").await, None);
}
