//! Transactions: compares, and what is done where they hold and where they do not.

use std::fmt;

use bytes::Bytes;

use super::{Key, KeyRange, KeyValue, LeaseId, Revision};

/// What a read asks for: the keys of a range, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeRequest {
    /// The keys to read.
    pub range: KeyRange,
    /// The past revision to read at. Defaults to the newest.
    pub revision: Option<Revision>,
    /// How many keys to give at most. Defaults to all.
    pub limit: Option<usize>,
    /// What to give of each key. Defaults to all of it.
    pub content: Content,
}

/// How much a read gives of each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what etcd can leave out")]
pub enum Content {
    /// Keys, values and revisions.
    #[default]
    Full,
    /// Keys and revisions; values come back empty.
    KeysOnly,
    /// No key at all, only their number.
    CountOnly,
}

impl RangeRequest {
    /// Asks for all of `range`.
    pub fn new(range: impl Into<KeyRange>) -> Self {
        Self {
            range: range.into(),
            revision: None,
            limit: None,
            content: Content::Full,
        }
    }

    /// Leaves the values out.
    #[must_use]
    pub const fn keys_only(mut self) -> Self {
        self.content = Content::KeysOnly;
        self
    }

    /// Asks for the number of keys alone.
    #[must_use]
    pub const fn count_only(mut self) -> Self {
        self.content = Content::CountOnly;
        self
    }

    /// Gives at most `limit` keys; the count still tells of all.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Reads at a past revision. Not allowed inside a transaction that writes (etcd issue 18667:
    /// after a compaction its members could apply such a transaction differently).
    #[must_use]
    pub const fn at(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// What every answer of the store tells of the store itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the board needs of etcd's header"
)]
pub struct Header {
    /// The cluster that answered: revisions of another one can not be compared with this one's.
    pub cluster_id: u64,
    /// The revision of the store when it answered; for a transaction that wrote, its own.
    pub revision: Revision,
}

/// The answer to a [`RangeRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's answer, complete")]
pub struct RangeResponse {
    /// Who answered, and when.
    pub header: Header,
    /// The keys, in the order of their bytes; none if only their number was asked for.
    pub kvs: Vec<KeyValue>,
    /// How many keys the range holds, whatever the limit.
    pub count: usize,
}

impl RangeResponse {
    /// The first key of the answer, the only one of a single key's range.
    pub fn first(&self) -> Option<&KeyValue> {
        self.kvs.first()
    }
}

/// A transaction: `then` happens if every compare holds, otherwise `otherwise` does, at one
/// revision and in one piece.
///
/// All compares, those of nested transactions included, are evaluated before anything is written.
/// Reads see what the transaction wrote before them. No key may be put twice, and none both put
/// and deleted: such a transaction is refused as [`Invalid`](super::ErrorKind::Invalid).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's transaction, complete")]
pub struct Txn {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// What is done if all of it does.
    pub then: Vec<Op>,
    /// What is done otherwise.
    pub otherwise: Vec<Op>,
}

impl Txn {
    /// A transaction without compares: its `then` always happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what must hold.
    #[must_use]
    pub fn when(mut self, compares: impl IntoIterator<Item = Compare>) -> Self {
        self.compares.extend(compares);
        self
    }

    /// Adds what is done if it does.
    #[must_use]
    pub fn then(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.then.extend(ops);
        self
    }

    /// Adds what is done if it does not.
    #[must_use]
    pub fn otherwise(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.otherwise.extend(ops);
        self
    }

    /// Whether some branch, of this transaction or of one nested in it, could write.
    pub fn writes(&self) -> bool {
        self.ops().any(|op| match op {
            Op::Put(_) | Op::Delete(_) => true,
            Op::Range(_) => false,
            Op::Txn(txn) => txn.writes(),
        })
    }

    /// Whether some read asks for a past revision.
    pub fn reads_the_past(&self) -> bool {
        self.ops().any(|op| match op {
            Op::Put(_) | Op::Delete(_) => false,
            Op::Range(request) => request.revision.is_some(),
            Op::Txn(txn) => txn.reads_the_past(),
        })
    }

    /// All operations, of either branch.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.then.iter().chain(&self.otherwise)
    }
}

/// One thing that must hold of every key in a range; of a missing key if the range is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's compare, complete")]
pub struct Compare {
    /// The keys it is about.
    pub range: KeyRange,
    /// How what is there must relate to the target.
    pub relation: Relation,
    /// What it is compared with.
    pub target: Target,
}

/// How a key's property must relate to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's four relations")]
pub enum Relation {
    /// It is the target.
    Equal,
    /// It is not the target.
    NotEqual,
    /// It is greater than the target.
    Greater,
    /// It is less than the target.
    Less,
}

/// The property of a key that is compared. A missing key compares as zero, and as no value at all:
/// every compare of its value is false.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's five targets")]
pub enum Target {
    /// The revision at which the key came to be.
    CreateRevision(Revision),
    /// The revision of its last put.
    ModRevision(Revision),
    /// How often it was put.
    Version(u64),
    /// Its value.
    Value(Bytes),
    /// Its lease.
    Lease(Option<LeaseId>),
}

/// Values can carry secrets, so that only their length is shown.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRevision(revision) => write!(f, "CreateRevision({revision})"),
            Self::ModRevision(revision) => write!(f, "ModRevision({revision})"),
            Self::Version(version) => write!(f, "Version({version})"),
            Self::Value(value) => write!(f, "Value({} bytes)", value.len()),
            Self::Lease(lease) => write!(f, "Lease({lease:?})"),
        }
    }
}

