//! What is kept of a logbook, of a flow in it, and of an atom in that: one layout for the three.
//!
//! A record names the records in it, in their order. So one that nobody names belongs to nothing: a
//! save that ended half-way has left it.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    record::{self, Unreadable, VERSION},
    time::Timestamp,
};

/// The record of a logbook, of a flow or of an atom. What a level has no use for is not there.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DetailRecord {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) meta: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) results: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
    jobboard: Layout,
    /// What this library does not know (yet).
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// What is ours alone.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Layout {
    v: u32,
    /// The records in this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    order: Vec<Uuid>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl DetailRecord {
    pub(crate) fn new(uuid: Uuid, name: String) -> Self {
        Self {
            uuid,
            name,
            meta: Map::new(),
            state: None,
            results: Value::Null,
            version: None,
            created_at: None,
            updated_at: None,
            jobboard: Layout {
                v: VERSION,
                order: Vec::new(),
                extra: Map::new(),
            },
            extra: Map::new(),
        }
    }

    /// Reads the record that is kept as `uuid`.
    pub(crate) fn read(uuid: Uuid, bytes: &[u8]) -> Result<Self, Unreadable> {
        let record: Self = record::read_open(bytes)?;
        let newer = record.jobboard.v;
        if newer > VERSION {
            let why = format!("its layout has version {newer}, this library knows {VERSION}");
            return Err(Unreadable::new(why));
        }
        if record.uuid != uuid {
            return Err(Unreadable::new("it is that of another uuid"));
        }
        Ok(record)
    }

    pub(crate) fn write(&self) -> Bytes {
        record::write(self)
    }

    /// Notes that it is saved at that time.
    pub(crate) fn stamp(&mut self, now: DateTime<Utc>) {
        let now = Timestamp::from(now);
        self.created_at.get_or_insert(now);
        self.updated_at = Some(now);
    }

    /// Adds a record to those in this one.
    pub(crate) fn add(&mut self, child: Uuid) {
        self.jobboard.order.push(child);
    }

    /// The records in this one, in the order in which they were added.
    pub(crate) fn order(&self) -> &[Uuid] {
        &self.jobboard.order
    }

    /// When it was first saved.
    pub(crate) fn created_at(&self) -> Option<DateTime<Utc>> {
        self.created_at.map(Timestamp::get)
    }

    /// When it was last saved.
    pub(crate) fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at.map(Timestamp::get)
    }
}

/// Leaves out what can carry secrets: meta, results, and what is not known.
impl fmt::Debug for DetailRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetailRecord")
            .field("uuid", &self.uuid)
            .field("name", &self.name)
            .field("state", &self.state)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ATOM: Uuid = Uuid::from_u128(1);

    fn read(value: &Value) -> Result<DetailRecord, Unreadable> {
        DetailRecord::read(ATOM, value.to_string().as_bytes())
    }

    fn full() -> Value {
        json!({
            "uuid": ATOM,
            "name": "fetch",
            "meta": {"file": "a.png"},
            "state": "SUCCESS",
            "results": [1, 2],
            "version": "1.0",
            "created_at": "2026-01-31T12:00:00.000000",
            "updated_at": "2026-01-31T12:00:01.000000",
            "jobboard": {"v": 1, "order": [Uuid::from_u128(2)]},
        })
    }

    #[test]
    fn record_is_written_as_it_was_read() {
        for value in [
            full(),
            json!({"uuid": ATOM, "name": "n", "meta": {}, "created_at": null, "updated_at": null,
                "jobboard": {"v": 1}}),
        ] {
            let written = read(&value).unwrap().write();
            assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), value);
        }
    }

    #[test]
    fn new_record_has_only_what_it_needs() {
        let record = DetailRecord::new(ATOM, "fetch".to_owned());
        assert_eq!(
            std::str::from_utf8(&record.write()).unwrap(),
            r#"{"uuid":"00000000-0000-0000-0000-000000000001","name":"fetch","meta":{},"created_at":null,"updated_at":null,"jobboard":{"v":1}}"#
        );
    }

    #[test]
    fn what_is_not_known_is_kept() {
        let mut value = full();
        value["failure"] = json!({"odd": true});
        value["jobboard"]["later"] = json!(7);
        let mut record = read(&value).unwrap();
        record.state = Some("FAILURE".to_owned());
        value["state"] = json!("FAILURE");
        assert_eq!(
            serde_json::from_slice::<Value>(&record.write()).unwrap(),
            value
        );
    }

    #[test]
    fn record_remembers_when_it_was_first_saved_and_when_last() {
        let mut record = DetailRecord::new(ATOM, "fetch".to_owned());
        assert_eq!((record.created_at(), record.updated_at()), (None, None));
        let (first, last) = (
            DateTime::UNIX_EPOCH,
            DateTime::from_timestamp_nanos(7_000_000_000),
        );
        record.stamp(first);
        record.stamp(last);
        assert_eq!(
            (record.created_at(), record.updated_at()),
            (Some(first), Some(last))
        );
    }

    #[test]
    fn what_is_no_record_is_unreadable() {
        for (field, wrong) in [
            ("uuid", json!("x")),
            ("uuid", json!(Uuid::from_u128(9))),
            ("name", Value::Null),
            ("meta", json!([1])),
            ("state", json!(3)),
            ("created_at", json!("yesterday")),
            ("jobboard", Value::Null),
            ("jobboard", json!({})),
            ("jobboard", json!({"v": 2})),
            ("jobboard", json!({"v": 1, "order": ["x"]})),
        ] {
            let mut value = full();
            value[field] = wrong;
            assert!(read(&value).is_err(), "{field}");
        }
        for bytes in [&b""[..], b"{", b"null", b"[]", b"\xff\xfe"] {
            assert!(DetailRecord::read(ATOM, bytes).is_err());
        }
    }

    #[test]
    fn newer_layout_is_named_as_such() {
        let mut value = full();
        value["jobboard"]["v"] = json!(2);
        let why = read(&value).unwrap_err().to_string();
        assert_eq!(why, "its layout has version 2, this library knows 1");
    }

    #[test]
    fn meta_and_results_are_not_shown() {
        let shown = format!("{:?}", read(&full()).unwrap());
        assert!(
            !shown.contains("a.png") && !shown.contains("[1, 2]"),
            "{shown}"
        );
    }
}
