//! What can not be read, or belongs to nothing.

use super::*;

#[test]
fn unreadable_records_are_skipped_and_reported_once() {
    let mut index = index();
    let foreign = Event::Put(kv(keys().barrier().child(".x"), "", 1, 1));
    let hostile = [
        put(1, JobPart::Data, "hunter2", 1),
        data(2, "HIGH", 1),
        put(2, JobPart::State, "hunter2", 1),
        put(3, JobPart::State, "{}", 1),
        data(4, "HIGH", 1),
        foreign,
    ];
    apply(&mut index, &hostile);
    assert_eq!(walk(&index, false), [2, 4]);
    assert_eq!(
        walk(&index, true),
        [4],
        "a job whose state is unknown is not offered"
    );
    assert_eq!(index.unreadable().len(), 4);
    assert_eq!(index.unreadable_total(), 4);
    let (fresh, unlisted) = index.take_fresh_unreadable();
    assert_eq!((fresh.len(), unlisted), (4, 0));
    assert!(!format!("{fresh:?}").contains("hunter2"));
    assert!(index.take_fresh_unreadable().0.is_empty());
}

#[test]
fn key_that_stays_unreadable_is_reported_once_however_often_it_is_written() {
    let mut index = index();
    let mut told = |event| {
        apply(&mut index, &[event]);
        index.take_fresh_unreadable().0.len()
    };
    assert_eq!(told(put(1, JobPart::Data, "{", 1)), 1);
    // In other words, as it ends elsewhere.
    assert_eq!(told(put(1, JobPart::Data, "{  ", 2)), 0);
    assert_eq!(told(put(1, JobPart::Data, "{", 3)), 0);
    let newer = r#"{"jobboard": {"v": 99}}"#;
    assert_eq!(told(put(1, JobPart::Data, newer, 4)), 1);
    assert_eq!(told(data(1, "HIGH", 5)), 0);
    assert_eq!(told(put(1, JobPart::Data, "{", 6)), 1);
    assert_eq!(index.unreadable().len(), 1);
    assert_eq!(index.unreadable_total(), 5);
}

#[test]
fn keys_that_are_too_many_to_list_are_reported_whenever_they_are_twice_as_many() {
    let mut index = index();
    let endless = Key::new(vec![b'x'; 5_000]).unwrap();
    let told = (1..=9).map(|revision| {
        let event = Event::Put(kv(endless.clone(), "", 1, revision));
        apply(&mut index, &[event]);
        index.take_fresh_unreadable().1
    });
    assert!(told.eq([1, 2, 0, 4, 0, 0, 0, 8, 0]));
}

#[test]
fn job_that_becomes_unreadable_vanishes_and_comes_back() {
    let mut index = index();
    apply(&mut index, &[data(1, "HIGH", 1), owner(1, 1)]);
    let gone = apply(&mut index, &[put(1, JobPart::Data, "{", 2)]);
    assert_eq!(kinds(&gone), [(1, ChangeKind::BecameUnreadable)]);
    assert!(gone.owners.is_empty() && index.holder(job(1)).is_some());
    assert_eq!((index.len(), index.unreadable().len()), (0, 1));
    let back = apply(&mut index, &[data(1, "HIGH", 3)]);
    let expected = [(1, ChangeKind::Posted), (1, ChangeKind::Claimed)];
    assert_eq!(kinds(&back), expected);
    assert!(index.unreadable().is_empty());
}

#[test]
fn keys_without_a_posting_are_listed_until_they_are_gone() {
    let mut index = index();
    apply(&mut index, &[owner(1, 1)]);
    let listed = index.unreadable();
    assert_eq!(listed[0].key, keys().job(job(1), JobPart::Data));
    assert_eq!(listed[0].job, Some(job(1)));
    apply(&mut index, &[delete(1, JobPart::Owner, 2)]);
    assert!(index.unreadable().is_empty() && index.jobs.is_empty());
}

#[test]
fn unreadable_key_tells_the_job_that_it_is_of() {
    let mut index = index();
    let foreign = |key: Key| Event::Put(kv(key, "", 1, 1));
    apply(
        &mut index,
        &[
            put(7, JobPart::Owner, "?", 1),
            foreign(keys().named(job(8)).child(".x")),
            foreign(keys().named(job(9)).child("x")),
        ],
    );
    let jobs: Vec<_> = index.unreadable().iter().map(|one| one.job).collect();
    // That of the owner is told twice: its posting is missing as well.
    let expected = [Some(job(7)), Some(job(7)), Some(job(8)), None];
    assert_eq!(jobs, expected);
}

