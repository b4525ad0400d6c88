//! Who is registered at a board, on the store in memory and on real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use jobboard::{
    Entities, Entity, EntityEvent, ErrorKind, JobBoard, Registered,
    store::{Key, KeyRange, LeaseId, Op, RangeRequest, Store, StoreExt, Txn},
};
use serde_json::json;
use tokio::time::timeout;

use self::support::{board, builder, stories};

/// More than any wait of a story takes.
const BOUND: Duration = Duration::from_secs(30);

stories! {
    registered_entity_is_listed_by_others_with_its_metadata
    registration_that_has_returned_is_listed_at_once
    registering_again_replaces_the_metadata
    deregistered_entity_goes
    closed_board_takes_its_entities_along
    lost_session_is_followed_by_a_registration_in_the_next
    entity_is_registered_again_after_its_session_is_lost
    restarted_process_is_listed_beside_its_namesake
    events_tell_what_happens_in_order
    slow_listener_is_told_that_it_lagged
    unreadable_record_hides_no_other_entity
    entity_can_have_any_name
    bad_input_is_refused
    closed_handle_registers_and_lists_nothing
    read_only_handle_sees_entities_and_registers_none
}

fn conductor(name: &str) -> Entity {
    Entity::new("conductor", name)
}

fn key(text: impl Into<String>) -> Key {
    Key::new(text.into()).unwrap()
}

fn names(list: &[Registered]) -> Vec<&str> {
    list.iter().map(|one| one.entity.name()).collect()
}

/// Waits until the list is as it is wanted.
async fn until(entities: &Entities, wanted: impl Fn(&[Registered]) -> bool + Send + Sync) {
    let wait = async {
        let mut seen = entities.revision();
        while !wanted(&entities.list()) {
            seen = entities.changed(seen).await.unwrap();
        }
    };
    let seen = timeout(BOUND, wait).await;
    assert!(seen.is_ok(), "{:?}", entities.list());
}

async fn registered_entity_is_listed_by_others_with_its_metadata(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let entity = conductor("a@host:1").with_metadata(json!({"slots": 8}));
    board.register_entity(&entity).await.unwrap();
    let seen = other.entities().await.unwrap().list();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].entity, entity);
    assert_eq!(seen[0].entity.metadata()["slots"], 8);

    let stands = "/taskflow/.entities/images/conductor/a%40host%3A1/";
    let stands = store.get(key(format!("{stands}{}", seen[0].session)));
    let stands = stands.await.unwrap().unwrap();
    assert_eq!(stands.create_revision, seen[0].since);
    let record: serde_json::Value = serde_json::from_slice(&stands.value).unwrap();
    let written = json!({"kind": "conductor", "name": "a@host:1", "metadata": {"slots": 8}});
    assert_eq!(record, written);
    board.close().await;
    other.close().await;
}

async fn registration_that_has_returned_is_listed_at_once(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    for number in 1..=50 {
        let entity = conductor(&number.to_string());
        board.register_entity(&entity).await.unwrap();
        let lists = [&board, &other].map(JobBoard::entities);
        for list in futures::future::join_all(lists).await {
            assert_eq!(list.unwrap().of_kind("conductor").len(), number);
        }
    }
    board.close().await;
    other.close().await;
}

async fn registering_again_replaces_the_metadata(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let entities = board.entities().await.unwrap();
    let mut events = entities.events().unwrap();
    board.register_entity(&conductor("a")).await.unwrap();
    let busy = conductor("a").with_metadata(json!({"busy": true}));
    board.register_entity(&busy).await.unwrap();
    let Some(EntityEvent::Registered(first)) = events.next().await else {
        panic!("it was registered");
    };
    let Some(EntityEvent::Changed(second)) = events.next().await else {
        panic!("it was changed");
    };
    assert_eq!((first.session, first.since), (second.session, second.since));
    assert_eq!(second.entity, busy);
    assert_eq!(entities.list(), [second]);
    board.close().await;
}

async fn deregistered_entity_goes(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    for name in ["a", "b"] {
        board.register_entity(&conductor(name)).await.unwrap();
    }
    other.register_entity(&conductor("a")).await.unwrap();
    let entities = other.entities().await.unwrap();
    assert_eq!(names(&entities.list()), ["a", "a", "b"]);
    assert!(!other.deregister_entity("conductor", "b").await.unwrap());
    assert!(board.deregister_entity("conductor", "a").await.unwrap());
    until(&entities, |list| names(list) == ["a", "b"]).await;
    assert!(!board.deregister_entity("conductor", "a").await.unwrap());
    board.close().await;
    other.close().await;
}

