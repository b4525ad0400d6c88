//! Where everything of a board is kept.
//!
//! The keys are those of TaskFlow's etcd backend, so that both work on one board; what TaskFlow
//! does not know lies beside them or below names of our own. Every range that is read, watched or
//! deleted ends at the board: names are checked types, and an empty prefix can not be built.

mod trash;

use std::{fmt, num::NonZeroU64, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::{Error, ErrorKind, Result},
    store::{Key, KeyRange},
};

/// What is escaped where free text is part of a key: everything outside `A-Z a-z 0-9 . _ -`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

const MAX_SEGMENT: usize = 64;
const MAX_SEGMENTS: usize = 8;

/// The number of a job on its board: what a person says ("job 42"). Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(NonZeroU64);

impl JobId {
    /// The highest number.
    pub(crate) const MAX: Self = Self(NonZeroU64::MAX);

    /// The job with this number; `None` for zero, which no job has.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Reads a number as keys carry it: digits only, without a leading zero, so that no two keys
    /// name the same job.
    fn from_digits(digits: &str) -> Option<Self> {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        if plain {
            digits.parse().ok().and_then(Self::new)
        } else {
            None
        }
    }
}

/// Shows the number.
impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a number.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for anything but a whole number from 1 on.
impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_digits(text).ok_or_else(|| {
            let why = format!("{text:?} is no whole number from 1 on");
            Error::new(ErrorKind::Invalid, "read a job's number", why)
        })
    }
}

/// The name of a board: 1 to 64 of the characters `A-Z a-z 0-9 . _ -`, but not `.` or `..`.
/// Defaults to `jobboard`, as TaskFlow's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoardName(String);

impl BoardName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BoardName {
    fn default() -> Self {
        Self("jobboard".to_owned())
    }
}

impl fmt::Display for BoardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Checks a name.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid), with what is wrong.
impl FromStr for BoardName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        check_segment(text)
            .map_err(|why| Error::new(ErrorKind::Invalid, format!("name a board {text:?}"), why))?;
        Ok(Self(text.to_owned()))
    }
}

/// The namespace of a board's keys: one to eight segments, each after a `/` and made as a
/// [`BoardName`] is. Defaults to `/taskflow`, as TaskFlow's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("/taskflow".to_owned())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Checks a namespace.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid), with what is wrong.
impl FromStr for Namespace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(
                ErrorKind::Invalid,
                format!("name a namespace {text:?}"),
                why,
            )
        };
        let segments = text
            .strip_prefix('/')
            .ok_or_else(|| invalid("it does not begin with a \"/\"".to_owned()))?;
        if segments.split('/').count() > MAX_SEGMENTS {
            return Err(invalid(format!("it has more than {MAX_SEGMENTS} segments")));
        }
        segments
            .split('/')
            .try_for_each(check_segment)
            .map_err(invalid)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_segment(text: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() {
        Err("a segment is empty".to_owned())
    } else if text.len() > MAX_SEGMENT {
        Err(format!(
            "a segment has {} bytes, the limit is {MAX_SEGMENT}",
            text.len()
        ))
    } else if matches!(text, "." | "..") {
        Err("a segment is \".\" or \"..\"".to_owned())
    } else if !text.bytes().all(allowed) {
        Err("a segment has a character outside A-Z a-z 0-9 . _ -".to_owned())
    } else {
        Ok(())
    }
}

/// All keys of one board.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    jobs: Key,
    trash: Key,
    done: Key,
    unique: Key,
    sessions: Key,
    control: Key,
    entities: Key,
    books: Key,
}

impl Keyspace {
    /// The keys of `board` in `namespace`.
    pub(crate) fn new(namespace: &Namespace, board: &BoardName) -> Self {
        let area = |area: &str| {
            Key::new(format!("{namespace}/{area}/{board}/"))
                .expect("a namespace has at least two characters")
        };
        Self {
            jobs: area("jobs"),
            trash: area(".trash"),
            done: area(".done"),
            unique: area(".unique"),
            sessions: area(".sessions"),
            control: area(".control"),
            entities: area(".entities"),
            books: area(".books"),
        }
    }

    /// The counter from which jobs take their numbers.
    pub(crate) fn sequence(&self) -> Key {
        self.jobs.child("sequence")
    }

    /// The range of everything that belongs to jobs on the board, and of nothing else: only digits
    /// follow `job` in it.
    pub(crate) fn jobs(&self) -> KeyRange {
        KeyRange::between(self.jobs.child("job0"), self.jobs.child("job:"))
            .expect("a colon comes after every digit")
    }

    /// One key of a job.
    pub(crate) fn job(&self, job: JobId, part: JobPart) -> Key {
        self.jobs.child(format_args!("job{job}.{}", part.as_str()))
    }

