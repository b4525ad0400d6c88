//! Random scripts, in terms that are the same on every store.
//!
//! A script speaks the store's own types, with stand-ins in them: keys lack the prefix, the
//! revision n stands for the n-th after the start (and zero for itself), and the lease n for the
//! one that slot n holds. `play` puts the real ones in their place.

use std::ops::RangeInclusive;

use jobboard::store::{
    Compare, Content, Key, KeyRange, LeaseId, Op, Put, RangeRequest, Relation, Revision, Target,
    Txn,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// The lease slots of a script.
pub(crate) const SLOTS: RangeInclusive<i64> = 1..=3;

/// How deep transactions nest.
const DEPTH: u32 = 2;

/// One request of a script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Txn(Txn),
    Range(RangeRequest),
    /// Puts a new lease into a slot; the one that it held lives on.
    Grant(LeaseId),
    Revoke(LeaseId),
}

/// Any script. None of it compacts: how far a watch has come when a compaction meets it depends on
/// the store's pace.
pub(crate) fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => txn(DEPTH).prop_map(Step::Txn),
        3 => read().prop_map(Step::Range),
        1 => slot().prop_map(Step::Grant),
        1 => slot().prop_map(Step::Revoke),
    ];
    vec(step, 1..30)
}

fn txn(depth: u32) -> BoxedStrategy<Txn> {
    (
        vec(compare(), 0..3),
        vec(op(depth), 0..5),
        vec(op(depth), 0..3),
    )
        .prop_map(|(compares, mut then, mut otherwise)| {
            close_gap(&mut then);
            close_gap(&mut otherwise);
            Txn {
                compares,
                then,
                otherwise,
            }
        })
        .boxed()
}

/// Of sibling transactions only the first may delete. etcd misses a delete after a put of the same
/// key if both are in nested transactions, in this order: there, stores may differ.
fn close_gap(ops: &mut [Op]) {
    let nested = ops.iter_mut().filter_map(|op| match op {
        Op::Txn(nested) => Some(nested),
        Op::Put(_) | Op::Delete(_) | Op::Range(_) => None,
    });
    nested.skip(1).for_each(remove_deletes);
}

fn remove_deletes(txn: &mut Txn) {
    for ops in [&mut txn.then, &mut txn.otherwise] {
        ops.retain(|op| !matches!(op, Op::Delete(_)));
        for op in ops {
            if let Op::Txn(nested) = op {
                remove_deletes(nested);
            }
        }
    }
}

fn op(depth: u32) -> BoxedStrategy<Op> {
    let flat = prop_oneof![
        4 => (key(), value(), option::weighted(0.3, slot()))
            .prop_map(|(key, value, lease)| Op::Put(Put { key, value: value.into(), lease })),
        2 => range().prop_map(Op::Delete),
        3 => read().prop_map(|mut request| {
            // A transaction that writes reads no past, and most of them write.
            request.revision = None;
            Op::Range(request)
        }),
    ];
    match depth.checked_sub(1) {
        Some(rest) => prop_oneof![4 => flat, 1 => txn(rest).prop_map(Op::Txn)].boxed(),
        None => flat.boxed(),
    }
}

fn compare() -> impl Strategy<Value = Compare> {
    let relation = select(vec![
        Relation::Equal,
        Relation::NotEqual,
        Relation::Greater,
        Relation::Less,
    ]);
    let target = prop_oneof![
        revision().prop_map(Target::CreateRevision),
        revision().prop_map(Target::ModRevision),
        (0_u64..4).prop_map(Target::Version),
        value().prop_map(|value| Target::Value(value.into())),
        // Which of two leases is the greater one depends on the store.
        option::of(slot()).prop_map(Target::Lease),
    ];
    (range(), relation, target).prop_map(|(range, relation, target)| {
        let relation = match target {
            Target::Lease(_) if relation == Relation::Greater => Relation::NotEqual,
            Target::Lease(_) if relation == Relation::Less => Relation::Equal,
            _ => relation,
        };
        Compare::new(range, relation, target)
    })
}

fn read() -> impl Strategy<Value = RangeRequest> {
    let content = select(vec![Content::Full, Content::KeysOnly, Content::CountOnly]);
    // Whether revision zero can be read depends on whether the store was ever compacted.
    let past = option::weighted(0.3, (1_u64..20).prop_map(Revision::new));
    (range(), past, option::of(0_usize..4), content).prop_map(
        |(range, revision, limit, content)| {
            let mut request = RangeRequest::new(range);
            request.revision = revision;
            request.limit = limit;
            request.content = content;
            request
        },
    )
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        4 => key().prop_map(KeyRange::single),
        1 => (key(), key()).prop_map(|(one, two)| {
            let end = one.clone().max(two.clone()).successor();
            KeyRange::between(one.min(two), end).unwrap()
        }),
        1 => key().prop_map(KeyRange::prefix),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    select(vec!["a", "aa", "ab", "b", "c", "d", "e", "f"]).prop_map(|name| Key::new(name).unwrap())
}

fn value() -> impl Strategy<Value = &'static str> {
    select(vec!["", "x", "y"])
}

fn revision() -> impl Strategy<Value = Revision> {
    (0_u64..20).prop_map(Revision::new)
}

fn slot() -> impl Strategy<Value = LeaseId> {
    SLOTS.prop_map(|slot| LeaseId::new(slot).unwrap())
}