async fn closed_board_takes_its_entities_along(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    board.register_entity(&conductor("a")).await.unwrap();
    other.register_entity(&conductor("b")).await.unwrap();
    board.close().await;
    let entities = other.entities().await.unwrap();
    assert_eq!(names(&entities.list()), ["b"]);

    board.connect().await.unwrap();
    board.register_entity(&conductor("c")).await.unwrap();
    let entities = other.entities().await.unwrap();
    assert_eq!(names(&entities.list()), ["b", "c"]);
    board.close().await;
    other.close().await;
}

async fn lost_session_is_followed_by_a_registration_in_the_next(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let entity = conductor("a").with_metadata(json!({"slots": 8}));
    board.register_entity(&entity).await.unwrap();
    let entities = other.entities().await.unwrap();
    let first = entities.list().remove(0);

    store.revoke(lease_of(&store, &first).await).await.unwrap();
    let again = |list: &[Registered]| list.len() == 1 && list[0].session != first.session;
    until(&entities, again).await;
    assert_eq!(entities.list()[0].entity, entity);
    board.close().await;
    other.close().await;
}

async fn entity_is_registered_again_after_its_session_is_lost(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    for name in ["a", "b", "gone"] {
        one.register_entity(&conductor(name)).await.unwrap();
    }
    one.deregister_entity("conductor", "gone").await.unwrap();
    let entities = two.entities().await.unwrap();
    for _ in 0..2 {
        let before = entities.list();
        store
            .revoke(lease_of(&store, &before[0]).await)
            .await
            .unwrap();
        until(&entities, |now| {
            now.len() == 2 && now.iter().all(|one| one.session != before[0].session)
        })
        .await;
        assert_eq!(names(&entities.list()), ["a", "b"]);
    }
    assert!(one.deregister_entity("conductor", "a").await.unwrap());
    assert_eq!(names(&two.entities().await.unwrap().list()), ["b"]);
    one.close().await;
    two.close().await;
}

/// The lease of the session that registered an entity.
async fn lease_of(store: &Arc<dyn Store>, registered: &Registered) -> LeaseId {
    let guard = format!("/taskflow/.sessions/images/{}", registered.session);
    let guard = store.get(key(guard)).await.unwrap().unwrap();
    guard.lease.unwrap()
}

async fn restarted_process_is_listed_beside_its_namesake(store: Arc<dyn Store>) {
    // What a process left that was killed.
    let lease = store.grant(Duration::from_mins(1)).await.unwrap().id;
    let session = "00000000-0000-0000-0000-00000000000a";
    let dying = key(format!(
        "/taskflow/.entities/images/conductor/a%40host%3A1/{session}"
    ));
    let record = r#"{"kind": "conductor", "name": "a@host:1", "metadata": {"of": "before"}}"#;
    let left = Txn::new().then([Op::put_with_lease(dying, record, lease)]);
    store.txn(left).await.unwrap();

    let board = board(&store).await;
    board.register_entity(&conductor("a@host:1")).await.unwrap();
    let entities = board.entities().await.unwrap();
    let both = entities.of_kind("conductor");
    assert_eq!(names(&both), ["a@host:1", "a@host:1"]);
    assert_eq!(both[0].session.to_string(), session);
    assert!(both[0].since < both[1].since);

    store.revoke(lease).await.unwrap();
    until(&entities, |list| *list == both[1..]).await;
    board.close().await;
}

async fn events_tell_what_happens_in_order(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    board.register_entity(&conductor("before")).await.unwrap();
    let mut events = other.entities().await.unwrap().events().unwrap();
    board.register_entity(&conductor("a")).await.unwrap();
    board.register_entity(&conductor("b")).await.unwrap();
    board.deregister_entity("conductor", "a").await.unwrap();
    board.close().await;
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(
            match timeout(BOUND, events.next()).await.unwrap().unwrap() {
                EntityEvent::Registered(one) => format!("+{}", one.entity.name()),
                EntityEvent::Gone(one) => format!("-{}", one.entity.name()),
                other => panic!("{other:?}"),
            },
        );
    }
    // The last two went with their session, at once.
    assert_eq!(told, ["+a", "+b", "-a", "-b", "-before"]);
    other.close().await;
    assert_eq!(events.next().await, None);
}

async fn slow_listener_is_told_that_it_lagged(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let entities = board.entities().await.unwrap();
    let mut events = entities.events().unwrap();
    for load in 0..300 {
        let entity = conductor("a").with_metadata(json!({"load": load}));
        board.register_entity(&entity).await.unwrap();
    }
    let load = |one: &Registered| one.entity.metadata()["load"].clone();
    until(&entities, |list| {
        list.first().is_some_and(|one| load(one) == 299)
    })
    .await;
    assert_eq!(events.next().await, Some(EntityEvent::Lagged));
    for expected in 300 - 256..300 {
        let Some(EntityEvent::Changed(one)) = events.next().await else {
            panic!("{expected} is told");
        };
        assert_eq!(load(&one), expected);
    }
    board.close().await;
}

