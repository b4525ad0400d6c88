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
    Entities, Entity, EntityEvent, EntityEvents, ErrorKind, JobBoard, Registered,
    store::{Key, KeyRange, RangeRequest, Store, StoreExt},
};
use serde_json::json;
use tokio::time::timeout;

use self::support::{board, stories};

stories! {
    registered_entity_is_listed_with_its_metadata
    namesakes_of_two_processes_stand_side_by_side
    entity_goes_when_it_is_deregistered_and_with_its_board
    entity_is_registered_again_after_its_session_is_lost
    each_change_is_told_in_order
    name_can_be_any_text
    record_of_the_wrong_shape_hides_no_other_entity
    bad_entity_is_refused
    closed_board_registers_and_lists_nobody
    read_only_handle_lists_and_registers_nobody
}

const KIND: &str = "conductor";

fn names(entities: &Entities) -> Vec<String> {
    let list = entities.list().into_iter();
    list.map(|one| one.entity.name().to_owned()).collect()
}

/// Waits until the view is as `wanted`.
async fn until(entities: &Entities, wanted: impl Fn(&Entities) -> bool + Sync) {
    let come = async {
        let mut seen = entities.revision();
        while !wanted(entities) {
            seen = entities.changed(seen).await.unwrap();
        }
    };
    let come = timeout(Duration::from_secs(30), come).await;
    come.unwrap_or_else(|_| panic!("{entities:?}"));
}

async fn next(events: &mut EntityEvents) -> EntityEvent {
    let next = timeout(Duration::from_secs(30), events.next());
    next.await.expect("an event is told").unwrap()
}

/// Ends the lease of a session, as etcd does when it hears nothing of it.
async fn end(store: &Arc<dyn Store>, of: &Registered) {
    let guard = format!("/taskflow/.sessions/images/{}", of.session);
    let guard = store.get(Key::new(guard).unwrap()).await.unwrap().unwrap();
    store.revoke(guard.lease.unwrap()).await.unwrap();
}

async fn registered_entity_is_listed_with_its_metadata(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    let before = two.entities().await.unwrap();
    assert!(before.list().is_empty());
    let entity = Entity::new(KIND, "a").with_metadata(json!({"slots": 8}));
    one.register_entity(&entity).await.unwrap();
    one.register_entity(&Entity::new("cook", "b"))
        .await
        .unwrap();
    // Everybody who was registered before the call is shown, by the view that was there already too.
    let entities = two.entities().await.unwrap();
    assert_eq!(names(&entities), ["a", "b"]);
    assert_eq!(names(&before), ["a", "b"]);
    let listed = entities.of_kind(KIND);
    assert_eq!((listed.len(), &listed[0].entity), (1, &entity));

    let entity = entity.with_metadata(json!({"slots": 9}));
    one.register_entity(&entity).await.unwrap();
    let again = two.entities().await.unwrap().of_kind(KIND);
    assert_eq!((again.len(), &again[0].entity), (1, &entity));
    assert_eq!(again[0].session, listed[0].session);
    one.close().await;
    two.close().await;
}

async fn namesakes_of_two_processes_stand_side_by_side(store: Arc<dyn Store>) {
    let (dying, restarted) = (board(&store).await, board(&store).await);
    let entity = Entity::new(KIND, "a@h:1");
    dying.register_entity(&entity).await.unwrap();
    restarted.register_entity(&entity).await.unwrap();
    let entities = restarted.entities().await.unwrap();
    let both = entities.list();
    assert_eq!(names(&entities), ["a@h:1", "a@h:1"]);
    assert_ne!(both[0].session, both[1].session);
    assert!(both[0].since < both[1].since);
    dying.close().await;
    until(&entities, |entities| entities.list().len() == 1).await;
    assert_eq!(entities.list()[0].session, both[1].session);
    restarted.close().await;
}

async fn entity_goes_when_it_is_deregistered_and_with_its_board(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    for name in ["a", "b"] {
        one.register_entity(&Entity::new(KIND, name)).await.unwrap();
    }
    assert!(!two.deregister_entity(KIND, "a").await.unwrap());
    assert!(one.deregister_entity(KIND, "a").await.unwrap());
    assert!(!one.deregister_entity(KIND, "a").await.unwrap());
    assert_eq!(names(&two.entities().await.unwrap()), ["b"]);
    one.close().await;
    assert!(two.entities().await.unwrap().list().is_empty());
    // Connecting again registers nobody.
    one.connect().await.unwrap();
    one.fresh_jobs().await.unwrap();
    assert!(two.entities().await.unwrap().list().is_empty());
    one.close().await;
    two.close().await;
}

async fn entity_is_registered_again_after_its_session_is_lost(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    for name in ["a", "b", "gone"] {
        one.register_entity(&Entity::new(KIND, name)).await.unwrap();
    }
    one.deregister_entity(KIND, "gone").await.unwrap();
    let entities = two.entities().await.unwrap();
    for _ in 0..2 {
        let before = entities.list();
        end(&store, &before[0]).await;
        until(&entities, |entities| {
            let now = entities.list();
            now.len() == 2 && now.iter().all(|one| one.session != before[0].session)
        })
        .await;
        assert_eq!(names(&entities), ["a", "b"]);
    }
    assert!(one.deregister_entity(KIND, "a").await.unwrap());
    assert_eq!(names(&two.entities().await.unwrap()), ["b"]);
    one.close().await;
    two.close().await;
}

