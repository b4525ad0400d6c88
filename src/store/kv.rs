//! Keys, ranges of keys, and what etcd says of each key: its revisions, its version and its lease.

use std::{fmt, io::Write as _};

use bytes::Bytes;

use super::{Error, Result};

/// A key: some bytes, never none.
///
/// etcd reads an empty key with an open end as *every key of the cluster*, so that an empty key can
/// not be built at all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

/// Room for what follows in a key that is made of another.
const USUAL_SUFFIX: usize = 40;

impl Key {
    /// Takes `bytes` as a key.
    ///
    /// # Errors
    /// [`Invalid`](super::ErrorKind::Invalid) if there are none.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(Error::invalid("a key has at least one byte"));
        }
        Ok(Self(bytes))
    }

    /// The key made of this one followed by `suffix`.
    #[must_use]
    pub fn child(&self, suffix: impl fmt::Display) -> Self {
        // The store's keys end in a number and a word, as a rule: made in one piece, without growing.
        let mut bytes = Vec::with_capacity(self.0.len() + USUAL_SUFFIX);
        bytes.extend_from_slice(&self.0);
        write!(bytes, "{suffix}").expect("a vector takes all that is written to it");
        Self(bytes.into())
    }

    /// The smallest key that is greater than this one.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self([self.as_bytes(), &[0]].concat().into())
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The bytes of the key, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A non-empty range of keys: one key, the keys from one to another, or all from one on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    start: Key,
    end: RangeEnd,
}

/// Where a [`KeyRange`] ends.
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "etcd's protocol has these three ends"
)]
pub enum RangeEnd {
    /// The range is the start alone.
    Single,
    /// The range ends before this key.
    Before(Key),
    /// The range goes on to the last key of the store.
    Unbounded,
}

impl KeyRange {
    /// The range that holds `key` alone.
    pub const fn single(key: Key) -> Self {
        Self {
            start: key,
            end: RangeEnd::Single,
        }
    }

    /// The keys from `start` to before `end`.
    ///
    /// # Errors
    /// [`Invalid`](super::ErrorKind::Invalid) if no key can lie between them.
    pub fn between(start: Key, end: Key) -> Result<Self> {
        if start >= end {
            return Err(Error::invalid(format!(
                "no key lies between {start} and {end}"
            )));
        }
        Ok(Self {
            start,
            end: RangeEnd::Before(end),
        })
    }

    /// The keys that begin with `prefix`, itself included.
    pub fn prefix(prefix: Key) -> Self {
        let bytes = prefix.as_bytes();
        let end =
            bytes
                .iter()
                .rposition(|byte| *byte != u8::MAX)
                .map_or(RangeEnd::Unbounded, |last| {
                    let mut end = bytes[..=last].to_vec();
                    end[last] += 1;
                    RangeEnd::Before(Key(end.into()))
                });
        Self { start: prefix, end }
    }

    /// What is left of this range from `start` on; `None` if that is nothing.
    #[must_use]
    pub fn starting_at(&self, start: Key) -> Option<Self> {
        let start = start.max(self.start.clone());
        let end = self.end.clone();
        let rest = Self { start, end };
        match &rest.end {
            RangeEnd::Single => (rest.start == self.start).then_some(rest),
            RangeEnd::Before(end) => (rest.start < *end).then_some(rest),
            RangeEnd::Unbounded => Some(rest),
        }
    }

    /// The first key that the range can hold.
    pub const fn start(&self) -> &Key {
        &self.start
    }

    /// Where the range ends.
    pub const fn end(&self) -> &RangeEnd {
        &self.end
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        match &self.end {
            RangeEnd::Single => *key == self.start,
            RangeEnd::Before(end) => self.start <= *key && key < end,
            RangeEnd::Unbounded => self.start <= *key,
        }
    }

    /// Whether some key could lie in both ranges.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(&other.start) || other.contains(&self.start)
    }
}

