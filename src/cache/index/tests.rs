mod resting;
mod unreadable;

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::{
    cache::unreadable::LISTED,
    clock::Clock,
    protocol::{
        keys::{BoardName, Namespace},
        owner::ClaimMark,
        record,
    },
    random::Random,
};

fn keys() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

fn job(number: u64) -> JobId {
    JobId::new(number).unwrap()
}

fn at(revision: u64) -> Revision {
    Revision::new(revision)
}

fn kv(key: Key, value: impl Into<Bytes>, created: u64, modified: u64) -> KeyValue {
    KeyValue {
        key,
        value: value.into(),
        create_revision: at(created),
        mod_revision: at(modified),
        version: 1,
        lease: None,
    }
}

fn posting(number: u64, priority: &str) -> Bytes {
    record::write(&json!({
        "uuid": Uuid::from_u128(number.into()),
        "name": "n",
        "priority": priority,
        "created_on": "2026-01-31T12:00:00.000000",
    }))
}

fn put(number: u64, part: JobPart, value: impl Into<Bytes>, revision: u64) -> Event {
    Event::Put(kv(keys().job(job(number), part), value, revision, revision))
}

fn delete(number: u64, part: JobPart, revision: u64) -> Event {
    Event::Delete {
        key: keys().job(job(number), part),
        revision: at(revision),
    }
}

fn data(number: u64, priority: &str, revision: u64) -> Event {
    put(number, JobPart::Data, posting(number, priority), revision)
}

fn owner(number: u64, revision: u64) -> Event {
    let mark = json!({"session": Uuid::from_u128(7), "claim": Uuid::from_u128(8)});
    let record = json!({"owner": "w", "jobboard": mark});
    put(number, JobPart::Owner, record::write(&record), revision)
}

fn index() -> Index {
    let timing = Timing::new(Clock::counted_from(DateTime::UNIX_EPOCH), Random::seeded(1));
    Index::new(keys(), timing)
}

/// Applies `events` as one revision.
fn apply(index: &mut Index, events: &[Event]) -> Changes {
    index.apply(events[0].revision(), events)
}

fn listing(events: Vec<Event>) -> Index {
    let kvs: Vec<_> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Put(kv) => Some(kv),
            Event::Delete { .. } => None,
        })
        .collect();
    let mut index = index();
    index.load(&kvs);
    index
}

fn kinds(changes: &Changes) -> Vec<(u64, ChangeKind)> {
    let kind = |change: &Change| (change.job().get(), change.kind);
    changes.jobs.iter().map(kind).collect()
}

fn walk(index: &Index, unclaimed: bool) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut last = None;
    while let Some(entry) = index.next(last.as_ref(), unclaimed) {
        seen.push(entry.job.get());
        last = Some(entry.position());
    }
    seen
}

#[test]
fn order_is_priority_then_revision_of_the_post_then_number() {
    let mut index = index();
    apply(&mut index, &[data(4, "LOW", 1)]);
    apply(&mut index, &[data(3, "HIGH", 2), data(2, "HIGH", 2)]);
    apply(&mut index, &[data(1, "HIGH", 3)]);
    apply(&mut index, &[data(5, "VERY_HIGH", 4)]);
    assert_eq!(walk(&index, false), [5, 2, 3, 1, 4]);
    assert_eq!((index.len(), index.revision()), (5, at(4)));
}

#[test]
fn claimed_jobs_are_not_walked_over_by_who_wants_unclaimed_ones() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1), data(2, "HIGH", 1)]);
    let claimed = apply(&mut index, &[owner(1, 2)]);
    assert_eq!(kinds(&claimed), [(1, ChangeKind::Claimed)]);
    assert_eq!(walk(&index, true), [2]);
    assert_eq!(walk(&index, false), [1, 2]);
    let released = apply(&mut index, &[delete(1, JobPart::Owner, 3)]);
    assert_eq!(kinds(&released), [(1, ChangeKind::Released)]);
    assert_eq!(walk(&index, true), [1, 2]);
}

#[test]
fn cursor_goes_on_from_a_job_that_is_gone() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1), data(2, "HIGH", 1)]);
    let first = index.next(None, false).unwrap().position();
    apply(&mut index, &[delete(1, JobPart::Data, 2)]);
    assert_eq!(index.next(Some(&first), false).unwrap().job, job(2));
}

