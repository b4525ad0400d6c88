//! Which of the verbs that wait go into the next envelope together.
//!
//! Pure: it looks at the transactions in the line and at what an envelope can hold, and says which
//! of them to take. etcd evaluates all compares of a transaction before it writes anything, and
//! refuses one that writes a key twice. So no two members of an envelope may be about the same
//! keys, if one of them writes there: they would not see each other, or spoil the whole.
//!
//! The line is kept as far as that allows:
//!
//! - who is first in the line is taken, always;
//! - of two that are about the same keys, the one that came first is taken first;
//! - who can not be taken with those before it is passed over by those behind it twice at most.

use std::collections::BTreeSet;

use crate::store::{Compare, Key, KeyRange, Op, RangeEnd, Txn};

/// How often a verb is passed over at most.
const PASSED_OVER: u8 = 2;

/// How many verbs that can not be taken are looked past: those that come after them in one envelope
/// are few, and looking costs time.
const LOOKED_PAST: usize = 64;

/// How many operations an envelope has beyond its members: its receipt.
const RECEIPT: usize = 1;

/// Bytes of an envelope that are nobody's: its guard, its receipt, and what the request is wrapped
/// into on its way.
const WRAPPING: usize = 1_024;

/// What one operation or compare needs beyond its keys and values, at most.
const FRAMING: usize = 48;

/// What one envelope can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// How many verbs at most.
    pub(super) members: usize,
    /// How many operations, counted as etcd does: those of the envelope and those of its largest
    /// member.
    pub(super) ops: usize,
    pub(super) bytes: usize,
}

/// How much room a transaction takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// The longest of its three lists; one more, if it leaves a note that it was refused.
    pub(super) ops: usize,
    pub(super) bytes: usize,
}

/// How much an envelope holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    members: usize,
    widest: usize,
    bytes: usize,
}

/// A verb in the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Its place in the line.
    pub(super) place: u64,
    pub(super) txn: &'a Txn,
    pub(super) size: Size,
    /// How often it was passed over.
    pub(super) passed_over: u8,
    /// Whether it goes without others.
    pub(super) alone: bool,
}

/// What to do with the line: places in it, both in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Who goes into the next envelope.
    pub(super) taken: Vec<u64>,
    /// Who is passed over by some of those.
    pub(super) passed_over: Vec<u64>,
}

/// Plans the next envelope.
pub(super) fn plan<'a>(line: impl IntoIterator<Item = Candidate<'a>>, room: Room) -> Plan {
    let mut plan = Plan::default();
    let mut contents = Contents::default();
    let (mut inside, mut outside) = (Area::default(), Area::default());
    for candidate in line {
        let mut with = contents;
        with.add(candidate.size);
        let first = plan.taken.is_empty() && plan.passed_over.is_empty();
        let fits = !candidate.alone
            && with.fits_into(room)
            && !inside.clashes_with(candidate.txn)
            && !outside.clashes_with(candidate.txn);
        if fits || first {
            plan.taken.push(candidate.place);
            contents = with;
            if candidate.alone || contents.is_full(room) {
                break;
            }
            inside.add(candidate.txn);
            continue;
        }
        if candidate.passed_over == PASSED_OVER || plan.passed_over.len() == LOOKED_PAST {
            break;
        }
        plan.passed_over.push(candidate.place);
        outside.add(candidate.txn);
    }
    let last = plan.taken.last().copied();
    plan.passed_over.retain(|place| Some(*place) < last);
    plan
}

impl Size {
    /// The room that `txn` takes; with a note if it is `noted`.
    pub(super) fn of(txn: &Txn, noted: bool) -> Self {
        let note = usize::from(noted);
        Self {
            ops: txn.width().max(txn.otherwise.len() + note),
            bytes: FRAMING * (1 + note) + txn.bytes(FRAMING),
        }
    }
}

