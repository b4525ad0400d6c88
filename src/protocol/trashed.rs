//! A job in the trash, as its record tells it.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    posting::Posting,
    record::{self, Unreadable},
    time::Timestamp,
    verb::{Evidence, Malformed},
};
use crate::store::{Compare, Key, KeyValue, RangeRequest, Revision};

/// A record of the trash: the posting, and how the job came there as far as that was noted.
/// TaskFlow notes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrashRecord {
    pub(crate) posting: Posting,
    pub(crate) note: Trashing,
}

/// A key as it was read: where it is, and which put of it that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: Key,
    /// The revision of its last put.
    pub(crate) put: Revision,
}

impl Place {
    pub(crate) fn of(kv: &KeyValue) -> Self {
        Self {
            key: kv.key.clone(),
            put: kv.mod_revision,
        }
    }

    /// It is still as it was read.
    pub(super) fn stands(&self) -> Compare {
        Compare::mod_revision(self.key.clone(), self.put)
    }

    /// Reads when it was last put.
    pub(super) fn read(&self) -> RangeRequest {
        RangeRequest::new(self.key.clone()).keys_only()
    }
}

/// Reads the first of `places`, which stands for all that are changed together.
pub(super) fn read_first(places: &[Place]) -> Vec<RangeRequest> {
    places.first().map(Place::read).into_iter().collect()
}

/// Whether that read shows it as it was.
pub(super) fn first_stands(places: &[Place], evidence: &Evidence<'_>) -> Result<bool, Malformed> {
    match places.first() {
        Some(first) => Ok(evidence.mod_revision(0)? == first.put),
        None => Ok(false),
    }
}

/// How a job came to be in the trash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Trashing {
    pub(crate) trashed_on: Option<Timestamp>,
    pub(crate) trashed_by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: Option<u32>,
}

impl TrashRecord {
    /// Reads a record.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Wire {
            jobboard: Option<Trashing>,
        }

        let wire: Wire = record::read_versioned(&bytes)?;
        Ok(Self {
            posting: Posting::read(bytes)?,
            note: wire.jobboard.unwrap_or_default(),
        })
    }

    /// The record of the posting as it was before the job came into the trash.
    ///
    /// # Errors
    /// If it can not be rewritten, which what was read as a posting always can.
    pub(super) fn without_note(&self) -> Result<Bytes, Unreadable> {
        record::without_notes(self.posting.record(), &NOTES)
    }
}

/// How a job comes into the trash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrashNote<'a> {
    pub(crate) on: DateTime<Utc>,
    pub(crate) by: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) attempts: u32,
    /// Names this trashing: the claim's id, or one of its own where there is no claim of ours.
    pub(crate) operation: Uuid,
}

impl TrashNote<'_> {
    /// The record of the trash: the posting with this note.
    ///
    /// # Errors
    /// If `posting` can not be rewritten, which what was read as a posting always can.
    pub(super) fn annotate(&self, posting: &Posting) -> Result<Bytes, Unreadable> {
        let wire = Wire {
            trashed_on: self.on.into(),
            trashed_by: self.by,
            reason: self.reason,
            attempts: self.attempts,
            claim: self.operation,
        };
        record::annotate(posting.record(), &wire)
    }

    /// Whether a record of the trash is that of a trashing.
    pub(super) fn names(record: &[u8], operation: Uuid) -> bool {
        #[derive(Deserialize)]
        struct Trashed {
            jobboard: Named,
        }
        #[derive(Deserialize)]
        struct Named {
            claim: Uuid,
        }
        record::read::<Trashed>(record).is_ok_and(|trashed| trashed.jobboard.claim == operation)
    }
}

/// The names of all that is noted.
const NOTES: [&str; 5] = ["trashed_on", "trashed_by", "reason", "attempts", "claim"];

/// The notes as they lie in the posting's `"jobboard"` object.
#[derive(Serialize)]
struct Wire<'a> {
    trashed_on: Timestamp,
    trashed_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    attempts: u32,
    claim: Uuid,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(jobboard: &Value) -> Result<TrashRecord, Unreadable> {
        TrashRecord::read(record::write(&json!({
            "uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11",
            "name": "thumbnail",
            "priority": "HIGH",
            "details": {"file": "a.png"},
            "jobboard": jobboard,
        })))
    }

    #[test]
    fn record_tells_who_trashed_the_job_and_why() {
        let note = json!({
            "v": 1, "trashed_on": "2026-01-31T12:00:00.000000", "trashed_by": "worker-3",
            "reason": "no such file", "attempts": 2, "claim": "x",
        });
        let read = record(&note).unwrap();
        assert_eq!(read.posting.name(), "thumbnail");
        let Trashing {
            trashed_on,
            trashed_by,
            reason,
            attempts,
        } = read.note;
        assert!(trashed_on.is_some());
        assert_eq!(trashed_by.as_deref(), Some("worker-3"));
        assert_eq!(reason.as_deref(), Some("no such file"));
        assert_eq!(attempts, Some(2));
    }

    #[test]
    fn note_is_taken_out_again_and_nothing_else_changes() {
        let plain = record(&json!({"v": 1, "unique": "k", "odd": 1.5})).unwrap();
        let note = TrashNote {
            on: DateTime::UNIX_EPOCH,
            by: "worker-3",
            reason: Some("no such file"),
            attempts: 2,
            operation: Uuid::from_u128(2),
        };
        let noted = TrashRecord::read(note.annotate(&plain.posting).unwrap()).unwrap();
        assert!(noted.note.trashed_on.is_some() && noted.note.attempts == Some(2));
        let restored: Value = record::read(&noted.without_note().unwrap()).unwrap();
        let before: Value = record::read(plain.posting.record()).unwrap();
        assert_eq!(restored, before);
    }

    #[test]
    fn record_of_a_newer_layout_is_told_as_such_whatever_else_is_in_it() {
        for note in [json!({"v": 2}), json!({"v": 2, "attempts": "several"})] {
            assert!(record(&note).unwrap_err().is_newer(), "{note}");
        }
        assert!(!record(&json!({"attempts": -1})).unwrap_err().is_newer());
    }

    #[test]
    fn record_without_a_note_tells_nothing_of_it() {
        assert_eq!(record(&Value::Null).unwrap().note, Trashing::default());
        assert_eq!(record(&json!({})).unwrap().note, Trashing::default());
    }

    #[test]
    fn note_of_the_wrong_form_makes_the_record_unreadable() {
        assert!(record(&json!({"attempts": -1})).is_err());
        assert!(record(&json!({"v": 2})).is_err());
    }
}
