use proptest::prelude::*;

use super::*;
use crate::store::{Limits, RangeRequest};

/// Few keys, so that many transactions are about the same.
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn key(index: usize) -> Key {
    Key::new(KEYS[index]).unwrap()
}

fn range() -> impl Strategy<Value = KeyRange> {
    (0..KEYS.len(), 0..KEYS.len()).prop_map(|(from, to)| match from.cmp(&to) {
        std::cmp::Ordering::Less => KeyRange::between(key(from), key(to)).unwrap(),
        std::cmp::Ordering::Equal => key(from).into(),
        std::cmp::Ordering::Greater => KeyRange::prefix(key(from)),
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..KEYS.len(), 0..200_usize).prop_map(|(at, size)| Op::put(key(at), vec![0; size])),
        range().prop_map(Op::Delete),
        range().prop_map(|range| Op::Range(RangeRequest::new(range))),
    ]
}

fn txn() -> impl Strategy<Value = Txn> {
    let compares = prop::collection::vec(range().prop_map(Compare::absent), 0..3);
    let ops = || prop::collection::vec(op(), 0..3);
    (compares, ops(), ops()).prop_map(|(compares, then, otherwise)| {
        Txn::new().when(compares).then(then).otherwise(otherwise)
    })
}

/// A transaction, and whether it goes alone.
fn member() -> impl Strategy<Value = (Txn, bool)> {
    (txn(), prop::bool::weighted(0.1))
}

fn room() -> impl Strategy<Value = Room> {
    (1..8_usize, 4..16_usize, 1_200..4_000_usize).prop_map(|(members, ops, bytes)| Room {
        members,
        ops,
        bytes,
    })
}

struct Verb {
    txn: Txn,
    alone: bool,
    passed_over: u8,
}

fn line(members: Vec<(Txn, bool)>) -> Vec<Verb> {
    let verb = |(txn, alone)| Verb {
        txn,
        alone,
        passed_over: 0,
    };
    members.into_iter().map(verb).collect()
}

fn candidates(line: &[Verb]) -> impl Iterator<Item = Candidate<'_>> {
    line.iter().zip(0..).map(|(verb, place)| Candidate {
        place,
        txn: &verb.txn,
        size: Size::of(&verb.txn, false),
        passed_over: verb.passed_over,
        alone: verb.alone,
    })
}

/// What a transaction writes, and what it is about at all; told by hand.
fn about(txn: &Txn) -> (Vec<KeyRange>, Vec<KeyRange>) {
    let (mut written, mut all) = (Vec::new(), Vec::new());
    all.extend(txn.compares.iter().map(|compare| compare.range.clone()));
    for op in txn.then.iter().chain(&txn.otherwise) {
        let range = match op {
            Op::Put(put) => put.key.clone().into(),
            Op::Delete(range) => range.clone(),
            Op::Range(request) => request.range.clone(),
            Op::Txn(_) => unreachable!("there are none"),
        };
        if !matches!(op, Op::Range(_)) {
            written.push(range.clone());
        }
        all.push(range);
    }
    (written, all)
}

fn clash(one: &Txn, other: &Txn) -> bool {
    let ((one_writes, one), (other_writes, other)) = (about(one), about(other));
    let meet = |some: &[KeyRange], others: &[KeyRange]| {
        some.iter()
            .any(|range| others.iter().any(|other| range.overlaps(other)))
    };
    meet(&one_writes, &other) || meet(&other_writes, &one)
}

fn index(place: u64) -> usize {
    usize::try_from(place).unwrap()
}