impl Contents {
    pub(super) fn add(&mut self, size: Size) {
        self.members += 1;
        self.widest = self.widest.max(size.ops);
        self.bytes += size.bytes;
    }

    /// How many operations the envelope has, counted as etcd does.
    pub(super) const fn ops(self) -> usize {
        self.members + RECEIPT + self.widest
    }

    /// How many bytes it is, at most.
    pub(super) const fn bytes(self) -> usize {
        WRAPPING + self.bytes
    }

    /// Whether nobody else fits in, however small.
    const fn is_full(self, room: Room) -> bool {
        self.members >= room.members || self.ops() >= room.ops
    }

    const fn fits_into(self, room: Room) -> bool {
        self.members <= room.members && self.ops() <= room.ops && self.bytes() <= room.bytes
    }
}

/// Keys that some transactions are about.
#[derive(Debug, Default)]
struct Area<'a> {
    written: Ranges<'a>,
    /// Read or compared.
    looked_at: Ranges<'a>,
}

impl<'a> Area<'a> {
    fn add(&mut self, txn: &'a Txn) {
        each(txn, &mut |touch| {
            match touch {
                Touch::Written(range) => self.written.add(range),
                Touch::LookedAt(range) => self.looked_at.add(range),
            }
            true
        });
    }

    /// Whether `txn` writes what these are about, or is about what these write.
    fn clashes_with(&self, txn: &Txn) -> bool {
        !each(txn, &mut |touch| match touch {
            Touch::Written(range) => !self.written.overlap(range) && !self.looked_at.overlap(range),
            Touch::LookedAt(range) => !self.written.overlap(range),
        })
    }
}

/// Some keys that a transaction is about.
#[derive(Clone, Copy)]
enum Touch<'a> {
    Written(Span<'a>),
    LookedAt(Span<'a>),
}

/// One key, or a range of them.
#[derive(Clone, Copy)]
enum Span<'a> {
    Key(&'a Key),
    Range(&'a KeyRange),
}

impl<'a> From<&'a KeyRange> for Span<'a> {
    fn from(range: &'a KeyRange) -> Self {
        match range.end() {
            RangeEnd::Single => Self::Key(range.start()),
            RangeEnd::Before(_) | RangeEnd::Unbounded => Self::Range(range),
        }
    }
}

/// Shows all that a transaction is about, as long as that is wanted; false once it is not.
fn each<'a>(txn: &'a Txn, see: &mut impl FnMut(Touch<'a>) -> bool) -> bool {
    let compared = |compare: &'a Compare| Touch::LookedAt((&compare.range).into());
    if !txn.compares.iter().map(compared).all(&mut *see) {
        return false;
    }
    txn.ops().all(|op| match op {
        Op::Put(put) => see(Touch::Written(Span::Key(&put.key))),
        Op::Delete(range) => see(Touch::Written(range.into())),
        Op::Range(request) => see(Touch::LookedAt((&request.range).into())),
        Op::Txn(nested) => each(nested, see),
    })
}

/// A set of keys: most are single ones, few are ranges.
#[derive(Debug, Default)]
struct Ranges<'a> {
    keys: BTreeSet<&'a Key>,
    ranges: Vec<&'a KeyRange>,
}

impl<'a> Ranges<'a> {
    fn add(&mut self, span: Span<'a>) {
        match span {
            Span::Key(key) => _ = self.keys.insert(key),
            Span::Range(range) => self.ranges.push(range),
        }
    }

    fn overlap(&self, span: Span<'_>) -> bool {
        match span {
            Span::Key(key) => {
                self.keys.contains(key) || self.ranges.iter().any(|range| range.contains(key))
            }
            Span::Range(range) => {
                let from = self.keys.range::<Key, _>(range.start()..).next();
                from.is_some_and(|key| range.contains(key))
                    || self.ranges.iter().any(|other| range.overlaps(other))
            }
        }
    }
}

#[cfg(test)]
mod tests;
