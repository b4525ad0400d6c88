//! What etcd refuses to do at all, whatever the store holds.

use std::collections::BTreeSet;

use super::history::bounds;
use crate::store::{Error, ErrorKind, Key, KeyRange, Limits, Op, Result, Txn};

/// What an operation or a compare costs beyond its keys and values when it is sent: about as much
/// as in etcd's encoding, where it depends on the lengths.
const FRAMING: usize = 16;

/// Refuses what etcd refuses, and what etcd could apply differently on its members.
///
/// etcd finds a put and a delete of one key in two nested transactions in one order only. Here it
/// is refused in both: whoever relied on the order would rely on a gap.
pub(super) fn check(txn: &Txn) -> Result<()> {
    check_budget(txn, Limits::OF_ETCD.ops)?;
    if txn.writes() && txn.reads_the_past() {
        return Err(Error::invalid(
            "a transaction that writes can not read at a past revision",
        ));
    }
    let (size, most) = (txn.bytes(FRAMING), Limits::OF_ETCD.bytes);
    if size > most {
        return Err(Error::new(
            ErrorKind::RequestTooLarge,
            format!("a request of {size} bytes is larger than {most}"),
        ));
    }
    Writes::of(&txn.then)?;
    Writes::of(&txn.otherwise)?;
    Ok(())
}

/// A level costs the longest of its three lists, and leaves the rest to each transaction in it.
fn check_budget(txn: &Txn, budget: usize) -> Result<()> {
    let cost = txn.width();
    let Some(rest) = budget.checked_sub(cost) else {
        let most = Limits::OF_ETCD.ops;
        return Err(Error::new(
            ErrorKind::TooManyOps,
            format!(
                "too many operations in a transaction: {cost} where {budget} are left of {most}"
            ),
        ));
    };
    txn.ops().try_for_each(|op| match op {
        Op::Txn(nested) => check_budget(nested, rest),
        Op::Put(_) | Op::Delete(_) | Op::Range(_) => Ok(()),
    })
}

/// What some operations could write together.
#[derive(Default)]
struct Writes<'a> {
    puts: BTreeSet<&'a Key>,
    deletes: Vec<&'a KeyRange>,
}

