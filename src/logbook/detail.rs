//! A record that knows whether it is saved as it stands.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::protocol::detail::DetailRecord;

/// A record of a logbook, and whether it changed since it was read or saved.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    record: DetailRecord,
    changed: bool,
}

impl Detail {
    /// A record that is not saved yet.
    pub(super) fn new(uuid: Uuid, name: String) -> Self {
        Self {
            record: DetailRecord::new(uuid, name),
            changed: true,
        }
    }

    /// A record as it is kept.
    pub(super) const fn kept(record: DetailRecord) -> Self {
        Self {
            record,
            changed: false,
        }
    }

    /// The record, to change it.
    pub(super) const fn edit(&mut self) -> &mut DetailRecord {
        self.changed = true;
        &mut self.record
    }

    /// Adds a record to those in this one.
    pub(super) fn add(&mut self, child: Uuid) {
        self.edit().add(child);
    }

    /// Notes that it was saved at that time, as it stands.
    pub(super) fn saved(&mut self, now: DateTime<Utc>) {
        self.record.stamp(now);
        self.changed = false;
    }

    /// The record as it will be once it is saved at that time.
    pub(super) fn to_save(&self, now: DateTime<Utc>) -> DetailRecord {
        let mut record = self.record.clone();
        record.stamp(now);
        record
    }

    pub(super) const fn record(&self) -> &DetailRecord {
        &self.record
    }

    pub(super) const fn is_saved(&self) -> bool {
        !self.changed
    }
}