proptest! {
    #[test]
    fn members_of_one_envelope_are_out_of_each_others_way(
        members in prop::collection::vec(member(), 0..12), room in room(),
    ) {
        let line = line(members);
        let taken = plan(candidates(&line), room).taken;
        for (at, one) in taken.iter().enumerate() {
            for other in &taken[at + 1..] {
                prop_assert!(!clash(&line[index(*one)].txn, &line[index(*other)].txn));
            }
        }
    }

    #[test]
    fn envelope_of_many_is_within_its_room(
        members in prop::collection::vec(member(), 0..12), room in room(),
    ) {
        let line = line(members);
        let taken = plan(candidates(&line), room).taken;
        prop_assume!(taken.len() > 1);
        let mut contents = Contents::default();
        for place in &taken {
            contents.add(Size::of(&line[index(*place)].txn, false));
            prop_assert!(!line[index(*place)].alone);
        }
        prop_assert!(taken.len() <= room.members);
        prop_assert!(contents.ops() <= room.ops && contents.bytes() <= room.bytes);
    }

    #[test]
    fn of_two_about_the_same_keys_the_first_is_never_after_the_other(
        members in prop::collection::vec(member(), 0..12), room in room(),
    ) {
        let line = line(members);
        let taken = plan(candidates(&line), room).taken;
        for place in &taken {
            for before in 0..*place {
                let stays = !taken.contains(&before);
                prop_assert!(!(stays && clash(&line[index(before)].txn, &line[index(*place)].txn)));
            }
        }
    }

    /// The whole line goes, one envelope after the other.
    #[test]
    fn first_goes_with_each_envelope_and_nobody_is_passed_over_more_than_twice(
        members in prop::collection::vec(member(), 1..24), room in room(),
    ) {
        let mut line = line(members);
        while !line.is_empty() {
            let plan = plan(candidates(&line), room);
            prop_assert_eq!(plan.taken.first(), Some(&0));
            let last = *plan.taken.last().unwrap();
            let overtaken = (0..last).filter(|place| !plan.taken.contains(place));
            prop_assert_eq!(overtaken.collect::<Vec<_>>(), plan.passed_over.clone());
            for place in plan.passed_over {
                line[index(place)].passed_over += 1;
                prop_assert!(line[index(place)].passed_over <= 2);
            }
            let mut place = 0;
            line.retain(|_| {
                place += 1;
                !plan.taken.contains(&(place - 1))
            });
        }
    }
}

/// A verb about a key of its own.
fn own(at: usize) -> Verb {
    let key = Key::new(format!("own {at}")).unwrap();
    let txn = Txn::new()
        .when([Compare::absent(key.clone())])
        .then([Op::put(key, "1")]);
    Verb {
        txn,
        alone: false,
        passed_over: 0,
    }
}

fn plenty() -> Room {
    let limits = Limits::default();
    Room {
        members: usize::MAX,
        ops: limits.ops,
        bytes: limits.bytes,
    }
}

#[test]
fn verbs_in_nobodys_way_fill_the_operations_of_one_transaction() {
    let line: Vec<_> = (0..200).map(own).collect();
    let taken = plan(candidates(&line), plenty()).taken;
    // A receipt, and the one operation of the largest member.
    assert_eq!(taken, (0..126).collect::<Vec<_>>());
}

#[test]
fn who_is_too_large_for_any_envelope_goes_all_the_same() {
    let huge = Verb {
        txn: Txn::new().then([Op::put(key(0), vec![0; 2 << 20])]),
        ..own(0)
    };
    let line = [huge, own(1)];
    assert_eq!(plan(candidates(&line), plenty()).taken, [0]);
}

#[test]
fn who_goes_alone_goes_without_others() {
    let alone = |at| Verb {
        alone: true,
        ..own(at)
    };
    let line = [alone(0), own(1), alone(2), own(3)];
    let first = plan(candidates(&line), plenty());
    assert_eq!((first.taken, first.passed_over), (vec![0], vec![]));
    let second = plan(candidates(&line[1..]), plenty());
    assert_eq!((second.taken, second.passed_over), (vec![0, 2], vec![1]));
}

#[test]
fn readers_of_one_key_go_together_and_who_writes_it_does_not() {
    let reads = |at| {
        let verb = own(at);
        let txn = verb.txn.when([Compare::absent(key(0))]);
        Verb { txn, ..verb }
    };
    let writes = Verb {
        txn: Txn::new().then([Op::put(key(0), "1")]),
        ..own(9)
    };
    let line = [reads(1), reads(2), writes, reads(3), own(4)];
    let plan = plan(candidates(&line), plenty());
    // The last reader would see what is written before it in the line.
    assert_eq!((plan.taken, plan.passed_over), (vec![0, 1, 4], vec![2, 3]));
}

#[test]
fn note_of_a_refusal_takes_room() {
    let txn = own(0).txn;
    let (bare, noted) = (
        Size::of(&txn, false),
        Size::of(&txn.otherwise([Op::get(key(0))]), true),
    );
    assert_eq!((bare.ops, noted.ops), (1, 2));
    assert!(noted.bytes > bare.bytes);
}
