use std::sync::Mutex;

use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    protocol::{
        keys::{BoardName, Namespace},
        record,
    },
    store::Key,
};

type Heard = Arc<Mutex<Vec<(u64, Vec<u64>)>>>;

fn keys() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

fn at(revision: u64) -> Revision {
    Revision::new(revision)
}

/// A sink, and the numbers of the jobs that it tells of at each revision.
fn setup(after: Option<u64>) -> (impl Sink, Heard) {
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    let observer = move |revision: Revision, trashed: Vec<Trashed>| {
        let jobs = trashed.iter().map(|trashed| trashed.job.get()).collect();
        log.lock().unwrap().push((revision.get(), jobs));
    };
    let sink = Told {
        keys: keys(),
        after: after.map(at),
        incoming: Vec::new(),
        observer,
    };
    (sink, heard)
}

fn kv(key: Key, value: Bytes, created: u64, modified: u64) -> KeyValue {
    KeyValue {
        key,
        value,
        create_revision: at(created),
        mod_revision: at(modified),
        version: 1 + modified - created,
        lease: None,
    }
}

fn trashed(number: u64, created: u64) -> KeyValue {
    let record = record::write(&json!({
        "uuid": Uuid::from_u128(number.into()), "name": "n", "priority": "LOW",
    }));
    let job = JobId::new(number).unwrap();
    kv(keys().trash(job, 0), record, created, created)
}

fn list(sink: &mut impl Sink, kvs: Vec<KeyValue>, revision: u64, origin: Origin) {
    sink.list_begins();
    sink.page(kvs);
    sink.list_complete(at(revision), origin);
}

fn heard(heard: &Heard) -> Vec<(u64, Vec<u64>)> {
    heard.lock().unwrap().clone()
}

#[test]
fn what_was_in_the_trash_before_is_not_told() {
    let (mut sink, told) = setup(None);
    list(&mut sink, vec![trashed(1, 3)], 5, Origin::First);
    sink.revision(at(6), &[Event::Put(trashed(2, 6))]);
    assert_eq!(heard(&told), [(5, vec![]), (6, vec![2])]);
}

#[test]
fn what_came_after_the_revision_asked_for_is_told_in_order() {
    let (mut sink, told) = setup(Some(3));
    let kvs = vec![trashed(1, 3), trashed(2, 5), trashed(3, 4)];
    list(&mut sink, kvs, 5, Origin::First);
    assert_eq!(heard(&told), [(5, vec![3, 2])]);
}

#[test]
fn gap_of_a_compaction_is_filled_and_nothing_told_twice() {
    let (mut sink, told) = setup(None);
    list(&mut sink, vec![], 2, Origin::First);
    sink.revision(at(3), &[Event::Put(trashed(1, 3))]);
    let kvs = vec![trashed(1, 3), trashed(2, 4)];
    list(&mut sink, kvs, 9, Origin::Relisted);
    assert_eq!(heard(&told), [(2, vec![]), (3, vec![1]), (9, vec![2])]);
}

#[test]
fn list_that_was_not_completed_is_void() {
    let (mut sink, told) = setup(Some(1));
    sink.list_begins();
    sink.page(vec![trashed(1, 3)]);
    list(&mut sink, vec![trashed(1, 3)], 5, Origin::First);
    assert_eq!(heard(&told), [(5, vec![1])]);
}

#[test]
fn another_history_is_not_told() {
    let (mut sink, told) = setup(Some(3));
    list(&mut sink, vec![trashed(1, 4)], 9, Origin::OtherHistory);
    assert_eq!(heard(&told), [(9, vec![])]);
    let (mut sink, told) = setup(Some(20));
    list(&mut sink, vec![trashed(1, 4)], 9, Origin::First);
    sink.revision(at(10), &[Event::Put(trashed(2, 10))]);
    assert_eq!(heard(&told), [(9, vec![]), (10, vec![2])]);
}

#[test]
fn rewritten_deleted_and_unreadable_records_are_not_told() {
    let (mut sink, told) = setup(None);
    list(&mut sink, vec![trashed(1, 1)], 2, Origin::First);
    let [one, two] = [1, 2].map(|number| keys().trash(JobId::new(number).unwrap(), 0));
    let odd = Key::new("/taskflow/.trash/jobboard/odd").unwrap();
    let rewritten = kv(one.clone(), trashed(1, 1).value, 1, 3);
    let events = [
        Event::Put(rewritten),
        Event::Put(kv(two, Bytes::from_static(b"{"), 3, 3)),
        Event::Put(kv(odd, trashed(7, 3).value, 3, 3)),
        Event::Delete {
            key: one,
            revision: at(3),
        },
    ];
    sink.revision(at(3), &events);
    assert_eq!(heard(&told), [(2, vec![]), (3, vec![])]);
}
