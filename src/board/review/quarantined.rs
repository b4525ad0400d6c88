//! What could not be read, as who reviews the trash sees it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{
    protocol::{keys::Keyspace, quarantined::QuarantineRecord, record::Unreadable, trashed::Place},
    store::{Key, KeyValue, Revision},
};

/// Keys of a board that could not be read, and were [moved into the
/// trash](super::TrashReview::quarantine) by a person.
///
/// They are shown with their lengths, never with what they held: it can carry secrets.
#[derive(Clone)]
pub struct Quarantined {
    pub(super) place: Place,
    at: Revision,
    record: Arc<QuarantineRecord>,
}

impl Quarantined {
    pub(super) fn read(keys: &Keyspace, kv: &KeyValue) -> Result<Self, Unreadable> {
        Ok(Self {
            place: Place::of(kv),
            at: kv.create_revision,
            record: Arc::new(QuarantineRecord::read(keys, &kv.value)?),
        })
    }

    /// The keys that were moved, where they were, each with what it held, byte for byte.
    pub fn contents(&self) -> &[(Key, Bytes)] {
        &self.record.contents
    }

    /// What was wrong with them.
    pub fn error(&self) -> &str {
        &self.record.error
    }

    /// Who moved them.
    pub fn quarantined_by(&self) -> &str {
        &self.record.by
    }

    /// Why they were moved, if a reason was given.
    pub fn reason(&self) -> Option<&str> {
        self.record.reason.as_deref()
    }

    /// When they were moved, by the clock of who did.
    pub fn quarantined_on(&self) -> DateTime<Utc> {
        self.record.on
    }

    /// The revision at which they were moved.
    pub const fn revision(&self) -> Revision {
        self.at
    }
}

impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quarantined({:?})", self.record)
    }
}