impl Compare {
    /// No key of `range` exists.
    pub fn absent(range: impl Into<KeyRange>) -> Self {
        Self::new(
            range,
            Relation::Equal,
            Target::CreateRevision(Revision::ZERO),
        )
    }

    /// `key` exists.
    pub fn present(key: Key) -> Self {
        Self::new(
            key,
            Relation::Greater,
            Target::CreateRevision(Revision::ZERO),
        )
    }

    /// `key` came to be at `revision`; zero: it does not exist.
    pub fn create_revision(key: Key, revision: Revision) -> Self {
        Self::new(key, Relation::Equal, Target::CreateRevision(revision))
    }

    /// `key` was last put at `revision`; zero: it does not exist.
    pub fn mod_revision(key: Key, revision: Revision) -> Self {
        Self::new(key, Relation::Equal, Target::ModRevision(revision))
    }

    /// `key` has this value.
    pub fn value(key: Key, value: impl Into<Bytes>) -> Self {
        Self::new(key, Relation::Equal, Target::Value(value.into()))
    }

    /// Any compare.
    pub fn new(range: impl Into<KeyRange>, relation: Relation, target: Target) -> Self {
        Self {
            range: range.into(),
            relation,
            target,
        }
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "etcd's four operations")]
pub enum Op {
    /// Writes a key.
    Put(Put),
    /// Deletes every key of a range.
    Delete(KeyRange),
    /// Reads a range.
    Range(RangeRequest),
    /// A transaction of its own, inside this one.
    Txn(Txn),
}

impl Op {
    /// Writes `value` to `key`, without a lease.
    pub fn put(key: Key, value: impl Into<Bytes>) -> Self {
        Self::Put(Put {
            key,
            value: value.into(),
            lease: None,
        })
    }

    /// Writes `value` to `key`, which then ends with `lease`.
    pub fn put_with_lease(key: Key, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        Self::Put(Put {
            key,
            value: value.into(),
            lease: Some(lease),
        })
    }

    /// Deletes every key of `range`.
    pub fn delete(range: impl Into<KeyRange>) -> Self {
        Self::Delete(range.into())
    }

    /// Reads all of `range`.
    pub fn get(range: impl Into<KeyRange>) -> Self {
        Self::Range(RangeRequest::new(range))
    }
}

impl From<RangeRequest> for Op {
    fn from(request: RangeRequest) -> Self {
        Self::Range(request)
    }
}

/// A write of one key.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's put, complete")]
pub struct Put {
    /// The key.
    pub key: Key,
    /// Its new value.
    pub value: Bytes,
    /// The lease that the key ends with; without one, a lease that it had is taken off.
    pub lease: Option<LeaseId>,
}

/// Values can carry secrets, so that only their length is shown.
impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Put({}, {} bytes, {:?})",
            self.key,
            self.value.len(),
            self.lease
        )
    }
}

/// The answer to a [`Txn`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "etcd's answer, complete")]
pub struct TxnResponse {
    /// Who answered, and the revision: the transaction's own if it wrote.
    pub header: Header,
    /// Whether every compare held, so that `then` happened.
    pub succeeded: bool,
    /// One answer per operation of the branch that happened.
    pub responses: Vec<OpResponse>,
}

impl TxnResponse {
    /// The answers to the reads, in their order; the others are left out.
    pub fn into_reads(self) -> Vec<RangeResponse> {
        let read = |answer| match answer {
            OpResponse::Range(read) => Some(read),
            OpResponse::Put | OpResponse::Delete { .. } | OpResponse::Txn(_) => None,
        };
        self.responses.into_iter().filter_map(read).collect()
    }
}

/// The answer to one [`Op`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one for each operation")]
pub enum OpResponse {
    /// The key was put.
    Put,
    /// The range was deleted.
    Delete {
        /// How many keys it held.
        deleted: usize,
    },
    /// The range was read. Its header's revision is the transaction's.
    Range(RangeResponse),
    /// The nested transaction was done.
    Txn(TxnResponse),
}

impl OpResponse {
    /// The answer to a read, if this is one.
    pub const fn as_range(&self) -> Option<&RangeResponse> {
        match self {
            Self::Range(response) => Some(response),
            Self::Put | Self::Delete { .. } | Self::Txn(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &'static str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn txn_writes_if_any_branch_at_any_depth_does() {
        let read = Txn::new().then([Op::get(key("a"))]);
        assert!(!read.writes());
        assert!(
            read.clone()
                .otherwise([Op::Txn(Txn::new().then([Op::delete(key("b"))]))])
                .writes()
        );
        assert!(read.then([Op::put(key("c"), "1")]).writes());
    }

    #[test]
    fn txn_reads_the_past_if_any_read_at_any_depth_does() {
        let past = Op::Range(RangeRequest::new(key("a")).at(Revision::new(3)));
        assert!(!Txn::new().then([Op::get(key("a"))]).reads_the_past());
        assert!(
            Txn::new()
                .otherwise([Op::Txn(Txn::new().then([past]))])
                .reads_the_past()
        );
    }

    #[test]
    fn values_are_not_shown() {
        let txn = Txn::new()
            .when([Compare::value(key("a"), "secret")])
            .then([Op::put(key("a"), "secret")]);
        assert!(!format!("{txn:?}").contains("secret"));
    }
}
