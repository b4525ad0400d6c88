use super::*;
use crate::store::Event;

fn key(text: &'static str) -> Key {
    Key::new(text).unwrap()
}

fn lease(number: i64) -> LeaseId {
    LeaseId::new(number).unwrap()
}

/// A store with `a` (lease 7) at revision 2 and `b` at revision 3.
fn setup() -> Mvcc {
    let mut mvcc = Mvcc::new(1, 1000);
    apply(
        &mut mvcc,
        Txn::new().then([Op::put_with_lease(key("a"), "1", lease(7))]),
    );
    apply(&mut mvcc, Txn::new().then([Op::put(key("b"), "2")]));
    mvcc
}

fn apply(mvcc: &mut Mvcc, txn: Txn) -> TxnResponse {
    mvcc.txn(txn, |lease| lease.get() == 7).unwrap()
}

fn revision(mvcc: &Mvcc) -> u64 {
    mvcc.header().revision.get()
}

fn get(mvcc: &Mvcc, name: &'static str) -> Option<KeyValue> {
    let request = RangeRequest::new(key(name));
    mvcc.range(&request).unwrap().kvs.pop()
}

fn holds(mvcc: &Mvcc, range: impl Into<KeyRange>, relation: Relation, target: Target) -> bool {
    mvcc.holds(&Compare::new(range, relation, target))
}

#[test]
fn key_carries_its_revisions_and_its_version() {
    let mut mvcc = setup();
    apply(&mut mvcc, Txn::new().then([Op::put(key("a"), "3")]));
    let kv = get(&mvcc, "a").unwrap();
    assert_eq!((kv.create_revision.get(), kv.mod_revision.get()), (2, 4));
    assert_eq!((kv.version, kv.lease), (2, None));
    apply(&mut mvcc, Txn::new().then([Op::delete(key("a"))]));
    apply(&mut mvcc, Txn::new().then([Op::put(key("a"), "4")]));
    let kv = get(&mvcc, "a").unwrap();
    assert_eq!((kv.create_revision.get(), kv.version), (6, 1));
}

#[test]
fn transaction_that_changes_nothing_takes_no_revision() {
    let mut mvcc = setup();
    let nothing = [Op::get(key("a")), Op::delete(key("z")), Op::Txn(Txn::new())];
    let response = apply(&mut mvcc, Txn::new().then(nothing));
    assert_eq!((response.header.revision.get(), revision(&mvcc)), (3, 3));
}

#[test]
fn all_of_a_transaction_is_one_revision_and_every_answer_carries_it() {
    let mut mvcc = setup();
    let nested = Txn::new().then([Op::delete(KeyRange::prefix(key("a")))]);
    let ops = [Op::get(key("b")), Op::Txn(nested), Op::put(key("c"), "3")];
    let response = apply(&mut mvcc, Txn::new().then(ops));
    assert_eq!((response.header.revision.get(), revision(&mvcc)), (4, 4));
    let read = response.responses[0].as_range().unwrap();
    assert_eq!(read.header, response.header);
    let OpResponse::Txn(nested) = &response.responses[1] else {
        panic!("{response:?}");
    };
    assert_eq!(nested.header, response.header);
    assert_eq!(nested.responses, [OpResponse::Delete { deleted: 1 }]);
}

#[test]
fn nested_compares_do_not_see_what_was_written_before_them() {
    let mut mvcc = setup();
    let nested = Txn::new()
        .when([Compare::present(key("c"))])
        .otherwise([Op::get(key("c"))]);
    let response = apply(
        &mut mvcc,
        Txn::new().then([Op::put(key("c"), "3"), Op::Txn(nested)]),
    );
    let OpResponse::Txn(nested) = &response.responses[1] else {
        panic!("{response:?}");
    };
    assert!(!nested.succeeded);
    assert_eq!(nested.responses[0].as_range().unwrap().count, 1);
}

#[test]
fn missing_key_compares_as_zero_and_its_value_never_holds() {
    let mvcc = setup();
    let zero = Revision::ZERO;
    assert!(holds(
        &mvcc,
        key("z"),
        Relation::Equal,
        Target::CreateRevision(zero)
    ));
    assert!(holds(
        &mvcc,
        key("z"),
        Relation::Equal,
        Target::ModRevision(zero)
    ));
    assert!(holds(&mvcc, key("z"), Relation::Less, Target::Version(1)));
    assert!(holds(&mvcc, key("z"), Relation::Equal, Target::Lease(None)));
    for relation in [
        Relation::Equal,
        Relation::NotEqual,
        Relation::Greater,
        Relation::Less,
    ] {
        assert!(!holds(&mvcc, key("z"), relation, Target::Value("".into())));
    }
}

