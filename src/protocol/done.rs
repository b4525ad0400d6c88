//! What is kept of a consumed job: its result, for who waits for it.

use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{
    record::{self, Layout, Unreadable, Wellformed},
    time::Timestamp,
};

/// How a job was consumed that left a result.
#[derive(Clone, Copy)]
pub(crate) struct Done<'a> {
    /// The job's own: another job can take its number later.
    pub(crate) uuid: Uuid,
    pub(crate) result: &'a RawValue,
    pub(crate) on: DateTime<Utc>,
    pub(crate) by: &'a str,
}

/// The record of that.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DoneRecord(Bytes);

impl DoneRecord {
    /// Writes the record.
    ///
    /// # Errors
    /// If nobody could read the result, as it is nested too deep.
    pub(crate) fn new(done: &Done<'_>) -> Result<Self, Unreadable> {
        #[derive(Serialize)]
        struct Wire<'a> {
            uuid: Uuid,
            outcome: &'a str,
            result: &'a RawValue,
            consumed_on: Timestamp,
            consumed_by: &'a str,
            jobboard: Layout,
        }

        let written = record::write(&Wire {
            uuid: done.uuid,
            outcome: "CONSUMED",
            result: done.result,
            consumed_on: done.on.into(),
            consumed_by: done.by,
            jobboard: Layout::CURRENT,
        });
        let too_deep = |_| Unreadable::new("the result is nested too deep");
        record::read::<Wellformed>(&written).map_err(too_deep)?;
        Ok(Self(written))
    }

    pub(super) const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The result of the job with this uuid, if that is the job which left `record`.
    ///
    /// # Errors
    /// If a newer version of this library left it. What can not be read otherwise is nobody's.
    pub(super) fn result(record: &[u8], job: Uuid) -> Result<Option<Value>, Unreadable> {
        #[derive(Deserialize)]
        struct Wire {
            uuid: Uuid,
            #[serde(default, deserialize_with = "given")]
            result: Option<Value>,
            jobboard: Option<Layout>,
        }
        /// As a result, null is one too.
        fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
            Value::deserialize(deserializer).map(Some)
        }

        let open = record::read_open::<Wire>(record);
        let done = match open.map_err(|why| record::newer(record).unwrap_or(why)) {
            Ok(done) => done,
            Err(why) if why.is_newer() => return Err(why),
            Err(_) => return Ok(None),
        };
        Layout::check(done.jobboard)?;
        Ok(done.result.filter(|_| done.uuid == job))
    }
}

/// Leaves the result out: it can be a secret.
impl fmt::Debug for DoneRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DoneRecord({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, value::to_raw_value};

    use super::*;

    const JOB: Uuid = Uuid::from_u128(7);

    fn record(result: &Value) -> Result<DoneRecord, Unreadable> {
        DoneRecord::new(&Done {
            uuid: JOB,
            result: &to_raw_value(result).unwrap(),
            on: DateTime::UNIX_EPOCH,
            by: "worker-3",
        })
    }

    #[test]
    fn record_tells_what_came_of_the_job_and_by_whom() {
        let written = record(&json!({"pages": 3})).unwrap();
        assert_eq!(
            std::str::from_utf8(written.bytes()).unwrap(),
            r#"{"uuid":"00000000-0000-0000-0000-000000000007","outcome":"CONSUMED","result":{"pages":3},"consumed_on":"1970-01-01T00:00:00.000000","consumed_by":"worker-3","jobboard":{"v":1}}"#
        );
    }

    #[test]
    fn every_result_reads_back_for_its_own_job_only() {
        for result in [
            json!({"pages": [1, 2]}),
            json!("ä"),
            json!(0.5),
            Value::Null,
        ] {
            let written = record(&result).unwrap();
            let read = |job| DoneRecord::result(written.bytes(), job).unwrap();
            assert_eq!((read(JOB), read(Uuid::nil())), (Some(result), None));
        }
    }

    #[test]
    fn record_without_a_result_or_without_sense_gives_none() {
        let none = json!({"uuid": JOB, "outcome": "CONSUMED"});
        for record in [none.to_string().as_str(), "{}", "hunter2"] {
            assert_eq!(DoneRecord::result(record.as_bytes(), JOB), Ok(None));
        }
    }

    #[test]
    fn result_that_nobody_could_read_is_refused() {
        let nested = |depth| (0..depth).fold(json!("hunter2"), |inner, _| json!([inner]));
        assert!(record(&nested(126)).is_ok());
        let refused = record(&nested(127)).unwrap_err();
        assert_eq!(refused.to_string(), "the result is nested too deep");
    }

    #[test]
    fn result_is_not_shown() {
        let written = record(&json!("hunter2")).unwrap();
        assert!(!format!("{written:?}").contains("hunter2"));
    }
}
