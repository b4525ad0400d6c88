use bytes::Bytes;
use serde_json::json;

use super::{
    EntityEvent::{Changed, Gone},
    *,
};
use crate::{
    protocol::{
        entity::EntityRecord,
        keys::{BoardName, Namespace},
    },
    random::Random,
};

fn keys() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

fn roll() -> Roll {
    Roll::new(keys())
}

fn at(revision: u64) -> Revision {
    Revision::new(revision)
}

fn conductor(name: &str, slots: u32) -> Entity {
    Entity::new("conductor", name).with_metadata(json!({"slots": slots}))
}

fn key(entity: &Entity, session: u128) -> Key {
    keys().entity(entity.kind(), entity.name(), Uuid::from_u128(session))
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

/// The key of an entity that came to be at `created`.
fn stands(entity: &Entity, session: u128, created: u64, modified: u64) -> KeyValue {
    let record = EntityRecord::new("register", entity).unwrap();
    kv(
        key(entity, session),
        record.bytes().clone(),
        created,
        modified,
    )
}

fn put(entity: &Entity, session: u128, created: u64, modified: u64) -> Event {
    Event::Put(stands(entity, session, created, modified))
}

fn delete(entity: &Entity, session: u128, revision: u64) -> Event {
    Event::Delete {
        key: key(entity, session),
        revision: at(revision),
    }
}

fn registered(entity: &Entity, session: u128, since: u64) -> Registered {
    Registered {
        entity: entity.clone(),
        session: Uuid::from_u128(session),
        since: at(since),
    }
}

#[test]
fn entity_comes_changes_and_goes() {
    let (mut roll, one, more) = (roll(), conductor("a", 1), conductor("a", 2));
    assert_eq!(
        roll.apply(at(3), &[put(&one, 1, 3, 3)]),
        [EntityEvent::Registered(registered(&one, 1, 3))]
    );
    assert_eq!(
        roll.apply(at(4), &[put(&more, 1, 3, 4)]),
        [Changed(registered(&more, 1, 3))]
    );
    assert_eq!(roll.list(|_| true), [registered(&more, 1, 3)]);
    assert_eq!(
        roll.apply(at(5), &[delete(&one, 1, 5)]),
        [Gone(registered(&more, 1, 3))]
    );
    assert_eq!((roll.list(|_| true), roll.revision()), (vec![], at(5)));
}

#[test]
fn same_record_once_more_is_no_change() {
    let (mut roll, one) = (roll(), conductor("a", 1));
    roll.apply(at(3), &[put(&one, 1, 3, 3)]);
    assert_eq!(roll.apply(at(4), &[put(&one, 1, 3, 4)]), []);
    assert_eq!(roll.apply(at(5), &[delete(&one, 2, 5)]), []);
}

#[test]
fn namesakes_stand_side_by_side_the_older_first() {
    let (mut roll, one) = (roll(), conductor("a", 1));
    roll.apply(at(3), &[put(&one, 9, 3, 3)]);
    roll.apply(at(4), &[put(&one, 1, 4, 4)]);
    let both = [registered(&one, 9, 3), registered(&one, 1, 4)];
    assert_eq!(roll.list(|_| true), both);
}

#[test]
fn list_goes_by_kind_then_name_and_can_be_of_one_kind() {
    let mut roll = roll();
    let [b, a] = ["b", "a"].map(|name| conductor(name, 1));
    // As parts of keys these two are in the other order.
    let [odd, plain] = ["a/", "a."].map(|kind| Entity::new(kind, "n"));
    let events = [&b, &a, &odd, &plain].map(|entity| put(entity, 1, 3, 3));
    roll.apply(at(3), &events);
    let all: Vec<_> = roll.list(|_| true);
    let all: Vec<_> = all.into_iter().map(|one| one.entity).collect();
    assert_eq!(all, [plain, odd, a.clone(), b.clone()]);
    let some = roll.list(|entity| entity.kind() == "conductor");
    assert_eq!(some, [registered(&a, 1, 3), registered(&b, 1, 3)]);
}

#[test]
fn what_can_not_be_read_hides_nobody_and_is_listed() {
    let (mut roll, one) = (roll(), conductor("a", 1));
    let below =
        |rest: &str| Key::new(format!("/taskflow/.entities/jobboard/conductor/{rest}")).unwrap();
    let record = stands(&one, 1, 3, 3).value;
    let odd = [
        kv(key(&one, 2), "{", 3, 3),
        kv(key(&one, 3), r#"{"kind":"conductor"}"#, 3, 3),
        kv(key(&conductor("b", 1), 4), record.clone(), 3, 3),
        kv(below("a"), record.clone(), 3, 3),
        kv(below("a/00000000000000000000000000000005"), record, 3, 3),
        kv(Key::new(vec![0xff]).unwrap(), "", 3, 3),
    ];
    let events: Vec<_> = odd.iter().cloned().map(Event::Put).collect();
    assert_eq!(roll.apply(at(3), &events), []);
    let seen = roll.apply(at(4), &[put(&one, 1, 4, 4)]);
    assert_eq!(seen, [EntityEvent::Registered(registered(&one, 1, 4))]);
    let told: BTreeSet<_> = roll.unreadable().into_iter().map(|one| one.key).collect();
    assert_eq!(told, odd.iter().map(|kv| kv.key.clone()).collect());
    assert_eq!(roll.take_fresh_unreadable().0.len(), odd.len());
    assert_eq!(roll.take_fresh_unreadable().0.len(), 0);

    roll.apply(at(5), &[delete(&one, 2, 5), put(&one, 3, 3, 5)]);
    assert_eq!(roll.unreadable().len(), odd.len() - 2);
    assert_eq!(roll.list(|_| true).len(), 2);
}

#[test]
fn entity_whose_record_becomes_unreadable_is_gone() {
    let (mut roll, one) = (roll(), conductor("a", 1));
    roll.apply(at(3), &[put(&one, 1, 3, 3)]);
    let spoilt = Event::Put(kv(key(&one, 1), "[]", 3, 4));
    assert_eq!(roll.apply(at(4), &[spoilt]), [Gone(registered(&one, 1, 3))]);
    assert_eq!(
        roll.apply(at(5), &[put(&one, 1, 3, 5)]),
        [EntityEvent::Registered(registered(&one, 1, 3))]
    );
}

#[test]
fn list_tells_how_it_differs_from_what_was_known() {
    let [stays, changes, goes, comes, anew] =
        ["a", "b", "c", "d", "e"].map(|name| conductor(name, 1));
    let other = conductor("b", 2);
    let mut before = roll();
    let known = [&stays, &changes, &goes, &anew].map(|entity| stands(entity, 1, 3, 3));
    before.load(&known);
    before.succeed(&roll(), at(3));
    let mut after = roll();
    after.load(&[stands(&stays, 1, 3, 3), stands(&other, 1, 3, 8)]);
    after.load(&[stands(&comes, 1, 7, 7), stands(&anew, 1, 9, 9)]);
    assert_eq!(
        after.succeed(&before, at(9)),
        [
            Changed(registered(&other, 1, 3)),
            Gone(registered(&goes, 1, 3)),
            EntityEvent::Registered(registered(&comes, 1, 7)),
            Gone(registered(&anew, 1, 3)),
            EntityEvent::Registered(registered(&anew, 1, 9)),
        ]
    );
    assert_eq!(after.revision(), at(9));
}

#[test]
fn unreadable_key_is_told_once_however_often_it_is_listed() {
    let page = [kv(key(&conductor("a", 1), 1), "{", 3, 3)];
    let (mut before, mut after) = (roll(), roll());
    before.load(&page);
    assert_eq!(before.take_fresh_unreadable().0.len(), 1);
    after.load(&page);
    after.succeed(&before, at(4));
    assert_eq!(after.take_fresh_unreadable().0, []);
    assert_eq!(after.unreadable().len(), 1);
}

/// Keeps a list by the changes alone.
fn follow(list: &mut BTreeMap<Key, Registered>, changes: Vec<EntityEvent>) {
    for change in changes {
        match change {
            EntityEvent::Registered(one) => {
                let key = key(&one.entity, one.session.as_u128());
                assert_eq!(list.insert(key, one), None);
            }
            Changed(one) => {
                let key = key(&one.entity, one.session.as_u128());
                let before = list.insert(key, one.clone()).unwrap();
                assert_eq!(before.since, one.since);
            }
            Gone(one) => {
                let key = key(&one.entity, one.session.as_u128());
                assert_eq!(list.remove(&key), Some(one));
            }
            EntityEvent::Lagged => panic!("nobody was slow"),
        }
    }
}

#[test]
fn roll_and_changes_come_to_what_a_list_gives_at_every_revision() {
    let random = Random::seeded(31);
    let pick = |count: u64| random.number() % count;
    let (mut store, mut followed) = (BTreeMap::<Key, KeyValue>::new(), BTreeMap::new());
    let mut roll = roll();
    for revision in 3..2_000 {
        let entity = conductor(["a", "b"][usize::try_from(pick(2)).unwrap()], 1);
        let session = u128::from(pick(3));
        let key = key(&entity, session);
        let created = store
            .get(&key)
            .map_or(revision, |kv| kv.create_revision.get());
        let changes = if pick(3) == 0 {
            store.remove(&key);
            roll.apply(at(revision), &[delete(&entity, session, revision)])
        } else {
            let slots = u32::try_from(pick(2)).unwrap();
            let entity = conductor(entity.name(), slots);
            let mut kv = stands(&entity, session, created, revision);
            if pick(5) == 0 {
                kv.value = "{".into();
            }
            store.insert(key, kv.clone());
            roll.apply(at(revision), &[Event::Put(kv)])
        };
        follow(&mut followed, changes);
        let mut listed = self::roll();
        listed.load(&store.values().cloned().collect::<Vec<_>>());
        assert_eq!(listed.succeed(&roll, at(revision)), []);
        assert_eq!(listed.present, roll.present);
        assert_eq!(followed, roll.present);
        assert_eq!(listed.unreadable().len(), roll.unreadable().len());
    }
}
