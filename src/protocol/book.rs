//! Writing logbooks: what the owner of a job saves, and what comes and goes without one.
//!
//! The records of a logbook can be more than one transaction takes, so that they go in [`parts`],
//! one after the other, the book's own record last. What is saved is fenced by the owner's token,
//! part for part. A book that is created is there when its own record is.
//!
//! Each of these verbs takes a receipt. A save could be sent again without harm, but whether it
//! happened would not be told: another save can have put the same records since.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use uuid::Uuid;

use super::{
    holding::{Hold, NotHeld},
    keys::Keyspace,
    repeatable::Repeatable,
    verb::{Evidence, Malformed, Receipt, Settled, Verb},
};
use crate::store::{Compare, Key, KeyRange, Op, RangeRequest, Revision, Txn, TxnResponse};

/// How many records go in one transaction: 100, where etcd takes 128 operations.
const MAX_PUTS: usize = 100;

/// How many bytes of keys and records go in one transaction: 1 MiB, where etcd takes 1.5 MiB.
const MAX_BYTES: usize = 1 << 20;

/// A record, and where it is kept.
pub(crate) type Sheet = (Key, Bytes);

/// Divides records into transactions: in their order, in as few as that takes.
pub(crate) fn parts(sheets: Vec<Sheet>) -> Vec<Part> {
    let mut parts: Vec<Vec<Sheet>> = Vec::new();
    let mut room = 0;
    for sheet in sheets {
        let size = sheet.0.as_bytes().len() + sheet.1.len();
        match parts.last_mut() {
            Some(part) if part.len() < MAX_PUTS && size <= room => {
                room -= size;
                part.push(sheet);
            }
            _ => {
                room = MAX_BYTES.saturating_sub(size);
                parts.push(vec![sheet]);
            }
        }
    }
    parts.into_iter().map(|part| Part(part.into())).collect()
}

/// Records that are written together.
#[derive(Clone)]
pub(crate) struct Part(Arc<[Sheet]>);

impl Part {
    /// How many records they are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The records, in the order in which they were given.
    #[cfg(test)]
    pub(crate) fn sheets(&self) -> &[Sheet] {
        &self.0
    }

    fn puts(&self) -> impl Iterator<Item = Op> {
        self.0
            .iter()
            .map(|(key, record)| Op::put(key.clone(), record.clone()))
    }

    fn get(&self, key: &Key) -> Option<&Bytes> {
        let mut sheets = self.0.iter();
        sheets
            .find(|(there, _)| there == key)
            .map(|(_, record)| record)
    }
}

/// Leaves the records out: they can carry secrets.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} records)", self.len())
    }
}

/// Puts records of a logbook for the owner of a job.
#[derive(Clone, Debug)]
pub(crate) struct SaveBook {
    hold: Hold,
    held: Compare,
    read_owner: Op,
    owner: Key,
    book: Uuid,
    kept: Compare,
    part: Part,
}

/// Why nothing was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SaveRefusal {
    /// The hold is over.
    NotHeld(NotHeld),
    /// The book is not there any more.
    NotKept,
}

impl SaveBook {
    /// Saves a part of the `book` that came to be at `created`.
    pub(crate) fn new(
        keys: &Keyspace,
        hold: Hold,
        book: Uuid,
        created: Revision,
        part: Part,
    ) -> Self {
        Self {
            hold,
            held: hold.is_held(keys),
            read_owner: hold.read_owner(keys),
            owner: hold.owner(keys),
            book,
            kept: Compare::create_revision(keys.book(book), created),
            part,
        }
    }
}

impl Verb for SaveBook {
    /// The revision at which, or at or before which, the records were there.
    type Outcome = Result<Revision, SaveRefusal>;

    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("save book {} of job {}", self.book, self.hold.job)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([self.held.clone(), self.kept.clone()])
            .then(self.part.puts())
            .otherwise([self.read_owner.clone()])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        Ok(Err(match self.hold.check(response)? {
            Ok(()) => SaveRefusal::NotKept,
            Err(not_held) => SaveRefusal::NotHeld(not_held),
        }))
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.owner.clone()).keys_only()]
    }

    /// What was not written can be sent again while the token holds.
    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let held = evidence.create_revision(0)? == self.hold.token;
        Ok(match evidence.receipt {
            Receipt::Names => Settled::Known(Ok(evidence.at)),
            Receipt::DoesNotName if held => Settled::DidNotHappen,
            Receipt::DoesNotName | Receipt::Gone => {
                Settled::Known(Err(SaveRefusal::NotHeld(NotHeld::default())))
            }
        })
    }
}

/// Puts records of a logbook that is not there yet.
#[derive(Clone, Debug)]
pub(crate) struct CreateBook {
    book: Uuid,
    key: Key,
    part: Part,
}

/// There is a logbook of that uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exists;

impl CreateBook {
    /// Creates `book`, if `part` has its own record; else writes what nobody reads before that.
    pub(crate) fn new(keys: &Keyspace, book: Uuid, part: Part) -> Self {
        Self {
            book,
            key: keys.book(book),
            part,
        }
    }
}

impl Verb for CreateBook {
    /// The revision at which the records came to be.
    type Outcome = Result<Revision, Exists>;

    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("create book {}", self.book)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([Compare::absent(self.key.clone())])
            .then(self.part.puts())
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(if response.succeeded {
            Ok(response.header.revision)
        } else {
            Err(Exists)
        })
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.key.clone())]
    }

    /// Nobody reads what comes before the book's own record, so that it can be sent again whatever
    /// became of it. That record is told from another's by its words once the receipt has gone.
    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let there = evidence.key(0)?;
        let created = there.map_or(evidence.at, |there| there.create_revision);
        let own = self.part.get(&self.key);
        let is_ours = own.is_some() && own == there.map(|there| &there.value);
        Ok(match evidence.receipt {
            Receipt::Gone if is_ours => Settled::Known(Ok(created)),
            _ => evidence.by_receipt(Ok(created), own.is_none()),
        })
    }
}

/// Deletes a logbook.
#[derive(Clone, Debug)]
pub(crate) struct DeleteBook {
    book: Uuid,
    key: Key,
    all: KeyRange,
}

impl DeleteBook {
    pub(crate) fn new(keys: &Keyspace, book: Uuid) -> Self {
        Self {
            book,
            key: keys.book(book),
            all: keys.all_of_book(book),
        }
    }
}

impl Verb for DeleteBook {
    /// Whether the book was there.
    type Outcome = bool;

    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("delete book {}", self.book)
    }

    fn txn(&self) -> Txn {
        Txn::new()
            .when([Compare::present(self.key.clone())])
            .then([Op::delete(self.all.clone())])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(response.succeeded)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        vec![RangeRequest::new(self.key.clone()).keys_only()]
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let undone = evidence.key(0)?.is_some();
        Ok(evidence.by_receipt(true, undone))
    }
}

/// Deletes what a creation that ended half-way has left of a logbook, if there is none.
pub(crate) fn sweep_book(keys: &Keyspace, book: Uuid) -> Repeatable {
    let sweep = Txn::new()
        .when([Compare::absent(keys.book(book))])
        .then([Op::delete(keys.all_of_book(book))]);
    Repeatable::new(format!("sweep book {book}"), Op::Txn(sweep))
}

#[cfg(test)]
mod tests;
