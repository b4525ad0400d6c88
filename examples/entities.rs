//! Processes register as entities, so that everybody sees who works at a board. Who closes its board
//! or dies is gone from the list; a process that was started again stands beside its namesake.

#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use jobboard::{Entity, EntityEvent, JobBoard, store::Memory};
use serde_json::json;

#[tokio::main]
async fn main() -> jobboard::Result<()> {
    let store = Memory::new();
    let connect = || JobBoard::builder("images").store(store.clone()).connect();
    let (old, new) = (connect().await?, connect().await?);

    let conductor = Entity::new("conductor", "thumbnails@host-3:4711");
    old.register_entity(&conductor.clone().with_metadata(json!({"version": "1.4"})))
        .await?;
    new.register_entity(&conductor.with_metadata(json!({"version": "1.5"})))
        .await?;

    let entities = new.entities().await?;
    for registered in entities.of_kind("conductor") {
        let entity = &registered.entity;
        println!("{} {}", entity.name(), entity.metadata()["version"]);
    }
    assert_eq!(entities.list().len(), 2);

    let mut events = entities.events()?;
    old.close().await;
    match events.next().await {
        Some(EntityEvent::Gone(gone)) => println!("gone: {}", gone.entity.name()),
        other => println!("{other:?}"),
    }
    assert_eq!(entities.list().len(), 1);
    new.close().await;
    Ok(())
}