impl From<Key> for KeyRange {
    fn from(key: Key) -> Self {
        Self::single(key)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            RangeEnd::Single => write!(f, "{}", self.start),
            RangeEnd::Before(end) => write!(f, "[{}, {end})", self.start),
            RangeEnd::Unbounded => write!(f, "[{}, …)", self.start),
        }
    }
}

impl fmt::Debug for RangeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single => f.write_str("Single"),
            Self::Before(end) => write!(f, "Before({end})"),
            Self::Unbounded => f.write_str("Unbounded"),
        }
    }
}

/// A revision of the store: each transaction that writes takes the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision before every write, and what a missing key compares as.
    pub const ZERO: Self = Self(0);

    /// The revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the revision.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number by which the store knows a lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(i64);

impl LeaseId {
    /// The lease with this number; `None` for zero, which stands for *no lease* in etcd.
    pub const fn new(number: i64) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number of the lease.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseId({self})")
    }
}

/// Shown in hexadecimal, as `etcdctl` shows it.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A key with its value and what the store keeps beside it.
#[derive(Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "etcd's record of a key, complete"
)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// The value; empty where only keys were asked for.
    pub value: Bytes,
    /// The revision at which the key came to be (again).
    pub create_revision: Revision,
    /// The revision of the last put.
    pub mod_revision: Revision,
    /// How often the key was put since it came to be; 1 for a new key.
    pub version: u64,
    /// The lease that the key ends with.
    pub lease: Option<LeaseId>,
}

/// Values can carry secrets, so that only their length is shown.
impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("key", &self.key)
            .field("value", &format_args!("{} bytes", self.value.len()))
            .field("create_revision", &self.create_revision)
            .field("mod_revision", &self.mod_revision)
            .field("version", &self.version)
            .field("lease", &self.lease)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &'static str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn empty_key_is_refused() {
        assert_eq!(
            Key::new("").unwrap_err().kind(),
            super::super::ErrorKind::Invalid
        );
    }

    #[test]
    fn prefix_holds_its_children_and_no_sibling() {
        let range = KeyRange::prefix(key("a/job"));
        assert!(range.contains(&key("a/job")) && range.contains(&key("a/job1")));
        assert!(!range.contains(&key("a/joc")) && !range.contains(&key("a/jo")));
    }

    #[test]
    fn prefix_of_the_highest_bytes_has_no_end() {
        let high = Key::new(vec![0xff, 0xff]).unwrap();
        assert_eq!(*KeyRange::prefix(high).end(), RangeEnd::Unbounded);
        let carried = KeyRange::prefix(Key::new(vec![b'a', 0xff]).unwrap());
        assert_eq!(*carried.end(), RangeEnd::Before(key("b")));
    }

    #[test]
    fn range_without_room_is_refused() {
        assert!(KeyRange::between(key("b"), key("a")).is_err());
        assert!(KeyRange::between(key("a"), key("a")).is_err());
    }

    #[test]
    fn rest_of_a_range_starts_no_earlier_than_the_range() {
        let range = KeyRange::between(key("b"), key("d")).unwrap();
        assert_eq!(range.starting_at(key("a")), Some(range.clone()));
        assert_eq!(
            range.starting_at(key("c")),
            Some(KeyRange::between(key("c"), key("d")).unwrap())
        );
        assert_eq!(range.starting_at(key("d")), None);
        assert_eq!(
            KeyRange::single(key("b")).starting_at(key("b").successor()),
            None
        );
    }

    #[test]
    fn ranges_overlap_where_they_share_a_key() {
        let middle = KeyRange::between(key("b"), key("d")).unwrap();
        assert!(middle.overlaps(&key("c").into()) && KeyRange::from(key("c")).overlaps(&middle));
        assert!(!middle.overlaps(&key("d").into()) && !middle.overlaps(&key("a").into()));
        assert!(KeyRange::prefix(key("b")).overlaps(&middle));
    }
}
