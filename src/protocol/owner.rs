//! Who holds a job: the record under the key that TaskFlow calls the lock.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{self, Unreadable};
use crate::store::LeaseId;

/// An owner record. TaskFlow's carry no [`mark`](Self::mark), and no lease where it was given no
/// time to live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnerRecord {
    /// The entity that holds the job.
    pub(crate) owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_id: Option<i64>,
    /// Which session of this library made the claim, and which claim it is.
    #[serde(rename = "jobboard", skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<ClaimMark>,
}

/// What tells one claim of this library from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimMark {
    pub(crate) session: Uuid,
    pub(crate) claim: Uuid,
}

impl OwnerRecord {
    pub(crate) fn new(owner: impl Into<String>, lease: LeaseId, mark: ClaimMark) -> Self {
        Self {
            owner: owner.into(),
            lease_id: Some(lease.get()),
            mark: Some(mark),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        record::check_short(bytes)?;
        record::read(bytes)
    }

    pub(crate) fn write(&self) -> Bytes {
        record::write(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_reads_back_and_carries_what_taskflow_reads() {
        let mark = ClaimMark {
            session: Uuid::from_u128(1),
            claim: Uuid::from_u128(2),
        };
        let record = OwnerRecord::new("worker-3", LeaseId::new(7).unwrap(), mark);
        let written = record.write();
        assert_eq!(
            std::str::from_utf8(&written).unwrap(),
            r#"{"owner":"worker-3","lease_id":7,"jobboard":{"session":"00000000-0000-0000-0000-000000000001","claim":"00000000-0000-0000-0000-000000000002"}}"#
        );
        assert_eq!(OwnerRecord::read(&written).unwrap(), record);
    }

    #[test]
    fn record_of_taskflow_reads_with_and_without_a_lease() {
        let leased = OwnerRecord::read(br#"{"owner": "c", "lease_id": 12}"#).unwrap();
        assert_eq!((leased.owner.as_str(), leased.mark), ("c", None));
        assert_eq!(
            OwnerRecord::read(br#"{"owner": "c"}"#).unwrap().lease_id,
            None
        );
    }

    #[test]
    fn anything_else_is_unreadable() {
        for bytes in [
            &b"c"[..],
            b"{}",
            br#"{"owner": 3}"#,
            br#"{"owner":"c","jobboard":{}}"#,
        ] {
            assert!(OwnerRecord::read(bytes).is_err());
        }
    }
}