impl<'a> Writes<'a> {
    /// What `ops` could write, unless two of them are in each other's way.
    fn of(ops: &'a [Op]) -> Result<Self> {
        let mut all = Self::default();
        for op in ops {
            match op {
                Op::Put(put) => all.add(Self {
                    puts: BTreeSet::from([&put.key]),
                    deletes: Vec::new(),
                })?,
                Op::Delete(range) => all.add(Self {
                    puts: BTreeSet::new(),
                    deletes: vec![range],
                })?,
                Op::Range(_) => {}
                Op::Txn(nested) => {
                    // Only one of the two branches happens, so that they may write the same.
                    let mut either = Self::of(&nested.then)?;
                    either.merge(Self::of(&nested.otherwise)?);
                    all.add(either)?;
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, other: Self) -> Result<()> {
        if let Some(key) = self.clash(&other) {
            return Err(Error::invalid(format!(
                "a transaction writes {key} more than once"
            )));
        }
        self.merge(other);
        Ok(())
    }

    fn merge(&mut self, mut other: Self) {
        self.puts.append(&mut other.puts);
        self.deletes.append(&mut other.deletes);
    }

    /// A key that both write, other than by deleting it twice.
    fn clash(&self, other: &Self) -> Option<&'a Key> {
        let put_twice = other.puts.iter().find(|key| self.puts.contains(**key));
        put_twice
            .copied()
            .or_else(|| self.deleted_put(other))
            .or_else(|| other.deleted_put(self))
    }

    /// A key that `self` puts and `other` deletes.
    fn deleted_put(&self, other: &Self) -> Option<&'a Key> {
        other
            .deletes
            .iter()
            .find_map(|range| self.puts.range::<Key, _>(bounds(range)).next().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Compare, ErrorKind, RangeRequest, Revision};

    fn key(text: &str) -> Key {
        Key::new(text.to_owned()).unwrap()
    }

    fn put(name: &str) -> Op {
        Op::put(key(name), "v")
    }

    fn delete(name: &str) -> Op {
        Op::delete(KeyRange::prefix(key(name)))
    }

    fn nested(then: impl IntoIterator<Item = Op>) -> Op {
        Op::Txn(Txn::new().then(then))
    }

    #[track_caller]
    fn assert_refused_as(kind: ErrorKind, txn: &Txn) {
        let checked = check(txn).map_err(|error| error.kind());
        assert_eq!(checked, Err(kind), "{txn:?}");
    }

    #[track_caller]
    fn assert_refused(txn: &Txn) {
        assert_refused_as(ErrorKind::Invalid, txn);
    }

    #[track_caller]
    fn assert_allowed(txn: &Txn) {
        assert!(check(txn).is_ok(), "{txn:?}");
    }

    #[test]
    fn key_put_twice_is_refused_at_any_depth() {
        assert_refused(&Txn::new().then([put("a"), put("a")]));
        assert_refused(&Txn::new().then([put("a"), nested([put("a")])]));
        assert_refused(&Txn::new().then([nested([put("a")]), nested([put("a")])]));
        assert_refused(&Txn::new().otherwise([put("a"), put("a")]));
        assert_allowed(&Txn::new().then([put("a"), put("b")]));
    }

    #[test]
    fn branches_of_one_transaction_may_put_the_same_key() {
        let either = Txn::new().then([put("a")]).otherwise([put("a")]);
        assert_allowed(&either);
        assert_allowed(&Txn::new().then([Op::Txn(either.clone())]));
        assert_refused(&Txn::new().then([Op::Txn(either), put("a")]));
    }

    #[test]
    fn key_both_put_and_deleted_is_refused_in_any_order() {
        assert_refused(&Txn::new().then([put("ab"), delete("a")]));
        assert_refused(&Txn::new().then([delete("a"), put("ab")]));
        assert_refused(&Txn::new().then([nested([delete("a")]), nested([put("ab")])]));
        assert_refused(&Txn::new().then([nested([put("ab")]), nested([delete("a")])]));
        assert_allowed(&Txn::new().then([put("b"), delete("a")]));
    }

    #[test]
    fn key_may_be_deleted_twice() {
        assert_allowed(&Txn::new().then([delete("a"), delete("ab"), nested([delete("a")])]));
    }

    #[test]
    fn each_level_leaves_its_rest_to_the_levels_below() {
        let puts = |count: usize| (0..count).map(|number| put(&format!("k{number}")));
        assert_allowed(&Txn::new().then(puts(128)));
        assert_refused_as(ErrorKind::TooManyOps, &Txn::new().then(puts(129)));
        let outer = |count: usize, inner: Op| {
            let reads = (1..count).map(|_| Op::get(key("r")));
            Txn::new().then(reads.chain([inner]))
        };
        assert_allowed(&outer(64, nested(puts(64))));
        assert_refused_as(ErrorKind::TooManyOps, &outer(65, nested(puts(64))));
        let compares = (0..129).map(|_| Compare::present(key("a")));
        assert_refused_as(ErrorKind::TooManyOps, &Txn::new().when(compares));
    }

    #[test]
    fn request_over_the_limit_is_refused() {
        assert_allowed(&Txn::new().then([Op::put(key("a"), vec![0; Limits::OF_ETCD.bytes - 100])]));
        assert_refused_as(
            ErrorKind::RequestTooLarge,
            &Txn::new().then([Op::put(key("a"), vec![0; Limits::OF_ETCD.bytes])]),
        );
        assert_refused_as(
            ErrorKind::RequestTooLarge,
            &Txn::new().when([Compare::value(key("a"), vec![0; Limits::OF_ETCD.bytes])]),
        );
    }

    #[test]
    fn past_is_read_only_where_nothing_can_be_written() {
        let past = Op::Range(RangeRequest::new(key("a")).at(Revision::new(1)));
        assert_allowed(&Txn::new().then([past.clone()]));
        assert_refused(&Txn::new().then([past]).otherwise([put("a")]));
    }
}
