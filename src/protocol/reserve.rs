//! Taking numbers for jobs from the counter that TaskFlow uses as well.

use super::{
    keys::{JobId, Keyspace},
    record::Unreadable,
    verb::{Evidence, Malformed, Settled, Verb, read_of},
};
use crate::store::{Compare, Key, KeyValue, Op, RangeRequest, Revision, Txn, TxnResponse};

/// The counter as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    /// The last number taken.
    last: u64,
    /// What a transaction compares; zero where there is no counter yet.
    mod_revision: Revision,
}

impl Counter {
    /// Reads the counter: decimal text.
    pub(crate) fn read(kv: Option<&KeyValue>) -> Result<Self, Unreadable> {
        let Some(kv) = kv else {
            return Ok(Self::default());
        };
        let text = std::str::from_utf8(&kv.value).ok();
        let last = text.and_then(|text| text.parse().ok());
        let last = last.ok_or_else(|| Unreadable::new("the counter of numbers is no number"))?;
        Ok(Self {
            last,
            mod_revision: kv.mod_revision,
        })
    }

    /// The counter after `block` was taken at `revision`.
    pub(crate) const fn after(block: &Block, revision: Revision) -> Self {
        Self {
            last: block.last,
            mod_revision: revision,
        }
    }
}

/// Numbers taken in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    next: u64,
    last: u64,
}

impl Block {
    /// Whether all numbers have been handed out.
    pub(crate) const fn is_empty(&self) -> bool {
        self.next > self.last
    }
}

/// Hands the numbers out, the lowest first.
impl Iterator for Block {
    type Item = JobId;

    fn next(&mut self) -> Option<JobId> {
        let number = Some(self.next).filter(|next| *next <= self.last)?;
        self.next += 1;
        JobId::new(number)
    }
}

/// Takes the next numbers, as many as asked for.
///
/// A block whose taking got no answer is never used: settling says that nothing happened, and the
/// same transaction, sent again, is refused by the moved counter if it had.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    sequence: Key,
    seen: Counter,
    block: Block,
}

/// Why a block was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReserveRefusal {
    /// Somebody else took numbers meanwhile.
    Moved(Counter),
    /// The counter is no number.
    Unreadable(Unreadable),
}

impl Reserve {
    /// Takes `count` numbers after those that were `seen` to be taken.
    ///
    /// # Errors
    /// If there are not so many numbers left.
    pub(crate) fn new(keys: &Keyspace, seen: Counter, count: u32) -> Result<Self, Unreadable> {
        let last = seen
            .last
            .checked_add(count.into())
            .filter(|last| *last < u64::MAX);
        let last = last.ok_or_else(|| Unreadable::new("the counter of numbers is at its end"))?;
        let block = Block {
            next: seen.last + 1,
            last,
        };
        Ok(Self {
            sequence: keys.sequence(),
            seen,
            block,
        })
    }
}

impl Verb for Reserve {
    type Outcome = Result<(Block, Revision), ReserveRefusal>;

    fn doing(&self) -> String {
        "take numbers for jobs".to_owned()
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([Compare::mod_revision(
                self.sequence.clone(),
                self.seen.mod_revision,
            )])
            .then([Op::put(self.sequence.clone(), self.block.last.to_string())])
            .otherwise([Op::get(self.sequence.clone())])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok((self.block.clone(), response.header.revision)));
        }
        Ok(Err(match Counter::read(read_of(response, 0)?.first()) {
            Ok(counter) => ReserveRefusal::Moved(counter),
            Err(unreadable) => ReserveRefusal::Unreadable(unreadable),
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::DidNotHappen)
    }
}

#[cfg(test)]
mod tests;