    /// The range of all keys of one job.
    pub(crate) fn all_of_job(&self, job: JobId) -> KeyRange {
        KeyRange::between(
            self.jobs.child(format_args!("job{job}.")),
            self.jobs.child(format_args!("job{job}/")),
        )
        .expect("a slash comes right after a full stop")
    }

    /// The key whose write tells how far a cache is. No job has the number that it stands under.
    pub(crate) fn barrier(&self) -> Key {
        self.jobs.child("job0.barrier")
    }

    /// Where the result of a consumed job is kept.
    pub(crate) fn done(&self, job: JobId) -> Key {
        self.done.child(format_args!("job{job}"))
    }

    /// Where is kept which job holds a unique key. The key is escaped.
    pub(crate) fn unique(&self, unique: &str) -> Key {
        let escaped = utf8_percent_encode(unique, ESCAPED);
        self.unique.child(escaped)
    }

    /// A job as a unique key names it: its keys without their parts.
    pub(crate) fn named(&self, job: JobId) -> Key {
        self.jobs.child(format_args!("job{job}"))
    }

    /// The job that is [named](Self::named) so; `None` if that is no job of this board.
    pub(crate) fn parse_named(&self, name: &[u8]) -> Option<JobId> {
        let rest = name.strip_prefix(self.jobs.as_bytes())?;
        JobId::from_digits(std::str::from_utf8(rest).ok()?.strip_prefix("job")?)
    }

    /// The guard of a session.
    pub(crate) fn guard(&self, session: Uuid) -> Key {
        self.sessions.child(session)
    }

    /// The receipt of the last posting that a session sent in a slot.
    pub(crate) fn receipt(&self, session: Uuid, slot: usize) -> Key {
        self.sessions.child(format_args!("{session}.{slot}"))
    }

    /// The mark that a session's claim of a job was released by force.
    pub(crate) fn released(&self, session: Uuid, job: JobId) -> Key {
        self.sessions
            .child(format_args!("{session}.released/{job}"))
    }

    /// The key that is there while the board is paused.
    pub(crate) fn paused(&self) -> Key {
        self.control.child("paused")
    }

    /// The range of what is said to all of the board.
    pub(crate) fn control(&self) -> KeyRange {
        KeyRange::prefix(self.control.clone())
    }

    /// Where an entity stands that a session registered. Kind and name are escaped.
    pub(crate) fn entity(&self, kind: &str, name: &str, session: Uuid) -> Key {
        let [kind, name] = [kind, name].map(|part| utf8_percent_encode(part, ESCAPED));
        self.entities.child(format_args!("{kind}/{name}/{session}"))
    }

    /// The session that registered the entity under a key of [`entities`](Self::entities); `None`
    /// if the key names none.
    pub(crate) fn session_of_entity(&self, key: &Key) -> Option<Uuid> {
        let rest = key.as_bytes().strip_prefix(self.entities.as_bytes())?;
        let (_, session) = std::str::from_utf8(rest).ok()?.rsplit_once('/')?;
        session.parse().ok()
    }

    /// The range of all entities.
    pub(crate) fn entities(&self) -> KeyRange {
        KeyRange::prefix(self.entities.clone())
    }

    /// Where a logbook is kept.
    pub(crate) fn book(&self, book: Uuid) -> Key {
        self.books.child(book)
    }

    /// Where a flow of a logbook is kept.
    pub(crate) fn flow(&self, book: Uuid, flow: Uuid) -> Key {
        self.book(book).child(format_args!("/{flow}"))
    }

    /// Where an atom of a flow is kept.
    pub(crate) fn atom(&self, book: Uuid, flow: Uuid, atom: Uuid) -> Key {
        self.flow(book, flow).child(format_args!("/{atom}"))
    }

    /// The range of a logbook and all that is in it.
    pub(crate) fn all_of_book(&self, book: Uuid) -> KeyRange {
        KeyRange::between(self.book(book), self.book(book).child("0"))
            .expect("a zero comes right after a slash")
    }

    /// The range of all logbooks and all that is in them.
    pub(crate) fn all_books(&self) -> KeyRange {
        KeyRange::prefix(self.books.clone())
    }

    /// The logbook whose own record is kept at `key`; `None` if that is the place of a flow, of an
    /// atom, or of nothing.
    pub(crate) fn parse_book(&self, key: &Key) -> Option<Uuid> {
        let rest = key.as_bytes().strip_prefix(self.books.as_bytes())?;
        let book = Uuid::try_parse_ascii(rest).ok()?;
        // There are other ways to write a uuid than that of the keys.
        (self.book(book) == *key).then_some(book)
    }

