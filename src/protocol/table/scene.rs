//! What all tables begin with: revisions, keys, records, and a job that is held.

use uuid::Uuid;

use crate::store::Revision;

pub(in crate::protocol) const GUARD: Revision = Revision::new(2);
/// The first of what the verb has seen; the next ones follow.
pub(in crate::protocol) const SEEN: [Revision; 4] = [
    Revision::new(3),
    Revision::new(4),
    Revision::new(5),
    Revision::new(6),
];
/// The first changes since.
pub(in crate::protocol) const SINCE: [Revision; 3] =
    [Revision::new(11), Revision::new(12), Revision::new(13)];
pub(in crate::protocol) const SENT: Revision = Revision::new(20);
/// The first changes after the verb was sent.
pub(in crate::protocol) const LATER: [Revision; 2] = [Revision::new(21), Revision::new(22)];
pub(in crate::protocol) const FENCED: Revision = Revision::new(30);

pub(in crate::protocol) const PAUSED: &str = "/t/.control/b/paused";
pub(in crate::protocol) const RECEIPT: &str =
    "/t/.sessions/b/00000000-0000-0000-0000-000000000001.0";
pub(in crate::protocol) const RELEASED: &str =
    "/t/.sessions/b/00000000-0000-0000-0000-000000000001.released/7";
pub(in crate::protocol) const TRASH: &str = "/t/.trash/b/job7";
/// Where the unique key of [`UNIQUE_POSTING`] is kept.
pub(in crate::protocol) const UNIQUE: &str = "/t/.unique/b/k";
pub(in crate::protocol) const DONE: &str = "/t/.done/b/job7";
pub(in crate::protocol) const BARRIER: &str = "/t/jobs/b/job0.barrier";
pub(in crate::protocol) const CANCEL: &str = "/t/jobs/b/job7.cancel";
pub(in crate::protocol) const DATA: &str = "/t/jobs/b/job7.data";
/// A key among those of the job that is none of ours.
pub(in crate::protocol) const FOREIGN: &str = "/t/jobs/b/job7.foreign";
pub(in crate::protocol) const LAST_MODIFIED: &str = "/t/jobs/b/job7.last_modified";
pub(in crate::protocol) const OWNER: &str = "/t/jobs/b/job7.lock";
pub(in crate::protocol) const STATE: &str = "/t/jobs/b/job7.state";
/// A key of another job, whose number begins alike.
pub(in crate::protocol) const NEIGHBOUR: &str = "/t/jobs/b/job70.data";
pub(in crate::protocol) const SEQUENCE: &str = "/t/jobs/b/sequence";

pub(in crate::protocol) const SESSION: Uuid = Uuid::from_u128(1);
pub(in crate::protocol) const CLAIM: Uuid = Uuid::from_u128(2);

/// A posting with [`CLAIM`]'s number as its uuid.
pub(in crate::protocol) const POSTING: &[u8] = br#"{"uuid":"00000000-0000-0000-0000-000000000002","name":"n","priority":"NORMAL","details":{}}"#;
/// The posting of a job that holds a unique key.
pub(in crate::protocol) const UNIQUE_POSTING: &[u8] = br#"{"uuid":"00000000-0000-0000-0000-000000000002","name":"n","priority":"NORMAL","details":{},"jobboard":{"v":1,"unique":"k"}}"#;
/// The posting of another job.
pub(in crate::protocol) const ANOTHER_POSTING: &[u8] = br#"{"uuid":"00000000-0000-0000-0000-000000000009","name":"n","priority":"NORMAL","details":{}}"#;
/// The owner record of [`CLAIM`], made by [`SESSION`].
pub(in crate::protocol) const OURS: &[u8] = br#"{"owner":"w","lease_id":7,"jobboard":{"session":"00000000-0000-0000-0000-000000000001","claim":"00000000-0000-0000-0000-000000000002"}}"#;
/// The owner record of another claim of this session.
pub(in crate::protocol) const OUR_OTHER: &[u8] = br#"{"owner":"w","lease_id":7,"jobboard":{"session":"00000000-0000-0000-0000-000000000001","claim":"00000000-0000-0000-0000-000000000008"}}"#;
/// The owner record of another session, which by chance or by a lie names our claim.
pub(in crate::protocol) const ANOTHERS: &[u8] = br#"{"owner":"x","lease_id":9,"jobboard":{"session":"00000000-0000-0000-0000-000000000009","claim":"00000000-0000-0000-0000-000000000002"}}"#;
/// An owner record as TaskFlow writes it: without a mark.
pub(in crate::protocol) const TASKFLOWS: &[u8] = br#"{"owner": "tf", "lease_id": 9}"#;
pub(in crate::protocol) const UNREADABLE: &[u8] = b"\xff?";
/// A value that does not matter.
pub(in crate::protocol) const ANY: &[u8] = b"{}";

/// Something that happens to one key.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) enum Change {
    Put(&'static str, &'static [u8]),
    Delete(&'static str),
}

/// Keys, each with the revision of its last put.
pub(in crate::protocol) type Keys = &'static [(&'static str, Revision)];

/// A held job, its token `SEEN[1]`.
pub(in crate::protocol) const HELD: &[Change] = &[
    Change::Put(DATA, POSTING),
    Change::Put(OWNER, OURS),
    Change::Put(STATE, ANY),
    Change::Put(LAST_MODIFIED, ANY),
];

/// The keys of [`HELD`] after the owner key went.
pub(in crate::protocol) const FREE: Keys =
    &[(DATA, SEEN[0]), (LAST_MODIFIED, SEEN[3]), (STATE, SEEN[2])];

/// The keys of [`HELD`] after the owner key went and another came.
pub(in crate::protocol) const REPLACED: Keys = &[
    (DATA, SEEN[0]),
    (LAST_MODIFIED, SEEN[3]),
    (OWNER, SINCE[1]),
    (STATE, SEEN[2]),
];
