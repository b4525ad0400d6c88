//! What could not be read, as it is kept in the trash.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    keys::Keyspace,
    record::{self, Unreadable, VERSION},
    time::Timestamp,
};
use crate::store::Key;

/// Keys that were moved into the trash together, each with what it held, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct QuarantineRecord {
    pub(crate) contents: Vec<(Key, Bytes)>,
    /// When they were moved there.
    pub(crate) on: DateTime<Utc>,
    /// Who did so.
    pub(crate) by: String,
    /// Why, in the words of who did.
    pub(crate) reason: Option<String>,
    /// What was wrong with them.
    pub(crate) error: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    jobboard: Note,
    keys: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    v: u32,
    trashed_on: Timestamp,
    trashed_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    error: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The [name](Keyspace::name_of) of the key.
    key: String,
    /// In base64.
    value: String,
}

impl QuarantineRecord {
    /// Reads a record.
    pub(crate) fn read(keys: &Keyspace, bytes: &[u8]) -> Result<Self, Unreadable> {
        let Wire {
            jobboard,
            keys: kept,
        } = record::read_versioned(bytes)?;
        record::check_version(Some(jobboard.v))?;
        let content = |Kept { key, value }: Kept| {
            let key = keys.parse_name(&key);
            let key =
                key.ok_or_else(|| Unreadable::new("it keeps what is no key of this board"))?;
            let value = STANDARD.decode(value);
            let value = value.map_err(|_| Unreadable::new("what it keeps is not in base64"))?;
            Ok((key, value.into()))
        };
        let contents = kept.into_iter().map(content);
        Ok(Self {
            contents: contents.collect::<Result<_, Unreadable>>()?,
            on: jobboard.trashed_on.get(),
            by: jobboard.trashed_by,
            reason: jobboard.reason,
            error: jobboard.error,
        })
    }

    /// The record; `None` if it is to keep what has no [name](Keyspace::name_of).
    pub(crate) fn write(&self, keys: &Keyspace) -> Option<Bytes> {
        let kept = self.contents.iter().map(|(key, value)| {
            let (key, value) = (keys.name_of(key)?, STANDARD.encode(value));
            Some(Kept { key, value })
        });
        let jobboard = Note {
            v: VERSION,
            trashed_on: self.on.into(),
            trashed_by: self.by.clone(),
            reason: self.reason.clone(),
            error: self.error.clone(),
        };
        let keys = kept.collect::<Option<_>>()?;
        Some(record::write(&Wire { jobboard, keys }))
    }
}

/// What can not be read can carry secrets as well, so that only keys and lengths are shown.
impl fmt::Debug for QuarantineRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_map();
        for (key, value) in &self.contents {
            shown.entry(key, &format_args!("{} bytes", value.len()));
        }
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::keys::{BoardName, JobId, JobPart, Namespace};

    fn keys() -> Keyspace {
        Keyspace::new(&Namespace::default(), &BoardName::default())
    }

    fn quarantined() -> QuarantineRecord {
        let job = JobId::new(42).unwrap();
        let key = |part| keys().job(job, part);
        QuarantineRecord {
            contents: vec![
                (key(JobPart::Data), Bytes::from_static(b"\xffhunter2")),
                (key(JobPart::State), Bytes::new()),
            ],
            on: DateTime::UNIX_EPOCH,
            by: "ops".to_owned(),
            reason: None,
            error: "it is not JSON".to_owned(),
        }
    }

    #[test]
    fn record_reads_back_to_the_byte() {
        let record = quarantined();
        let written = record.write(&keys()).unwrap();
        assert_eq!(
            std::str::from_utf8(&written).unwrap(),
            r#"{"jobboard":{"v":1,"trashed_on":"1970-01-01T00:00:00.000000","trashed_by":"ops","error":"it is not JSON"},"keys":[{"key":"job42.data","value":"/2h1bnRlcjI="},{"key":"job42.state","value":""}]}"#
        );
        assert_eq!(QuarantineRecord::read(&keys(), &written).unwrap(), record);
        let reasoned = QuarantineRecord {
            reason: Some("written by hand".to_owned()),
            ..record
        };
        let written = reasoned.write(&keys()).unwrap();
        assert_eq!(QuarantineRecord::read(&keys(), &written).unwrap(), reasoned);
    }

    #[test]
    fn key_of_another_place_is_not_kept() {
        let mut record = quarantined();
        record.contents.push((keys().sequence(), Bytes::new()));
        assert_eq!(record.write(&keys()), None);
    }

    #[test]
    fn anything_else_is_unreadable_and_a_newer_layout_is_told_as_such() {
        let written = quarantined().write(&keys()).unwrap();
        let whole: Value = serde_json::from_slice(&written).unwrap();
        let read = |record: &Value| QuarantineRecord::read(&keys(), record.to_string().as_bytes());
        assert!(read(&whole).is_ok());
        for (place, wrong) in [
            ("/keys", Value::Null),
            ("/keys/0/key", json!("sequence")),
            ("/keys/0/key", json!("job42%2edata")),
            ("/keys/0/value", json!("hunter2")),
            ("/keys/0/value", Value::Null),
            ("/jobboard/trashed_on", json!("hunter2")),
            ("/jobboard", Value::Null),
        ] {
            let mut record = whole.clone();
            *record.pointer_mut(place).unwrap() = wrong;
            let why = read(&record).unwrap_err();
            assert!(
                !why.is_newer() && !why.to_string().contains("hunter2"),
                "{place}"
            );
        }
        let mut newer = whole;
        newer["jobboard"]["v"] = json!(2);
        assert!(read(&newer).unwrap_err().is_newer());
        newer["keys"] = json!("elsewhere");
        assert!(read(&newer).unwrap_err().is_newer());
    }

    #[test]
    fn contents_are_not_shown() {
        let shown = format!("{:?}", quarantined());
        assert!(
            shown.contains("8 bytes") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
