//! Laws of what a transaction does.

use futures::future::join_all;

use super::{Space, count, nested, nested_answer};
use crate::store::{Compare, ErrorKind, Op, OpResponse, RangeRequest, Revision, Store, Txn};

/// A key tells when it came, when it was put last, and how often.
pub async fn key_carries_its_revisions_and_its_version(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let first = space.put("a", "1").await;
    let second = space.put("a", "2").await;
    assert!(second > first);
    let kv = space.get("a").await.unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision), (first, second));
    assert_eq!((kv.version, &kv.value[..]), (2, &b"2"[..]));
}

/// A key that was deleted and is put again is a new one.
pub async fn deleted_key_begins_anew(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("a", "1").await;
    space.delete("a").await;
    let again = space.put("a", "2").await;
    let kv = space.get("a").await.unwrap();
    assert_eq!((kv.create_revision, kv.version), (again, 1));
}

/// All that a transaction writes, at every level, has one revision, which each answer carries.
pub async fn all_of_a_transaction_is_one_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let ops = [
        Op::get(space.key("a")),
        Op::put(space.key("a"), ""),
        nested([Op::put(space.key("b"), ""), Op::get(space.key("b"))]),
    ];
    let answer = space.txn(Txn::new().then(ops)).await;
    let revision = answer.header.revision;
    for name in ["a", "b"] {
        assert_eq!(space.get(name).await.unwrap().mod_revision, revision);
    }
    let read = answer.responses[0].as_range().unwrap();
    let inner = nested_answer(&answer, 2);
    let inner_read = inner.responses[1].as_range().unwrap();
    assert_eq!(read.header, answer.header);
    assert_eq!(
        (inner.header, inner_read.header),
        (read.header, read.header)
    );
    assert_eq!(inner_read.kvs[0].mod_revision, revision);
}

/// A read sees what the transaction wrote before it, at any level, and nothing written after it.
pub async fn reads_see_what_was_written_before_them(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("old", "").await;
    let all = || Op::Range(RangeRequest::new(space.all()).count_only());
    let ops = [
        all(),
        Op::put(space.key("a"), ""),
        all(),
        nested([all(), Op::put(space.key("b"), ""), all()]),
        Op::delete(space.key("old")),
        all(),
    ];
    let answer = space.txn(Txn::new().then(ops)).await;
    let inner = nested_answer(&answer, 3);
    let counts = [
        &answer.responses[0],
        &answer.responses[2],
        &inner.responses[0],
        &inner.responses[2],
        &answer.responses[5],
    ];
    assert_eq!(counts.map(count), [1, 2, 2, 3, 2]);
}

/// Transactions in a transaction each have compares and an answer of their own, to any depth.
pub async fn nested_transactions_choose_for_themselves(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    space.put("a", "").await;
    let member = |name: &str, inner: Vec<Op>| {
        Op::Txn(
            Txn::new()
                .when([Compare::present(space.key(name))])
                .then(inner),
        )
    };
    let deepest = member("a", vec![Op::put(space.key("deep"), "")]);
    let ops = [
        member("a", vec![deepest]),
        member("b", vec![Op::put(space.key("not"), "")]),
    ];
    let answer = space.txn(Txn::new().then(ops)).await;
    assert!(nested_answer(&answer, 0).succeeded && !nested_answer(&answer, 1).succeeded);
    assert!(nested_answer(nested_answer(&answer, 0), 0).succeeded);
    assert!(nested_answer(&answer, 1).responses.is_empty());
    assert!(space.get("deep").await.is_some() && space.get("not").await.is_none());
}

/// A delete tells how many keys it found.
pub async fn delete_tells_how_many_keys_there_were(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    for name in ["a", "b", "c"] {
        space.put(name, "").await;
    }
    let ops = [
        Op::delete(space.between("a", "c")),
        Op::delete(space.key("a")),
        Op::delete(space.all()),
    ];
    let answer = space.txn(Txn::new().then(ops)).await;
    let deleted = [2, 0, 1].map(|deleted| OpResponse::Delete { deleted });
    assert_eq!(answer.responses, deleted);
}

/// A transaction that only reads may read different revisions, but none that is still to come.
pub async fn past_is_read_by_a_transaction_that_only_reads(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let first = space.put("a", "").await;
    let second = space.put("b", "").await;
    let at = |revision| Op::Range(RangeRequest::new(space.all()).at(revision));
    let reads = Txn::new().then([at(first), at(second)]);
    let answer = space.txn(reads).await;
    let counts: Vec<_> = answer.responses.iter().map(count).collect();
    assert_eq!(counts, [1, 2]);
    let future = at(Revision::new(second.get() + 1_000_000));
    let refused = space.refused(Txn::new().then([future])).await;
    assert_eq!(refused, ErrorKind::Invalid);
}

/// Of many that create a key if it is absent exactly one succeeds, and the others see its key.
pub async fn one_of_many_creators_wins(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let create = |number: u32| async move {
        let txn = Txn::new()
            .when([Compare::absent(space.key("a"))])
            .then([Op::put(space.key("a"), number.to_string())])
            .otherwise([Op::get(space.key("a"))]);
        space.txn(txn).await
    };
    let answers = join_all((0..20).map(create)).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.succeeded);
    assert_eq!(won.len(), 1);
    let created = won[0].header.revision;
    for answer in lost {
        let kv = answer.responses[0].as_range().unwrap().first().unwrap();
        assert_eq!(kv.create_revision, created);
        assert!(answer.header.revision >= created);
    }
}

/// What changes nothing has no revision of its own. Must have the store to itself.
pub async fn transaction_that_changes_nothing_takes_no_revision(store: &dyn Store, prefix: &str) {
    let space = Space::new(store, prefix);
    let before = space.put("a", "").await;
    let ops = [
        Op::get(space.key("a")),
        Op::delete(space.key("b")),
        nested([Op::delete(space.key("b"))]),
    ];
    let answer = space.txn(Txn::new().then(ops)).await;
    assert_eq!(answer.header.revision, before);
    assert_eq!(space.header().await.revision, before);
    assert_eq!(space.put("a", "").await, before.next());
}
