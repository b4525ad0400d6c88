//! What was posted: a record that never changes.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

use super::{
    keys::{JobId, Keyspace},
    limits::MAX_NAME,
    priority::JobPriority,
    record::{self, Unreadable, VERSION, Wellformed},
    terms::Terms,
    time::Timestamp,
};
use crate::store::Key;

/// The logbook that a posting refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BookRef {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
}

/// A posting as it was read. Keeps the record's own bytes, for the trash and for the details, and
/// beside them only what a board looks at all the time.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Posting {
    record: Bytes,
    details: Bytes,
    name: Box<str>,
    uuid: Uuid,
    priority: JobPriority,
    created_on: Option<Timestamp>,
    book: Option<Box<BookRef>>,
    terms: Option<Box<Terms>>,
    foreign: bool,
}

impl Posting {
    /// Reads a record.
    pub(crate) fn read(record: Bytes) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            uuid: Uuid,
            name: Box<str>,
            priority: JobPriority,
            created_on: Option<Timestamp>,
            #[serde(borrow)]
            details: Option<&'a RawValue>,
            book: Option<Box<BookRef>>,
            jobboard: Option<Extras>,
        }
        #[derive(Default, Deserialize)]
        struct Extras {
            v: Option<u32>,
            #[serde(flatten)]
            terms: Terms,
        }

        let wire: Wire<'_> = record::read_versioned(&record)?;
        let foreign = wire.jobboard.is_none();
        let Extras { v, terms } = wire.jobboard.unwrap_or_default();
        record::check_version(v)?;
        let unique = terms.unique.as_deref().map_or(0, str::len);
        if unique > MAX_NAME {
            let why = format!("its unique key has {unique} bytes, the limit is {MAX_NAME}");
            return Err(Unreadable::new(why));
        }
        let details = match wire.details.map(RawValue::get) {
            None | Some("null") => Bytes::from_static(b"{}"),
            Some(details) if details.starts_with('{') => {
                record::read::<Wellformed>(details.as_bytes())?;
                record.slice_ref(details.as_bytes())
            }
            Some(_) => return Err(Unreadable::new("its details are no JSON object")),
        };
        let Wire {
            uuid,
            name,
            priority,
            created_on,
            book,
            ..
        } = wire;
        Ok(Self {
            record,
            details,
            name,
            uuid,
            priority,
            created_on,
            book,
            terms: (terms != *Terms::NONE).then(|| Box::new(terms)),
            foreign,
        })
    }

    /// The record's own bytes.
    pub(crate) const fn record(&self) -> &Bytes {
        &self.record
    }

    pub(crate) const fn uuid(&self) -> Uuid {
        self.uuid
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn priority(&self) -> JobPriority {
        self.priority
    }

    pub(crate) fn created_on(&self) -> Option<DateTime<Utc>> {
        self.created_on.map(Timestamp::get)
    }

    pub(crate) fn book(&self) -> Option<&BookRef> {
        self.book.as_deref()
    }

    /// Whether it carries nothing of this library's: TaskFlow wrote it, or a person.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// How often and when the job is to be tried.
    pub(crate) fn terms(&self) -> &Terms {
        self.terms.as_deref().unwrap_or(Terms::NONE)
    }

    /// Where the board keeps who holds the job's unique key, if it has one.
    pub(crate) fn unique_key(&self, keys: &Keyspace) -> Option<Key> {
        self.terms()
            .unique
            .as_deref()
            .map(|unique| keys.unique(unique))
    }

    /// The details as JSON text, an object.
    pub(crate) fn details_json(&self) -> &[u8] {
        &self.details
    }

    /// The details.
    pub(crate) fn details(&self) -> Map<String, Value> {
        serde_json::from_slice(&self.details).expect("checked when the posting was read")
    }
}

/// Leaves the details out: they can carry secrets.
impl fmt::Debug for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posting")
            .field("uuid", &self.uuid)
            .field("name", &self.name)
            .field("priority", &self.priority)
            .field("created_on", &self.created_on)
            .field("book", &self.book)
            .finish_non_exhaustive()
    }
}

/// A posting about to be written, all but its number.
#[derive(Clone)]
pub(crate) struct NewPosting {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) priority: JobPriority,
    pub(crate) created_on: DateTime<Utc>,
    /// JSON text, an object.
    pub(crate) details: Box<RawValue>,
    pub(crate) book: Option<BookRef>,
    pub(crate) terms: Terms,
}