#[test]
fn each_target_compares_with_what_the_key_has() {
    let mvcc = setup();
    let two = Revision::new(2);
    assert!(holds(
        &mvcc,
        key("a"),
        Relation::Equal,
        Target::CreateRevision(two)
    ));
    assert!(holds(
        &mvcc,
        key("b"),
        Relation::Greater,
        Target::ModRevision(two)
    ));
    assert!(holds(&mvcc, key("a"), Relation::Equal, Target::Version(1)));
    assert!(holds(
        &mvcc,
        key("a"),
        Relation::Equal,
        Target::Lease(Some(lease(7)))
    ));
    assert!(holds(
        &mvcc,
        key("a"),
        Relation::NotEqual,
        Target::Lease(None)
    ));
    assert!(holds(
        &mvcc,
        key("b"),
        Relation::Less,
        Target::Value("3".into())
    ));
    assert!(!holds(
        &mvcc,
        key("b"),
        Relation::Less,
        Target::Value("2".into())
    ));
}

#[test]
fn compare_of_a_range_must_hold_for_each_key_in_it() {
    let mvcc = setup();
    let both = KeyRange::between(key("a"), key("c")).unwrap();
    assert!(holds(
        &mvcc,
        both.clone(),
        Relation::Equal,
        Target::Version(1)
    ));
    assert!(!holds(
        &mvcc,
        both,
        Relation::Equal,
        Target::Value("2".into())
    ));
    assert!(mvcc.holds(&Compare::absent(KeyRange::prefix(key("z")))));
}

#[test]
fn unknown_lease_refuses_the_whole_transaction_where_the_put_would_happen() {
    let mut mvcc = setup();
    let put = || Op::put_with_lease(key("d"), "4", lease(8));
    let nested = Txn::new().then([put()]);
    let error = mvcc
        .txn(
            Txn::new().then([Op::put(key("c"), "3"), Op::Txn(nested)]),
            |_| false,
        )
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseNotFound);
    assert_eq!((revision(&mvcc), get(&mvcc, "c")), (3, None));
    apply(&mut mvcc, Txn::new().otherwise([put()]));
}

#[test]
fn lease_ends_with_all_its_keys_at_one_revision_in_their_order() {
    let mut mvcc = setup();
    apply(
        &mut mvcc,
        Txn::new().then([Op::put_with_lease(key("Z"), "3", lease(7))]),
    );
    mvcc.end_lease(lease(7));
    let found = mvcc
        .find(&KeyRange::prefix(key("Z")), Revision::new(5))
        .unwrap();
    let at = Revision::new(5);
    assert_eq!(
        found.events,
        [Event::Delete {
            key: key("Z"),
            revision: at
        }]
    );
    assert_eq!((revision(&mvcc), get(&mvcc, "a")), (5, None));
    mvcc.end_lease(lease(7));
    assert_eq!(revision(&mvcc), 5);
}

#[test]
fn key_put_without_its_lease_outlives_it() {
    let mut mvcc = setup();
    apply(&mut mvcc, Txn::new().then([Op::put(key("a"), "3")]));
    mvcc.end_lease(lease(7));
    assert!(get(&mvcc, "a").is_some());
}

#[test]
fn past_is_read_as_it_was_and_the_future_not_at_all() {
    let mut mvcc = setup();
    apply(&mut mvcc, Txn::new().then([Op::delete(key("a"))]));
    let at = |revision| mvcc.range(&RangeRequest::new(key("a")).at(Revision::new(revision)));
    assert_eq!(at(3).unwrap().count, 1);
    assert_eq!(at(4).unwrap().count, 0);
    assert_eq!(at(5).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn nothing_was_before_the_first_revision() {
    let mvcc = setup();
    let all = KeyRange::prefix(key("a"));
    let read = mvcc.range(&RangeRequest::new(all.clone()).at(Revision::ZERO));
    assert_eq!(read.unwrap().count, 0);
    assert_eq!(mvcc.find(&all, Revision::ZERO).unwrap().events.len(), 1);
}

#[test]
fn revision_is_compacted_once_and_not_before_it_came() {
    let mut mvcc = setup();
    let mut compact = |revision| {
        let answer = mvcc.compact(Revision::new(revision));
        answer.map_err(|error| error.kind())
    };
    assert_eq!(compact(4), Err(ErrorKind::Invalid));
    assert_eq!(compact(3), Ok(()));
    assert_eq!(compact(3), Err(ErrorKind::Compacted));
}
