//! What is tried with bytes of any kind: all that reads what lies in etcd, none of which may panic, and
//! what must be true of what it reads. Only there when this is compiled to be fuzzed (`make fuzz`).

use bytes::Bytes;
use chrono::DateTime;
use uuid::Uuid;

use super::{
    cancel::CancelRequest,
    detail::DetailRecord,
    done::DoneRecord,
    entity::{Entity, EntityRecord},
    keys::{BoardKey, BoardName, JobId, Keyspace, Namespace},
    owner::OwnerRecord,
    pause::Pause,
    posting::Posting,
    quarantined::QuarantineRecord,
    reserve::{Counter, Reserve},
    state::StateRecord,
    time::Timestamp,
    trashed::{TrashNote, TrashRecord},
};
use crate::store::{Key, KeyValue, Revision};

const UUID: Uuid = Uuid::from_u128(7);

fn keyspace() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

/// Reads `bytes` as a key of a board, and as the names that keys are made of.
///
/// # Panics
/// If a key that can be read is not the one that is made of what was read.
pub fn keys(bytes: &[u8]) {
    let keys = keyspace();
    if let Ok(text) = std::str::from_utf8(bytes) {
        names(text);
    }
    for area in [
        "",
        "jobs/jobboard/",
        ".trash/jobboard/",
        ".books/jobboard/",
        ".entities/jobboard/",
    ] {
        let whole = [b"/taskflow/", area.as_bytes(), bytes].concat();
        let name = keys.parse_named(&whole);
        assert!(name.is_none_or(|job| keys.named(job).as_bytes() == whole));
        let Ok(key) = Key::new(whole) else {
            continue;
        };
        match keys.parse(&key) {
            Some(BoardKey::Job(job, part)) => {
                assert_eq!(keys.job(job, part), key);
                assert!(keys.all_of_job(job).contains(&key) && keys.jobs().contains(&key));
            }
            Some(BoardKey::Foreign(job, _)) => assert!(keys.all_of_job(job).contains(&key)),
            Some(BoardKey::Barrier) => assert_eq!(keys.barrier(), key),
            None => {}
        }
        if keys.parse_trash(&key).is_some() || keys.is_quarantine(&key) {
            assert!(keys.all_trash().contains(&key));
        }
        assert!(
            keys.parse_book(&key)
                .is_none_or(|book| keys.book(book) == key)
        );
        _ = keys.session_of_entity(&key);
        if let Some(name) = keys.name_of(&key) {
            assert_eq!(keys.parse_name(&name), Some(key));
        }
    }
}

fn names(text: &str) {
    if let Ok(board) = text.parse::<BoardName>() {
        assert_eq!(board.as_str(), text);
        _ = Keyspace::new(&Namespace::default(), &board);
    }
    if let Ok(namespace) = text.parse::<Namespace>() {
        assert_eq!(namespace.as_str(), text);
        _ = Keyspace::new(&namespace, &BoardName::default());
    }
    if let Ok(job) = text.parse::<JobId>() {
        assert_eq!(job.to_string(), text);
    }
    _ = keyspace().unique(text);
}

/// Reads `bytes` as each of the records that a board keeps.
///
/// # Panics
/// If what can be read can not be shown, or is read as something else once it was written again.
pub fn records(bytes: &[u8]) {
    let record = Bytes::copy_from_slice(bytes);
    if let Ok(posting) = Posting::read(record.clone()) {
        postings(&posting);
    }
    // What goes on with the longest that is read is longer.
    if bytes.len() < 60_000
        && let Ok(state) = StateRecord::read(bytes)
    {
        let next = state.claimed(UUID, "worker");
        for state in [
            next.returned(&state),
            next.abandoned(),
            next.unclaimed(),
            state,
        ] {
            assert_eq!(StateRecord::read(&state.write()), Ok(state));
        }
    }
    if let Ok(owner) = OwnerRecord::read(bytes) {
        assert_eq!(OwnerRecord::read(&owner.write()), Ok(owner));
    }
    if let Ok(entity) = Entity::read(bytes)
        && let Ok(written) = EntityRecord::new("fuzz", &entity)
    {
        assert_eq!(Entity::read(written.bytes()), Ok(entity));
    }
    if let Ok(detail) = DetailRecord::read(UUID, bytes) {
        assert!(DetailRecord::read(UUID, &detail.write()).is_ok_and(|again| again == detail));
    }
    if let Ok(request) = CancelRequest::read(bytes) {
        _ = request.as_reason();
    }
    let keys = keyspace();
    if let Ok(kept) = QuarantineRecord::read(&keys, bytes) {
        _ = kept.write(&keys);
    }
    _ = Pause::read(bytes);
    _ = DoneRecord::result(bytes, UUID);
    counter(&keys, record);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(time) = Timestamp::parse(text)
    {
        let written = serde_json::to_string(&time).expect("a time is text");
        assert_eq!(Timestamp::parse(written.trim_matches('"')), Some(time));
    }
    // What is told of what can not be read says nothing of what it is.
    let secret = [b"\"hunter2 ", bytes].concat();
    if let Err(why) = Posting::read(Bytes::from(secret)) {
        assert!(!why.to_string().contains("hunter2"));
    }
}

fn postings(posting: &Posting) {
    _ = (
        posting.details(),
        posting.unique_key(&keyspace()),
        posting.created_on(),
    );
    let note = TrashNote {
        on: DateTime::UNIX_EPOCH,
        by: "worker",
        reason: None,
        attempts: 1,
        operation: UUID,
    };
    let noted = note.annotate(posting).expect("a posting is an object");
    let trashed = TrashRecord::read(noted).expect("notes leave a posting readable");
    let restored = trashed.without_note().expect("a posting is an object");
    let restored = Posting::read(restored).expect("notes leave a posting readable");
    assert_eq!(restored.uuid(), posting.uuid());
    assert_eq!(restored.details_json(), posting.details_json());
}

fn counter(keys: &Keyspace, value: Bytes) {
    let kv = KeyValue {
        key: keys.sequence(),
        value,
        create_revision: Revision::new(1),
        mod_revision: Revision::new(1),
        version: 1,
        lease: None,
    };
    if let Ok(counter) = Counter::read(Some(&kv)) {
        _ = Reserve::new(keys, counter, u32::MAX);
    }
}