async fn unreadable_record_hides_no_other_entity(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let below = "/taskflow/.entities/images/conductor";
    let good = r#"{"kind": "conductor", "name": "odd", "metadata": {}, "more": 1}"#;
    let session = "00000000-0000-0000-0000-00000000000a";
    for (place, record) in [
        (format!("a/{session}"), "{"),
        (
            format!("b/{session}"),
            r#"{"kind": "conductor", "name": 3}"#,
        ),
        (format!("c/{session}"), good),
        ("odd/no-session".to_owned(), good),
        (format!("odd/{session}"), good),
    ] {
        let place = key(format!("{below}/{place}"));
        store.put(place, record.into()).await.unwrap();
    }
    board.register_entity(&conductor("z")).await.unwrap();
    let entities = board.entities().await.unwrap();
    assert_eq!(names(&entities.list()), ["odd", "z"]);
    let told = entities.unreadable();
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|told| !told.why.is_empty()));

    // One that is mended is an entity like any other.
    let mended = r#"{"kind": "conductor", "name": "a", "metadata": {}}"#;
    let place = key(format!("{below}/a/{session}"));
    store.put(place, mended.into()).await.unwrap();
    until(&entities, |list| names(list) == ["a", "odd", "z"]).await;
    assert_eq!(entities.unreadable().len(), 3);
    board.close().await;
}

async fn entity_can_have_any_name(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let long = "ü".repeat(127);
    let texts = ["a/b", "../x", " ", "%2F", "ünïcode 🙂", "\u{0}\n", &long];
    for text in texts {
        let entity = Entity::new(text, text).with_metadata(json!({ text: text }));
        board.register_entity(&entity).await.unwrap();
        let listed = board.entities().await.unwrap().of_kind(text);
        assert_eq!(listed.len(), 1, "{text:?}");
        assert_eq!(listed[0].entity, entity);
    }
    assert_eq!(board.entities().await.unwrap().list().len(), texts.len());
    for text in texts {
        assert!(board.deregister_entity(text, text).await.unwrap());
    }
    assert_eq!(board.entities().await.unwrap().list(), []);
    board.close().await;
}

async fn bad_input_is_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let long = "n".repeat(256);
    let deep = (0..200).fold(json!(1), |deep, _| json!([deep]));
    for bad in [
        Entity::new("", "n"),
        Entity::new("k", ""),
        Entity::new(&long, "n"),
        Entity::new("k", &long),
        conductor("n").with_metadata(json!([1])),
        conductor("n").with_metadata(json!({"deep": deep})),
        conductor("n").with_metadata(json!({"x": "y".repeat(16 << 10)})),
    ] {
        let refused = board.register_entity(&bad).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{bad:?}");
    }
    for (kind, name) in [("", "n"), ("k", ""), (&*long, "n"), ("k", &*long)] {
        let refused = board.deregister_entity(kind, name).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
    }
    assert_eq!(board.entities().await.unwrap().list(), []);
    // Nothing was sent: there is not even a session.
    assert_eq!(sessions(&store).await, 0);
    board.close().await;
}

async fn sessions(store: &Arc<dyn Store>) -> usize {
    let sessions = KeyRange::prefix(key("/taskflow/.sessions/images/"));
    store
        .range(RangeRequest::new(sessions))
        .await
        .unwrap()
        .count
}

async fn closed_handle_registers_and_lists_nothing(store: Arc<dyn Store>) {
    let board = board(&store).await;
    board.register_entity(&conductor("a")).await.unwrap();
    let entities = board.entities().await.unwrap();
    let (mut events, seen) = (entities.events().unwrap(), entities.revision());
    board.close().await;
    let register = board.register_entity(&conductor("b")).await;
    let deregister = board.deregister_entity("conductor", "a").await;
    let list = board.entities().await;
    let changed = async {
        let mut seen = seen;
        loop {
            seen = entities.changed(seen).await?;
        }
    };
    let changed: jobboard::Result<()> = timeout(BOUND, changed).await.unwrap();
    for error in [
        register.unwrap_err(),
        deregister.unwrap_err(),
        list.unwrap_err(),
        changed.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
    while timeout(BOUND, events.next()).await.unwrap().is_some() {}
    let closed = entities.events().unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

async fn read_only_handle_sees_entities_and_registers_none(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let looking = builder("images").store(Arc::clone(&store));
    let looking = looking.read_only(true).connect().await.unwrap();
    board.register_entity(&conductor("a")).await.unwrap();
    let entities = looking.entities().await.unwrap();
    assert_eq!(names(&entities.list()), ["a"]);
    let register = looking.register_entity(&conductor("b")).await;
    let deregister = looking.deregister_entity("conductor", "a").await;
    for error in [register.unwrap_err(), deregister.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
    board.close().await;
    until(&entities, <[Registered]>::is_empty).await;
    assert_eq!(sessions(&store).await, 0);
    looking.close().await;
}