    /// What a key of [`jobs`](Self::jobs) is; `None` if it belongs to no job and is not the
    /// barrier.
    pub(crate) fn parse<'key>(&self, key: &'key Key) -> Option<BoardKey<'key>> {
        let rest = key.as_bytes().strip_prefix(self.jobs.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?.strip_prefix("job")?;
        let (digits, part) = rest.split_once('.')?;
        if digits == "0" && part == "barrier" {
            return Some(BoardKey::Barrier);
        }
        let job = JobId::from_digits(digits)?;
        Some(match JobPart::from_str(part) {
            Some(part) => BoardKey::Job(job, part),
            None => BoardKey::Foreign(job, part),
        })
    }
}

/// What a key of a job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum JobPart {
    /// The posting.
    Data,
    /// The owner.
    Owner,
    /// When the job was last claimed, for TaskFlow.
    LastModified,
    /// Attempts and what else goes on beside the posting.
    State,
    /// A request to stop.
    Cancel,
}

impl JobPart {
    pub(crate) const ALL: [Self; 5] = [
        Self::Data,
        Self::Owner,
        Self::LastModified,
        Self::State,
        Self::Cancel,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Owner => "lock",
            Self::LastModified => "last_modified",
            Self::State => "state",
            Self::Cancel => "cancel",
        }
    }

    fn from_str(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == text)
    }
}

/// What a key of the jobs' range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoardKey<'key> {
    /// A key of a job.
    Job(JobId, JobPart),
    /// A key that lies among those of a job and is none of ours.
    Foreign(JobId, &'key str),
    /// The barrier.
    Barrier,
}