#[test]
fn claim_tells_its_token_its_mark_and_its_state() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1)]);
    let state = put(1, JobPart::State, r#"{"attempts":1}"#, 2);
    let changes = apply(&mut index, &[owner(1, 2), state]);
    let expected = [(1, ChangeKind::Claimed), (1, ChangeKind::StateChanged)];
    assert_eq!(kinds(&changes), expected);
    let holder = index.get(job(1)).unwrap().holder().unwrap();
    let mark = ClaimMark {
        session: Uuid::from_u128(7),
        claim: Uuid::from_u128(8),
    };
    assert_eq!(holder.token, at(2));
    assert_eq!(holder.record.as_ref().unwrap().mark, Some(mark));
    let state = index.get(job(1)).unwrap().state().unwrap();
    assert_eq!((state.mod_revision, state.record.attempts), (at(2), 1));
}

#[test]
fn progress_is_told_once_for_each_report() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1), owner(1, 1)]);
    let half = r#"{"attempts":1,"progress":{"fraction":0.5}}"#;
    let told = apply(&mut index, &[put(1, JobPart::State, half, 2)]);
    let expected = [(1, ChangeKind::StateChanged), (1, ChangeKind::Progressed)];
    assert_eq!(kinds(&told), expected);
    let told = apply(&mut index, &[put(1, JobPart::Cancel, "{}", 3)]);
    assert_eq!(kinds(&told), [(1, ChangeKind::CancelRequested)]);
    let without = r#"{"attempts":1}"#;
    let told = apply(&mut index, &[put(1, JobPart::State, without, 4)]);
    assert_eq!(kinds(&told), [(1, ChangeKind::StateChanged)]);
}

#[test]
fn time_of_the_last_change_is_that_of_the_key_or_else_of_the_post() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1)]);
    let hour = |index: &Index| {
        let time = index.get(job(1)).unwrap().last_modified().unwrap();
        time.format("%H").to_string()
    };
    assert_eq!(hour(&index), "12");
    let claimed = r#"{"last_modified": "2026-01-31T13:00:00.000000"}"#;
    apply(&mut index, &[put(1, JobPart::LastModified, claimed, 2)]);
    assert_eq!(hour(&index), "13");
    apply(&mut index, &[put(1, JobPart::LastModified, "x", 3)]);
    assert_eq!(hour(&index), "12");
    assert_eq!(walk(&index, true), [1]);
}

#[test]
fn job_posted_again_under_its_number_is_another_job() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1)]);
    let changes = apply(
        &mut index,
        &[delete(1, JobPart::Data, 2), data(1, "LOW", 2)],
    );
    let expected = [(1, ChangeKind::Removed), (1, ChangeKind::Posted)];
    assert_eq!(kinds(&changes), expected);
    assert_eq!(walk(&index, false), [1]);
}

#[test]
fn posting_that_is_written_over_is_told_as_what_it_is() {
    let over = |number, priority, revision| {
        let key = keys().job(job(1), JobPart::Data);
        Event::Put(kv(key, posting(number, priority), 1, revision))
    };
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1), data(2, "NORMAL", 1)]);
    let rewritten = apply(&mut index, &[over(1, "LOW", 2)]);
    assert_eq!(kinds(&rewritten), [(1, ChangeKind::Rewritten)]);
    assert_eq!(walk(&index, true), [2, 1]);
    let another = apply(&mut index, &[over(7, "LOW", 3)]);
    let expected = [(1, ChangeKind::Removed), (1, ChangeKind::Posted)];
    assert_eq!(kinds(&another), expected);
    assert!(index.find(Uuid::from_u128(1)).is_none());
}

#[test]
fn job_is_found_by_its_uuid_until_it_is_gone() {
    let mut index = index();
    let twin = put(9, JobPart::Data, posting(1, "HIGH"), 1);
    apply(&mut index, &[data(1, "HIGH", 1), data(2, "LOW", 1), twin]);
    let find = |index: &Index, uuid| index.find(Uuid::from_u128(uuid)).map(|entry| entry.job);
    assert_eq!(find(&index, 1), Some(job(1)));
    assert_eq!((find(&index, 0), find(&index, 3)), (None, None));
    apply(&mut index, &[delete(1, JobPart::Data, 2)]);
    assert_eq!(find(&index, 1), Some(job(9)));
}