#[test]
fn owner_keys_are_told_whatever_can_be_read_of_the_job() {
    let mut index = index();
    let changes = apply(&mut index, &[owner(1, 1), put(2, JobPart::Owner, "?", 1)]);
    assert!(changes.jobs.is_empty());
    let told: Vec<_> = changes.owners.iter().map(|change| change.job).collect();
    assert_eq!(told, [job(1), job(2)]);
    let nameless = changes.owners[1].holder.as_ref().unwrap();
    assert_eq!((nameless.token, &nameless.record), (at(1), &None));
    let gone = apply(&mut index, &[delete(1, JobPart::Owner, 2)]);
    assert_eq!(
        (gone.owners[0].job, &gone.owners[0].holder),
        (job(1), &None)
    );
}

#[test]
fn job_with_an_unreadable_owner_is_claimed() {
    let mut index = index();
    apply(
        &mut index,
        &[data(1, "HIGH", 1), put(1, JobPart::Owner, "?", 1)],
    );
    assert_eq!((walk(&index, true), walk(&index, false)), (vec![], vec![1]));
}

#[test]
fn what_was_reported_is_not_reported_again_by_a_list() {
    let bad = || put(1, JobPart::Data, "{", 1);
    let mut old = listing(vec![bad()]);
    old.take_fresh_unreadable();
    let mut new = listing(vec![bad(), put(2, JobPart::Data, "{", 2)]);
    new.succeed(&old, at(3));
    let fresh = new.take_fresh_unreadable().0;
    assert_eq!(fresh.len(), 1);
    assert_eq!(fresh[0].key, keys().job(job(2), JobPart::Data));
    assert_eq!((new.unreadable().len(), new.unreadable_total()), (2, 2));
}

#[test]
fn list_reports_those_that_are_too_many_as_a_watch_does() {
    let endless = Key::new(vec![b'x'; 5_000]).unwrap();
    let list = || listing(vec![Event::Put(kv(endless.clone(), "", 1, 1))]);
    let mut old = list();
    assert_eq!(old.take_fresh_unreadable().1, 1);
    let mut new = list();
    new.succeed(&old, at(2));
    assert_eq!(new.take_fresh_unreadable().1, 0);
}

#[test]
fn list_of_the_unreadable_has_an_end() {
    let more = u64::try_from(LISTED).unwrap() + 5;
    let events: Vec<_> = (1..=more).map(|n| put(n, JobPart::Data, "{", n)).collect();
    let mut index = listing(events);
    assert_eq!(index.unreadable().len(), LISTED);
    assert_eq!(index.unreadable_total(), more);
    assert_eq!(index.take_fresh_unreadable().1, 5);
}

#[test]
fn endless_key_is_counted_and_not_listed() {
    let mut index = index();
    let endless = Key::new(vec![b'x'; 5_000]).unwrap();
    index.apply(at(1), &[Event::Put(kv(endless, "", 1, 1))]);
    assert_eq!(index.unreadable_total(), 1);
    assert_eq!(index.take_fresh_unreadable(), (vec![], 1));
    assert!(index.unreadable().is_empty());
}

/// Bytes of which is known whether anybody keeps them.
struct Kept {
    _count: Arc<()>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        b"{\"odd\""
    }
}

#[test]
fn bytes_of_what_can_not_be_read_are_not_kept() {
    let kept = Arc::new(());
    let odd = || {
        Bytes::from_owner(Kept {
            _count: Arc::clone(&kept),
        })
    };
    let mut index = index();
    for (number, part) in (1..).zip(JobPart::ALL) {
        apply(&mut index, &[put(number, part, odd(), 1)]);
        apply(
            &mut index,
            &[
                data(number + 10, "HIGH", 2),
                put(number + 10, part, odd(), 2),
            ],
        );
    }
    let foreign = kv(keys().barrier().child(".x"), odd(), 3, 3);
    apply(&mut index, &[Event::Put(foreign)]);
    assert!(index.unreadable().len() > JobPart::ALL.len());
    assert_eq!(Arc::strong_count(&kept), 1);
}
