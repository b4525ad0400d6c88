//! A logbook out of its records.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use super::{AtomDetail, FlowDetail, Kept, LogBook, detail::Detail};
use crate::{
    protocol::{detail::DetailRecord, keys::Keyspace, record::Unreadable},
    random::Random,
    store::{Key, KeyValue, Revision},
};

/// Why a logbook can not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Its own record is not there.
    #[error("no such book is kept here")]
    Missing,
    /// One of its records can not be read.
    #[error("its record {0} can not be read: {1}")]
    Unreadable(Key, Unreadable),
}

/// The records of a book that belong to it, taken one by one.
struct Records<'a> {
    keys: &'a Keyspace,
    there: BTreeMap<Key, Bytes>,
}

impl Records<'_> {
    fn take(&mut self, key: Key, uuid: Uuid) -> Result<Detail, Broken> {
        let record = match self.there.remove(&key) {
            Some(record) => DetailRecord::read(uuid, &record),
            None => Err(Unreadable::new(
                "it is not there, or belongs to the book twice",
            )),
        };
        let record = record.map_err(|why| Broken::Unreadable(key, why))?;
        Ok(Detail::kept(record))
    }
}

/// Puts `book` together out of what lay in its range at a revision. What no record names is left
/// out: it belongs to nothing.
pub(super) fn assemble(
    keys: &Keyspace,
    random: &Random,
    book: Uuid,
    seen: Revision,
    there: Vec<KeyValue>,
) -> Result<LogBook, Broken> {
    let own = keys.book(book);
    let created = there.iter().find(|kv| kv.key == own);
    let created = created.ok_or(Broken::Missing)?.create_revision;
    let there = there.into_iter().map(|kv| (kv.key, kv.value)).collect();
    let mut records = Records { keys, there };
    let detail = records.take(own, book)?;
    let flows = detail.record().order().iter();
    let flows = flows.map(|flow| take_flow(&mut records, random, book, *flow));
    Ok(LogBook {
        flows: flows.collect::<Result<_, _>>()?,
        detail,
        random: random.clone(),
        kept: Some(Kept { created, seen }),
    })
}

fn take_flow(
    records: &mut Records<'_>,
    random: &Random,
    book: Uuid,
    flow: Uuid,
) -> Result<FlowDetail, Broken> {
    let detail = records.take(records.keys.flow(book, flow), flow)?;
    let atoms = detail.record().order().iter().map(|atom| {
        let detail = records.take(records.keys.atom(book, flow, *atom), *atom)?;
        Ok(AtomDetail { detail })
    });
    Ok(FlowDetail {
        atoms: atoms.collect::<Result<_, _>>()?,
        detail,
        random: random.clone(),
    })
}
