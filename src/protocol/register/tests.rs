use serde_json::json;

use super::*;
use crate::{
    protocol::{
        entity::Entity,
        table::{
            ANY,
            Change::{self, Put},
            Keys, Lost, PAUSED, Row, SEEN, SENT, SINCE, Stage, check, check_lost,
        },
        verb::Settled,
    },
    store::Revision,
};

const NONE: &[Change] = &[];
const ENTITY: &str = "/t/.entities/b/k%2F/n/00000000-0000-0000-0000-000000000001";
/// The same entity, registered by another session.
const NAMESAKE: &str = "/t/.entities/b/k%2F/n/00000000-0000-0000-0000-000000000009";
const STANDS: &[Change] = &[Put(ENTITY, ANY), Put(NAMESAKE, ANY)];

fn register(stage: &Stage) -> Repeatable {
    let entity = Entity::new("k/", "n").with_metadata(json!({"a": 1}));
    let record = EntityRecord::new("register", &entity).unwrap();
    super::register(&stage.keys, &stage.guard, &record)
}

fn deregister(stage: &Stage) -> Repeatable {
    super::deregister(&stage.keys, &stage.guard, "k/", "n")
}

/// Whatever is there, the verb is done, and can be done again.
fn done(name: &'static str, since: &'static [Change], after: Keys) -> Row<Revision> {
    Row {
        name,
        since,
        outcome: SENT,
        after,
        settled: Settled::Repeat,
    }
}

#[test]
fn entity_is_registered_in_every_state() {
    let rows = [
        done("nobody", &[], &[(ENTITY, SENT)]),
        done("stands already", &[Put(ENTITY, ANY)], &[(ENTITY, SENT)]),
        done(
            "beside a namesake",
            &[Put(NAMESAKE, ANY)],
            &[(ENTITY, SENT), (NAMESAKE, SINCE[0])],
        ),
        done(
            "paused",
            &[Put(PAUSED, ANY)],
            &[(PAUSED, SINCE[0]), (ENTITY, SENT)],
        ),
    ];
    check(NONE, register, rows);
}

#[test]
fn entity_is_deregistered_and_no_namesake_of_it() {
    let rows = [
        done("stands", &[], &[(NAMESAKE, SEEN[1])]),
        Row {
            // What deletes nothing takes no revision.
            outcome: Revision::new(SENT.get() - 1),
            ..done("gone", &[Change::Delete(ENTITY)], &[(NAMESAKE, SEEN[1])])
        },
    ];
    check(STANDS, deregister, rows);
}

#[test]
fn lost_registration_is_written_again() {
    let again = || Lost {
        name: "nothing",
        later: &[],
        arrived: Settled::Repeat,
        never_arrived: Settled::Repeat,
    };
    check_lost(NONE, register, [again()]);
    check_lost(STANDS, deregister, [again()]);
}

#[test]
fn record_is_written_and_goes_with_the_session() {
    let stage = Stage::new(NONE);
    stage.send(&register(&stage));
    let written = r#"{"kind":"k/","name":"n","metadata":{"a":1}}"#;
    assert_eq!(stage.value(ENTITY), written);
    stage.revoke();
    assert_eq!(stage.keys_there(), []);
}