#[test]
fn list_tells_the_differences_in_the_order_of_the_jobs() {
    let old = listing(vec![
        data(1, "HIGH", 1),
        data(2, "HIGH", 2),
        owner(2, 3),
        data(4, "HIGH", 4),
        owner(4, 5),
        data(5, "HIGH", 4),
    ]);
    let mut new = listing(vec![
        put(2, JobPart::Cancel, "{}", 7),
        data(2, "HIGH", 2),
        data(3, "HIGH", 8),
        data(4, "HIGH", 4),
        owner(4, 9),
        data(5, "HIGH", 4),
    ]);
    let changes = new.succeed(&old, at(9));
    let expected = [
        (1, ChangeKind::Removed),
        (2, ChangeKind::Released),
        (2, ChangeKind::CancelRequested),
        (3, ChangeKind::Posted),
        (4, ChangeKind::Released),
        (4, ChangeKind::Claimed),
    ];
    assert_eq!(kinds(&changes), expected);
    assert!(changes.jobs.iter().all(|change| change.revision == at(9)));
}

#[test]
fn list_names_every_owner_and_every_owner_that_is_gone() {
    let old = listing(vec![owner(1, 1), data(2, "HIGH", 1), owner(2, 1)]);
    let mut new = listing(vec![data(2, "HIGH", 1), owner(2, 1)]);
    let owners = new.succeed(&old, at(5)).owners;
    let told: Vec<_> = owners.iter().map(|o| (o.job, o.holder.is_some())).collect();
    assert_eq!(told, [(job(1), false), (job(2), true)]);
}

#[test]
fn list_in_pages_is_the_same_wherever_a_page_ends() {
    let kvs = [
        kv(keys().job(job(1), JobPart::Cancel), "{}", 3, 3),
        kv(keys().job(job(1), JobPart::Data), posting(1, "LOW"), 1, 1),
        kv(keys().job(job(1), JobPart::Owner), "?", 2, 2),
    ];
    for cut in 0..=kvs.len() {
        let mut index = index();
        index.load(&kvs[..cut]);
        index.load(&kvs[cut..]);
        let entry = index.get(job(1)).unwrap();
        assert!(entry.cancel_request().is_some() && entry.holder().is_some());
        assert_eq!(index.take_fresh_unreadable().0.len(), 1, "the owner alone");
        assert_eq!(index.unreadable_total(), 1);
    }
}

#[test]
fn replayed_random_script_equals_a_list_of_its_outcome() {
    let random = Random::seeded(11);
    let mut index = index();
    let mut store: BTreeMap<Key, KeyValue> = BTreeMap::new();
    for revision in 1..3_000 {
        let event = random_event(&random, revision);
        match &event {
            Event::Put(kv) => {
                let mut kv = kv.clone();
                if let Some(old) = store.get(&kv.key) {
                    kv.create_revision = old.create_revision;
                }
                apply(&mut index, &[Event::Put(kv.clone())]);
                store.insert(kv.key.clone(), kv);
            }
            Event::Delete { key, .. } => {
                if store.remove(key).is_some() {
                    apply(&mut index, &[event]);
                }
            }
        }
        if revision % 50 == 0 {
            let kvs: Vec<_> = store.values().cloned().collect();
            let mut listed = self::index();
            listed.load(&kvs);
            let differences = listed.succeed(&index, at(revision));
            assert_eq!(differences.jobs, []);
            for unclaimed in [true, false] {
                assert_eq!(walk(&listed, unclaimed), walk(&index, unclaimed));
            }
            assert_eq!(listed.uuids, index.uuids);
            let keys = |index: &Index| -> Vec<_> {
                index.unreadable().into_iter().map(|one| one.key).collect()
            };
            assert_eq!(keys(&listed), keys(&index));
        }
    }
}

/// A change of one of eight jobs, one in five of them unreadable.
fn random_event(random: &Random, revision: u64) -> Event {
    let number = 1 + random.number() % 8;
    let good = !random.number().is_multiple_of(5);
    match random.number() % 7 {
        0 | 1 if good => data(number, ["LOW", "HIGH"][(revision % 2) as usize], revision),
        0 | 1 => put(number, JobPart::Data, "{", revision),
        2 => delete(number, JobPart::Data, revision),
        3 if good => owner(number, revision),
        3 => put(number, JobPart::Owner, "?", revision),
        4 => delete(number, JobPart::Owner, revision),
        5 => put(
            number,
            JobPart::State,
            if good { "{}" } else { "?" },
            revision,
        ),
        _ => delete(number, JobPart::State, revision),
    }
}