impl NewPosting {
    /// The record of this posting as job number `job`.
    pub(crate) fn record(&self, job: JobId) -> Bytes {
        #[derive(Serialize)]
        struct Wire<'a> {
            uuid: Uuid,
            name: &'a str,
            priority: JobPriority,
            created_on: Timestamp,
            details: &'a RawValue,
            #[serde(skip_serializing_if = "Option::is_none")]
            book: Option<&'a BookRef>,
            sequence: JobId,
            jobboard: Extras<'a>,
        }
        #[derive(Serialize)]
        struct Extras<'a> {
            v: u32,
            #[serde(flatten)]
            terms: &'a Terms,
        }

        record::write(&Wire {
            uuid: self.uuid,
            name: &self.name,
            priority: self.priority,
            created_on: self.created_on.into(),
            details: &self.details,
            book: self.book.as_ref(),
            sequence: job,
            jobboard: Extras {
                v: VERSION,
                terms: &self.terms,
            },
        })
    }
}

/// Leaves the details out: they can carry secrets.
impl fmt::Debug for NewPosting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPosting")
            .field("uuid", &self.uuid)
            .field("name", &self.name)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use serde_json::{json, value::to_raw_value};

    use super::*;
    use crate::protocol::backoff::Backoff;

    fn record(value: &Value) -> Bytes {
        record::write(value)
    }

    /// What TaskFlow 6.5.0 writes.
    fn of_taskflow() -> Value {
        json!({
            "uuid": "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11",
            "name": "thumbnail",
            "priority": "HIGH",
            "created_on": "2026-01-31T12:00:00.123456",
            "details": {"file": "a.png"},
            "book": {"name": "images", "uuid": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"},
            "sequence": 7
        })
    }

    #[test]
    fn posting_of_taskflow_is_read() {
        let posting = Posting::read(record(&of_taskflow())).unwrap();
        assert_eq!(
            posting.uuid().to_string(),
            "5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11"
        );
        assert_eq!(
            (posting.name(), posting.priority()),
            ("thumbnail", JobPriority::High)
        );
        assert_eq!(
            posting.created_on().unwrap().timestamp_subsec_micros(),
            123_456
        );
        assert_eq!(Value::Object(posting.details()), json!({"file": "a.png"}));
        assert_eq!(posting.book().unwrap().name, "images");
        assert!(posting.is_foreign());
    }

    #[test]
    fn own_posting_is_written_as_taskflow_reads_it() {
        let new = NewPosting {
            uuid: Uuid::from_u128(1),
            name: "thumbnail".to_owned(),
            priority: JobPriority::VeryLow,
            created_on: DateTime::UNIX_EPOCH,
            details: to_raw_value(&json!({"file": "ä.png"})).unwrap(),
            book: None,
            terms: Terms::default(),
        };
        let written = new.record(JobId::new(42).unwrap());
        assert_eq!(
            std::str::from_utf8(&written).unwrap(),
            r#"{"uuid":"00000000-0000-0000-0000-000000000001","name":"thumbnail","priority":"VERY_LOW","created_on":"1970-01-01T00:00:00.000000","details":{"file":"ä.png"},"sequence":42,"jobboard":{"v":1}}"#
        );
        let read = Posting::read(written).unwrap();
        assert_eq!((read.uuid(), read.name()), (new.uuid, "thumbnail"));
        assert_eq!(read.created_on(), Some(new.created_on));
        assert!(!read.is_foreign());
    }

    #[test]
    fn terms_are_written_and_read() {
        let new = NewPosting {
            uuid: Uuid::from_u128(1),
            name: "thumbnail".to_owned(),
            priority: JobPriority::Normal,
            created_on: DateTime::UNIX_EPOCH,
            details: to_raw_value(&json!({})).unwrap(),
            book: None,
            terms: Terms {
                max_attempts: NonZeroU32::new(3),
                not_before: Timestamp::parse("2026-01-31T12:00:00Z"),
                backoff: Some(Backoff::default()),
                unique: Some("a/b".to_owned()),
            },
        };
        let written = new.record(JobId::new(42).unwrap());
        let text = std::str::from_utf8(&written).unwrap();
        assert!(
            text.ends_with(
                r#""jobboard":{"v":1,"max_attempts":3,"not_before":"2026-01-31T12:00:00.000000","backoff":{"first_ms":1000,"longest_ms":300000},"unique":"a/b"}}"#
            ),
            "{text}"
        );
        assert_eq!(Posting::read(written).unwrap().terms(), &new.terms);
        let plain = Posting::read(record(&of_taskflow())).unwrap();
        assert_eq!(plain.terms(), Terms::NONE);
    }

    #[test]
    fn posting_reads_without_what_is_optional() {
        let mut value = of_taskflow();
        let fields = value.as_object_mut().unwrap();
        for optional in ["details", "book", "created_on", "sequence"] {
            fields.remove(optional);
        }
        let posting = Posting::read(record(&value)).unwrap();
        assert!(posting.details().is_empty() && posting.book().is_none());
        let mut value = of_taskflow();
        value["details"] = Value::Null;
        assert!(Posting::read(record(&value)).unwrap().details().is_empty());
    }

    #[test]
    fn what_is_no_posting_is_unreadable() {
        for (field, wrong) in [
            ("uuid", json!("x")),
            ("uuid", Value::Null),
            ("name", json!(3)),
            ("priority", json!("URGENT")),
            ("created_on", json!("yesterday")),
            ("details", json!([1])),
            ("details", json!("text")),
            ("jobboard", json!({"v": 2})),
            ("jobboard", json!({"max_attempts": 0})),
            ("jobboard", json!({"not_before": "soon"})),
            ("jobboard", json!({"backoff": 3})),
        ] {
            let mut value = of_taskflow();
            value[field] = wrong;
            assert!(Posting::read(record(&value)).is_err(), "{field}");
        }
        let with = |text: &[u8]| {
            let begin = br#"{"uuid":"5f1c1c0e-3a8e-4a51-8e0b-0f3f4e4d7a11","name":"n","priority":"LOW","odd":""#;
            Bytes::from([begin, text, b"\"}"].concat())
        };
        assert!(Posting::read(with(b"text")).is_ok());
        assert!(Posting::read(with(b"\xff")).is_err());
        for bytes in [&b""[..], b"{", b"null", b"[]", b"\xff\xfe"] {
            assert!(Posting::read(Bytes::from_static(bytes)).is_err());
        }
    }

    #[test]
    fn posting_of_a_newer_layout_is_told_as_such_whatever_else_is_in_it() {
        for extras in [
            json!({"v": 2}),
            json!({"v": 2, "max_attempts": "as often as it takes"}),
        ] {
            let mut value = of_taskflow();
            value["jobboard"] = extras;
            let why = Posting::read(record(&value)).unwrap_err();
            assert!(why.is_newer(), "{why}");
            assert_eq!(
                why.to_string(),
                "its layout has version 2, this library knows 1"
            );
        }
        assert!(!Posting::read(record(&Value::Null)).unwrap_err().is_newer());
    }

    #[test]
    fn numbers_in_details_are_read_to_the_last_digit() {
        let far = 222_222_222_222_222_222_222_222_f64;
        let details = json!({"far": far, "near": 0.1, "odd": 5e-324});
        let text = details.to_string();
        let value = of_taskflow().to_string();
        let posting = Bytes::from(value.replace(r#"{"file":"a.png"}"#, &text));
        let read = Posting::read(posting).unwrap().details();
        assert_eq!(read["far"].as_f64(), Some(far));
        assert_eq!(Value::from(read).to_string(), text);
    }

    #[test]
    fn details_that_could_not_be_read_later_are_refused_at_once() {
        let with = |details: &str| {
            let value = of_taskflow().to_string();
            Bytes::from(value.replace(r#"{"file":"a.png"}"#, details))
        };
        assert!(Posting::read(with(r#"{"far":1e400}"#)).is_err());
        let other = r#"{"odd":[{"$serde_json::private::RawValue":"{"}]}"#;
        assert!(Posting::read(with(other)).is_err());
        let deep = format!(r#"{{"deep":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        assert!(Posting::read(with(&deep)).is_err());
        assert_eq!(
            Posting::read(with(r#"{"n":1e40}"#))
                .unwrap()
                .details()
                .len(),
            1
        );
    }

    #[test]
    fn details_are_not_shown() {
        let posting = Posting::read(record(&of_taskflow())).unwrap();
        assert!(!format!("{posting:?}").contains("a.png"));
    }
}
