//! What is to be written of a logbook.

use chrono::{DateTime, Utc};

use super::{LogBook, detail::Detail};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        book::{Part, Sheet, parts},
        detail::DetailRecord,
        keys::Keyspace,
        limits::{MAX_BOOK_RECORD, check_length, check_name},
    },
    store::Key,
};

/// Which records of a book are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Changed,
}

/// A book about to be written: its records as they will be, checked, in the order in which they are
/// written.
pub(super) struct Draft<'a> {
    doing: &'a str,
    which: Which,
    now: DateTime<Utc>,
    sheets: Vec<Sheet>,
}

impl<'a> Draft<'a> {
    /// Writes down what is to be written of `book`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with the first record that can not be.
    pub(super) fn of(
        book: &LogBook,
        keys: &Keyspace,
        which: Which,
        now: DateTime<Utc>,
        doing: &'a str,
    ) -> Result<Self> {
        let mut draft = Self {
            doing,
            which,
            now,
            sheets: Vec::new(),
        };
        let uuid = book.uuid();
        for flow in &book.flows {
            for atom in &flow.atoms {
                let key = || keys.atom(uuid, flow.uuid(), atom.uuid());
                draft.add("atom", &atom.detail, key)?;
            }
        }
        for flow in &book.flows {
            draft.add("flow", &flow.detail, || keys.flow(uuid, flow.uuid()))?;
        }
        draft.add("book", &book.detail, || keys.book(uuid))?;
        Ok(draft)
    }

    fn add(&mut self, what: &str, detail: &Detail, key: impl FnOnce() -> Key) -> Result<()> {
        if self.which == Which::Changed && detail.is_saved() {
            return Ok(());
        }
        let name = &detail.record().name;
        check_name(self.doing, &format!("the {what}'s name"), name)?;
        let what = || format!("the record of {what} {name:?}");
        let record = detail.to_save(self.now).write();
        check_length(self.doing, &what(), record.len(), MAX_BOOK_RECORD)?;
        // What nobody could read must not be kept.
        DetailRecord::read(detail.record().uuid, &record).map_err(|why| {
            let why = format!("{} could not be read: {why}", what());
            Error::new(ErrorKind::Invalid, self.doing, why)
        })?;
        self.sheets.push((key(), record));
        Ok(())
    }

    /// What is written together, one after the other.
    pub(super) fn into_parts(self) -> Vec<Part> {
        parts(self.sheets)
    }
}

/// Notes that the first `count` of the changed records were saved at `now`, as they stand.
pub(super) fn mark_saved(book: &mut LogBook, count: usize, now: DateTime<Utc>) {
    let changed = in_order(book).filter(|detail| !detail.is_saved());
    changed.take(count).for_each(|detail| detail.saved(now));
}

/// Notes that all records were saved at `now`, as they stand.
pub(super) fn mark_all_saved(book: &mut LogBook, now: DateTime<Utc>) {
    in_order(book).for_each(|detail| detail.saved(now));
}

/// All records, in the order in which they are written.
fn in_order(book: &mut LogBook) -> impl Iterator<Item = &mut Detail> {
    let (mut flows, mut atoms) = (Vec::new(), Vec::new());
    for flow in &mut book.flows {
        flows.push(&mut flow.detail);
        atoms.extend(flow.atoms.iter_mut().map(|atom| &mut atom.detail));
    }
    atoms.into_iter().chain(flows).chain([&mut book.detail])
}
