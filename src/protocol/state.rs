//! What a job is in, and the record that goes on beside its posting.

use std::{fmt, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    backoff::{MAX_DELAY, millis},
    progress::Progress,
    record::{self, Unreadable},
    time::Timestamp,
    unknown::Unknown,
};
use crate::store::{KeyValue, Revision};

/// What a job is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(clippy::exhaustive_enums, reason = "the three states of the contract")]
pub enum JobState {
    /// On the board, held by nobody.
    Unclaimed,
    /// On the board, held by an owner.
    Claimed,
    /// No longer on the board: consumed, or in the trash.
    Complete,
}

impl JobState {
    /// The state's name: `UNCLAIMED`, `CLAIMED` or `COMPLETE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unclaimed => "UNCLAIMED",
            Self::Claimed => "CLAIMED",
            Self::Complete => "COMPLETE",
        }
    }
}

/// Shows the name.
impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What goes on beside a posting: how often the job was tried, and how that ended. Written in the
/// transaction of each claim, so that a crash counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    /// How many claims there were, those given back unburnt left out.
    #[serde(default)]
    pub(crate) attempts: u32,
    /// How many claims in a row ended without a word of their owner.
    #[serde(default)]
    pub(crate) unsettled: u32,
    /// The last claim, until its owner gave the job back: where nobody holds the job and this is
    /// there, its owner died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<Uuid>,
    /// Who made the last claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_owner: Option<String>,
    /// Why the last owner gave the job back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// When the job is to be tried again, by the clock of who gave it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<Timestamp>,
    /// The same as a time in milliseconds, from when it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    /// How far the owner has come. What is no progress is as if it were not there.
    #[serde(
        default,
        deserialize_with = "progress_or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) progress: Option<Progress>,
    #[serde(skip)]
    unknown: Unknown,
}

impl StateRecord {
    /// The names of the fields.
    const KNOWN: &[&str] = &[
        "attempts",
        "unsettled",
        "claim",
        "last_owner",
        "reason",
        "not_before",
        "delay_ms",
        "progress",
    ];

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        record::check_short(bytes)?;
        // A job is claimed with it: what has nothing unknown in it is not looked through for that again.
        let unknown = if record::knows_all(bytes, Self::KNOWN)? {
            Unknown::default()
        } else {
            Unknown::read(bytes, Self::KNOWN)?
        };
        Ok(Self {
            unknown,
            ..record::read(bytes)?
        })
    }

    pub(crate) fn write(&self) -> Bytes {
        self.unknown.beside(record::write(self))
    }

    /// The record once the job is claimed again.
    pub(crate) fn claimed(&self, claim: Uuid, owner: &str) -> Self {
        Self {
            attempts: self.attempts.saturating_add(1),
            unsettled: self.unsettled.saturating_add(1),
            claim: Some(claim),
            last_owner: Some(owner.to_owned()),
            reason: None,
            not_before: None,
            delay_ms: None,
            progress: None,
            unknown: self.unknown.clone(),
        }
    }

    /// The record once its owner gave the job back: the attempt counts, and was settled.
    pub(crate) fn abandoned(&self) -> Self {
        Self {
            unsettled: 0,
            ..self.free()
        }
    }

    /// The record once its owner gave the job back as if it had never claimed it: the counts are
    /// those of `before` the claim, and so is when it is due.
    pub(crate) fn returned(&self, before: &Self) -> Self {
        Self {
            attempts: before.attempts,
            unsettled: before.unsettled,
            reason: before.reason.clone(),
            not_before: before.not_before,
            ..self.free()
        }
    }

    /// The record of a job that was given back for this reason.
    pub(crate) fn because(self, reason: Option<String>) -> Self {
        Self {
            reason: reason.or(self.reason),
            ..self
        }
    }

    /// The record of a job that is to be tried again in so long a time, when it is `now`.
    pub(crate) fn resting(self, delay: Duration, now: DateTime<Utc>) -> Self {
        Self {
            not_before: Some((now + delay.min(MAX_DELAY)).into()),
            delay_ms: Some(millis(delay)),
            ..self
        }
    }

    /// The record once its last claim was taken back, from outside: as if it had not been made.
    pub(crate) fn unclaimed(&self) -> Self {
        Self {
            attempts: self.attempts.saturating_sub(1),
            unsettled: self.unsettled.saturating_sub(1),
            ..self.free()
        }
    }

    /// The record once the job was taken from its owner, whose claim was `claim`; one of TaskFlow's,
    /// which has none, was not counted.
    pub(crate) fn released(&self, claim: Option<Uuid>) -> Self {
        if claim.is_some() && claim == self.claim {
            self.unclaimed()
        } else {
            self.free()
        }
    }

    /// The record once the owner told how far it has come.
    pub(crate) fn progressed(&self, progress: Progress) -> Self {
        Self {
            progress: Some(progress),
            ..self.clone()
        }
    }

    /// How long the job was to be left alone when it was given back.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.delay_ms
            .map(Duration::from_millis)
            .map(|delay| delay.min(MAX_DELAY))
    }

    /// Whether the job may have killed its last owners: two in a row ended without a word.
    pub(crate) const fn is_suspect(&self) -> bool {
        self.unsettled >= 2
    }

    /// The record without what belongs to a claim that is under way.
    fn free(&self) -> Self {
        Self {
            claim: None,
            progress: None,
            delay_ms: None,
            ..self.clone()
        }
    }
}

fn progress_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Progress>, D::Error> {
    let progress = Value::deserialize(from)?;
    Ok(serde_json::from_value(progress).ok())
}

/// A state record as it was seen, with the revision that a transaction compares; zero where there
/// is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SeenState {
    pub(crate) mod_revision: Revision,
    pub(crate) record: StateRecord,
}