impl BoardKey<'_> {
    /// The job among whose keys it is.
    pub(crate) const fn job(self) -> Option<JobId> {
        match self {
            Self::Job(job, _) | Self::Foreign(job, _) => Some(job),
            Self::Barrier => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyspace() -> Keyspace {
        Keyspace::new(&Namespace::default(), &BoardName::default())
    }

    fn job(number: u64) -> JobId {
        JobId::new(number).unwrap()
    }

    fn text(key: &Key) -> &str {
        key.as_str().unwrap()
    }

    #[test]
    fn keys_are_those_of_taskflow() {
        let keys = keyspace();
        let of = |part| keys.job(job(42), part).as_str().unwrap().to_owned();
        assert_eq!(text(&keys.sequence()), "/taskflow/jobs/jobboard/sequence");
        assert_eq!(of(JobPart::Data), "/taskflow/jobs/jobboard/job42.data");
        assert_eq!(of(JobPart::Owner), "/taskflow/jobs/jobboard/job42.lock");
        assert_eq!(
            of(JobPart::LastModified),
            "/taskflow/jobs/jobboard/job42.last_modified"
        );
        assert_eq!(
            text(&keys.trash(job(42), 0)),
            "/taskflow/.trash/jobboard/job42"
        );
        assert_eq!(
            text(&keys.trash(job(42), 1)),
            "/taskflow/.trash/jobboard/job42.1"
        );
    }

    #[test]
    fn keys_of_a_session_lie_beside_its_guard() {
        let (keys, session) = (keyspace(), Uuid::from_u128(1));
        let guard = "/taskflow/.sessions/jobboard/00000000-0000-0000-0000-000000000001";
        assert_eq!(text(&keys.guard(session)), guard);
        assert_eq!(text(&keys.receipt(session, 3)), format!("{guard}.3"));
        assert_eq!(
            text(&keys.released(session, job(42))),
            format!("{guard}.released/42")
        );
    }

    #[test]
    fn names_of_jobs_are_read_back() {
        let keys = keyspace();
        let name = keys.named(job(42));
        assert_eq!(text(&name), "/taskflow/jobs/jobboard/job42");
        assert_eq!(keys.parse_named(name.as_bytes()), Some(job(42)));
        for odd in ["", "job42", "/taskflow/jobs/other/job42"] {
            assert_eq!(keys.parse_named(odd.as_bytes()), None, "{odd}");
        }
        for odd in ["job", "job0", "job042", "job42.data", "jobs", "sequence"] {
            let odd = keys.jobs.child(odd);
            assert_eq!(keys.parse_named(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn free_text_in_a_key_can_not_leave_its_place() {
        let (keys, session) = (keyspace(), Uuid::from_u128(1));
        let key = keys.entity("con/ductor", "a@h:1", session);
        assert_eq!(
            text(&key),
            "/taskflow/.entities/jobboard/con%2Fductor/a%40h%3A1/00000000-0000-0000-0000-000000000001"
        );
        assert!(keys.entities().contains(&key));
        let unique = keys.unique("account/7 ä");
        assert_eq!(
            text(&unique),
            "/taskflow/.unique/jobboard/account%2F7%20%C3%A4"
        );
    }

    #[test]
    fn key_of_an_entity_tells_its_session() {
        let (keys, session) = (keyspace(), Uuid::from_u128(1));
        let key = keys.entity("con/ductor", "a@h:1", session);
        assert_eq!(keys.session_of_entity(&key), Some(session));
        let below = |rest: &str| Key::new(format!("/taskflow/.entities/jobboard/{rest}")).unwrap();
        for odd in ["", "conductor", "conductor/a/", "conductor/a/b"] {
            assert_eq!(keys.session_of_entity(&below(odd)), None, "{odd}");
        }
        assert_eq!(keys.session_of_entity(&keys.guard(session)), None);
    }

    #[test]
    fn range_of_a_book_holds_its_records_and_no_other_book() {
        let (keys, [book, other, flow, atom]) = (keyspace(), [1, 2, 3, 4].map(Uuid::from_u128));
        let range = keys.all_of_book(book);
        for key in [
            keys.book(book),
            keys.flow(book, flow),
            keys.atom(book, flow, atom),
        ] {
            assert!(range.contains(&key), "{key}");
        }
        assert!(!range.contains(&keys.book(other)));
        assert_eq!(
            text(&keys.atom(book, flow, atom)),
            "/taskflow/.books/jobboard/00000000-0000-0000-0000-000000000001\
             /00000000-0000-0000-0000-000000000003/00000000-0000-0000-0000-000000000004"
        );
    }

    #[test]
    fn books_are_told_from_what_is_in_them() {
        let (keys, [book, flow, atom]) = (keyspace(), [10, 11, 12].map(Uuid::from_u128));
        assert_eq!(keys.parse_book(&keys.book(book)), Some(book));
        let upper = keys.book(book).as_str().unwrap().replace("00a", "00A");
        for other in [
            keys.flow(book, flow),
            keys.atom(book, flow, atom),
            Key::new(upper).unwrap(),
            keys.books.child("x"),
            keys.sequence(),
        ] {
            assert_eq!(keys.parse_book(&other), None, "{other}");
        }
        for key in [keys.book(book), keys.atom(book, flow, atom)] {
            assert!(keys.all_books().contains(&key), "{key}");
        }
    }

    #[test]
    fn range_of_the_jobs_holds_every_job_and_the_barrier_only() {
        let keys = keyspace();
        let jobs = keys.jobs();
        for number in [1, 9, 10, 99_999, u64::MAX] {
            assert!(jobs.contains(&keys.job(job(number), JobPart::Data)));
        }
        assert!(jobs.contains(&keys.barrier()));
        assert!(!jobs.contains(&keys.sequence()));
        let other = Keyspace::new(&Namespace::default(), &"jobboard2".parse().unwrap());
        assert!(!jobs.contains(&other.job(job(1), JobPart::Data)));
    }

    #[test]
    fn range_of_one_job_holds_its_keys_and_no_neighbour() {
        let keys = keyspace();
        let range = keys.all_of_job(job(4));
        for part in JobPart::ALL {
            assert!(range.contains(&keys.job(job(4), part)));
            assert!(!range.contains(&keys.job(job(42), part)));
        }
    }

    #[test]
    fn keys_are_read_back() {
        let keys = keyspace();
        for part in JobPart::ALL {
            let key = keys.job(job(42), part);
            assert_eq!(keys.parse(&key), Some(BoardKey::Job(job(42), part)));
        }
        assert_eq!(keys.parse(&keys.barrier()), Some(BoardKey::Barrier));
    }

    #[test]
    fn keys_of_nobody_are_not_taken_for_a_jobs() {
        let keys = keyspace();
        let below = |suffix: &str| Key::new(format!("/taskflow/jobs/jobboard/{suffix}")).unwrap();
        let foreign = below("job7.odd.key");
        assert_eq!(
            keys.parse(&foreign),
            Some(BoardKey::Foreign(job(7), "odd.key"))
        );
        for odd in [
            "job007.data",
            "job0.data",
            "job1",
            "job1x.data",
            "job99999999999999999999.data",
        ] {
            assert_eq!(keys.parse(&below(odd)), None, "{odd}");
        }
        assert_eq!(keys.parse(&Key::new(vec![0xff, 0xfe]).unwrap()), None);
    }

    #[test]
    fn names_outside_the_rules_are_refused() {
        for name in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(
                name.parse::<BoardName>().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{name}"
            );
            let namespace = format!("/a/{name}");
            if name != "a/b" {
                assert!(namespace.parse::<Namespace>().is_err(), "{namespace}");
            }
        }
        for namespace in ["taskflow", "/", "/a/b/c/d/e/f/g/h/i", "/a//b", "/a/"] {
            assert!(namespace.parse::<Namespace>().is_err(), "{namespace}");
        }
        assert!("/a/b-c/D_1.x".parse::<Namespace>().is_ok());
    }
}