async fn each_change_is_told_in_order(store: Arc<dyn Store>) {
    let (one, two) = (board(&store).await, board(&store).await);
    let mut events = two.entities().await.unwrap().events().unwrap();
    let entity = Entity::new(KIND, "a");
    one.register_entity(&entity).await.unwrap();
    let other = entity.clone().with_metadata(json!({"slots": 9}));
    one.register_entity(&other).await.unwrap();
    one.deregister_entity(KIND, "a").await.unwrap();
    match next(&mut events).await {
        EntityEvent::Registered(told) => assert_eq!(told.entity, entity),
        told => panic!("{told:?}"),
    }
    match next(&mut events).await {
        EntityEvent::Changed(told) => assert_eq!(told.entity, other),
        told => panic!("{told:?}"),
    }
    match next(&mut events).await {
        EntityEvent::Gone(told) => assert_eq!(told.entity, other),
        told => panic!("{told:?}"),
    }
    two.close().await;
    assert_eq!(events.next().await, None);
    one.close().await;
}

async fn name_can_be_any_text(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for name in ["a/b", "ä ö", "..", "%2F", "a@h:1", &"n".repeat(255)] {
        let entity = Entity::new("con/ductor", name);
        board.register_entity(&entity).await.unwrap();
        let entities = board.entities().await.unwrap();
        let listed = entities.of_kind("con/ductor");
        assert_eq!((listed.len(), &listed[0].entity), (1, &entity));
        assert!(board.deregister_entity("con/ductor", name).await.unwrap());
    }
    board.close().await;
}

async fn record_of_the_wrong_shape_hides_no_other_entity(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let entities = board.entities().await.unwrap();
    let session = "00000000-0000-0000-0000-000000000001";
    for (key, record) in [
        ("odd".to_owned(), "{}"),
        (format!("conductor/x/{session}"), "{"),
        (
            format!("conductor/y/{session}"),
            r#"{"kind":"conductor","name":"z","metadata":{}}"#,
        ),
    ] {
        let key = Key::new(format!("/taskflow/.entities/images/{key}")).unwrap();
        store.put(key, record.into()).await.unwrap();
    }
    board
        .register_entity(&Entity::new(KIND, "a"))
        .await
        .unwrap();
    until(&entities, |entities| names(entities) == ["a"]).await;
    let unreadable = entities.unreadable();
    assert_eq!(unreadable.len(), 3, "{unreadable:?}");
    assert!(unreadable.iter().all(|told| !told.why.is_empty()));
    board.close().await;
}

async fn bad_entity_is_refused(store: Arc<dyn Store>) {
    let board = board(&store).await;
    for bad in [
        Entity::new("", "a"),
        Entity::new(KIND, ""),
        Entity::new(KIND, "n".repeat(256)),
        Entity::new(KIND, "a").with_metadata(json!([1])),
        Entity::new(KIND, "a").with_metadata(json!({"x": "y".repeat(16 << 10)})),
    ] {
        let refused = board.register_entity(&bad).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }
    let all = KeyRange::prefix(Key::new("/taskflow/.entities/").unwrap());
    assert_eq!(store.range(RangeRequest::new(all)).await.unwrap().count, 0);
    board.close().await;
}

async fn closed_board_registers_and_lists_nobody(store: Arc<dyn Store>) {
    let board = board(&store).await;
    board
        .register_entity(&Entity::new(KIND, "a"))
        .await
        .unwrap();
    let entities = board.entities().await.unwrap();
    board.close().await;
    let closed = |error: jobboard::Error| assert_eq!(error.kind(), ErrorKind::Closed);
    closed(
        board
            .register_entity(&Entity::new(KIND, "a"))
            .await
            .unwrap_err(),
    );
    closed(board.deregister_entity(KIND, "a").await.unwrap_err());
    closed(board.entities().await.unwrap_err());
    closed(entities.events().unwrap_err());
    let ended = async {
        let mut seen = entities.revision();
        loop {
            match entities.changed(seen).await {
                Ok(now) => seen = now,
                Err(error) => return closed(error),
            }
        }
    };
    timeout(Duration::from_secs(30), ended).await.unwrap();
}

async fn read_only_handle_lists_and_registers_nobody(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let looking = JobBoard::builder("images")
        .store(Arc::clone(&store))
        .read_only(true);
    let looking = looking.connect().await.unwrap();
    board
        .register_entity(&Entity::new(KIND, "a"))
        .await
        .unwrap();
    assert_eq!(names(&looking.entities().await.unwrap()), ["a"]);
    let denied = looking.register_entity(&Entity::new(KIND, "b")).await;
    assert_eq!(denied.unwrap_err().kind(), ErrorKind::Denied);
    board.close().await;
    looking.close().await;
}
