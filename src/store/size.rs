//! How much a transaction asks for at once.

use super::{Compare, KeyRange, Op, RangeEnd, Target, Txn};

impl Txn {
    /// The longest of its three lists: what etcd counts of one level.
    pub(crate) fn width(&self) -> usize {
        self.compares
            .len()
            .max(self.then.len())
            .max(self.otherwise.len())
    }

    /// Its keys and values, and `framing` for each operation and compare: what those are sent with
    /// depends on their lengths, and is not known exactly.
    pub(crate) fn bytes(&self, framing: usize) -> usize {
        let compares = self.compares.iter().map(|Compare { range, target, .. }| {
            let value = match target {
                Target::Value(value) => value.len(),
                _ => 0,
            };
            framing + bytes_of(range) + value
        });
        let ops = self.ops().map(|op| {
            framing
                + match op {
                    Op::Put(put) => put.key.as_bytes().len() + put.value.len(),
                    Op::Delete(range) => bytes_of(range),
                    Op::Range(request) => bytes_of(&request.range),
                    Op::Txn(nested) => nested.bytes(framing),
                }
        });
        compares.chain(ops).sum()
    }
}

fn bytes_of(range: &KeyRange) -> usize {
    let end = match range.end() {
        RangeEnd::Before(end) => end.as_bytes().len(),
        RangeEnd::Single | RangeEnd::Unbounded => 1,
    };
    range.start().as_bytes().len() + end
}
