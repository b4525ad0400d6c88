//! Points in time as the records carry them.
//!
//! Written as TaskFlow's parser wants them: UTC, always six digits of a second, no zone
//! (`2026-01-31T12:00:00.000000`). Reading accepts RFC 3339 too.

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6f";
const LENIENT: &str = "%Y-%m-%dT%H:%M:%S%.f";

/// A point in time, in whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(DateTime<Utc>);

impl Timestamp {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        NaiveDateTime::parse_from_str(text, LENIENT)
            .map(|naive| naive.and_utc())
            .or_else(|_| DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()))
            .ok()
            .map(Self::from)
    }

    pub(crate) const fn get(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(6))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.format(FORMAT))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a time in UTC or RFC 3339"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        serde_json::to_string(&Timestamp::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn time_is_written_in_utc_with_six_digits() {
        assert_eq!(
            json("2026-01-31T12:00:00Z"),
            "\"2026-01-31T12:00:00.000000\""
        );
        assert_eq!(
            json("2026-01-31T12:00:00.25+02:00"),
            "\"2026-01-31T10:00:00.250000\""
        );
    }

    #[test]
    fn time_of_taskflow_reads_back_to_itself() {
        for text in ["2026-01-31T12:00:00.123456", "1999-12-31T23:59:59.000001"] {
            assert_eq!(json(text), format!("\"{text}\""));
        }
        assert_eq!(
            json("2026-01-31T12:00:00"),
            "\"2026-01-31T12:00:00.000000\""
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "now", "2026-01-31", "2026-13-01T00:00:00.000000", "12"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nanoseconds_are_cut_so_that_what_is_written_equals_what_is_read() {
        let time = Timestamp::from(DateTime::from_timestamp_nanos(1_234_567_891_234_567_891));
        let read: Timestamp = serde_json::from_str(&serde_json::to_string(&time).unwrap()).unwrap();
        assert_eq!(read, time);
    }
}
