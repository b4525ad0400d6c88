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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    fn key(text: &'static str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn width_is_that_of_the_longest_list() {
        let op = || Op::get(key("a"));
        let lists = |compares, then, otherwise| {
            Txn::new()
                .when((0..compares).map(|_| Compare::present(key("a"))))
                .then((0..then).map(|_| op()))
                .otherwise((0..otherwise).map(|_| op()))
                .width()
        };
        assert_eq!([lists(3, 2, 1), lists(1, 3, 2), lists(2, 1, 3)], [3, 3, 3]);
    }

    #[test]
    fn bytes_are_those_of_all_keys_and_values_at_every_depth() {
        let range = || KeyRange::between(key("ab"), key("cde")).unwrap();
        let bytes = |txn: Txn| txn.bytes(100);
        let when = |compare| bytes(Txn::new().when([compare]));
        assert_eq!(when(Compare::value(key("abc"), "1234")), 100 + 3 + 1 + 4);
        assert_eq!(when(Compare::absent(range())), 100 + 2 + 3);
        let put = || Op::put(key("abc"), "1234");
        let then = Txn::new().then([put(), Op::delete(range()), Op::get(range())]);
        assert_eq!(bytes(then.clone()), 300 + 7 + 5 + 5);
        let nested = Txn::new().otherwise([Op::Txn(then), put()]);
        assert_eq!(bytes(nested), 100 + 317 + 107);
    }
}