impl SeenState {
    /// Reads the key of a job's state.
    pub(crate) fn read(kv: Option<&KeyValue>) -> Result<Self, Unreadable> {
        let Some(kv) = kv else {
            return Ok(Self::default());
        };
        Ok(Self {
            mod_revision: kv.mod_revision,
            record: StateRecord::read(&kv.value)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> StateRecord {
        StateRecord::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn claim_counts_and_keeps_what_it_does_not_know() {
        let claim = Uuid::from_u128(5);
        let before = record(r#"{"attempts":2,"unsettled":1,"reason":"busy","later":{"x":1}}"#);
        let after = before.claimed(claim, "w");
        assert_eq!((after.attempts, after.unsettled), (3, 2));
        assert_eq!(
            (after.claim, after.last_owner.as_deref()),
            (Some(claim), Some("w"))
        );
        assert_eq!(after.reason, None);
        assert!(
            std::str::from_utf8(&after.write())
                .unwrap()
                .contains(r#""later":{"x":1}"#)
        );
        assert_eq!(StateRecord::read(&after.write()).unwrap(), after);
    }

    #[test]
    fn all_fields_are_known() {
        let progress = Progress {
            fraction: 0.5,
            message: None,
        };
        let full = StateRecord::default()
            .claimed(Uuid::nil(), "w")
            .because(Some("no disk".to_owned()))
            .resting(Duration::from_secs(1), DateTime::UNIX_EPOCH)
            .progressed(progress);
        let written: std::collections::BTreeMap<String, Value> =
            serde_json::from_slice(&full.write()).unwrap();
        let mut known = StateRecord::KNOWN.to_vec();
        known.sort_unstable();
        assert!(written.keys().eq(known));
        assert_eq!(StateRecord::read(&full.write()).unwrap(), full);
    }

    #[test]
    fn record_that_is_far_longer_than_any_of_ours_is_unreadable() {
        let long = format!(r#"{{"attempts":1,"later":"{}"}}"#, "x".repeat(64 << 10));
        let why = StateRecord::read(long.as_bytes()).unwrap_err();
        assert!(why.to_string().ends_with("65536 at most are read"), "{why}");
    }

    #[test]
    fn abandon_keeps_the_attempt_and_settles_it() {
        let claimed = StateRecord::default().claimed(Uuid::nil(), "w");
        let after = claimed.abandoned().because(Some("no disk".to_owned()));
        assert_eq!((after.attempts, after.unsettled), (1, 0));
        assert_eq!(after.reason.as_deref(), Some("no disk"));
    }

    #[test]
    fn rest_ends_with_the_next_claim_and_comes_back_with_a_return() {
        let noon = Timestamp::parse("2026-01-31T12:00:00Z").unwrap().get();
        let rests = StateRecord::default().resting(Duration::from_millis(1_500), noon);
        let text = r#"{"attempts":0,"unsettled":0,"not_before":"2026-01-31T12:00:01.500000","delay_ms":1500}"#;
        assert_eq!(std::str::from_utf8(&rests.write()).unwrap(), text);
        assert_eq!(record(text).delay(), Some(Duration::from_millis(1_500)));
        let claimed = rests.claimed(Uuid::nil(), "w");
        assert_eq!((claimed.not_before, claimed.delay()), (None, None));
        let back = claimed.returned(&rests);
        // The delay is not to begin anew.
        assert_eq!((back.not_before, back.delay()), (rests.not_before, None));
    }

    #[test]
    fn claim_and_its_progress_end_with_a_word_of_the_owner() {
        let progress = Progress {
            fraction: 0.5,
            message: None,
        };
        let before = StateRecord::default();
        let held = before.claimed(Uuid::nil(), "w").progressed(progress);
        assert!(held.claim.is_some() && held.progress.is_some());
        for after in [held.abandoned(), held.returned(&before), held.unclaimed()] {
            assert_eq!((after.claim, after.progress), (None, None));
            assert_eq!(after.last_owner.as_deref(), Some("w"));
        }
        assert_eq!(held.claimed(Uuid::nil(), "x").progress, None);
    }

    #[test]
    fn progress_of_the_wrong_form_is_none() {
        for wrong in [r#"{"fraction":"half"}"#, "7", "null"] {
            let text = format!(r#"{{"attempts":1,"progress":{wrong}}}"#);
            assert_eq!(record(&text).progress, None, "{wrong}");
        }
    }

    #[test]
    fn return_puts_the_counts_back() {
        let before = record(r#"{"attempts":4,"unsettled":1}"#);
        let after = before.claimed(Uuid::nil(), "w").returned(&before);
        assert_eq!((after.attempts, after.unsettled), (4, 1));
        assert_eq!(after.last_owner.as_deref(), Some("w"));
    }

    #[test]
    fn release_takes_back_a_claim_that_was_counted_and_no_other() {
        let (claim, other) = (Uuid::from_u128(5), Uuid::from_u128(6));
        let before = record(r#"{"attempts":4,"unsettled":1}"#);
        let held = before.claimed(claim, "w");
        let released = held.released(Some(claim));
        assert_eq!((released.attempts, released.unsettled), (4, 1));
        for uncounted in [None, Some(other)] {
            let released = held.released(uncounted);
            assert_eq!((released.attempts, released.unsettled), (5, 2));
            assert_eq!(released.claim, None);
        }
    }

    #[test]
    fn counts_do_not_overflow() {
        let full = record(r#"{"attempts":4294967295,"unsettled":4294967295}"#);
        assert_eq!(full.claimed(Uuid::nil(), "w").attempts, u32::MAX);
        assert!(StateRecord::read(br#"{"attempts":-1}"#).is_err());
    }
}
