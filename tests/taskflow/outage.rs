//! What an outage of etcd does to TaskFlow's clients, and not to us.

use jobboard::{Event, EventKind, NewJob};
use serde_json::json;

use crate::scene::{PATIENCE, on_each};

#[tokio::test]
async fn watch_of_theirs_does_not_survive_a_restart_of_etcd_and_ours_does() {
    on_each(async |scene| {
        let mut events = scene.board.events(EventKind::Posted).unwrap();
        assert_eq!(scene.listed_by_them().await, []);
        scene.etcd.restart().await.unwrap();
        let job = scene.board.post(NewJob::new("a")).await.unwrap();

        let waited = scene.theirs.try_to("wait", json!({"timeout": 3})).await;
        assert_eq!(waited.unwrap_err().error, "NotFound");
        assert_eq!(scene.known_to_them().await, []);
        let listed = scene.listed_by_them().await;
        assert_eq!((listed.len(), listed[0].uuid), (1, job.uuid()));

        match events.next().await.unwrap().event {
            Event::Posted(told) => assert_eq!(told.uuid(), job.uuid()),
            other => panic!("{other:?}"),
        }
        assert_eq!(scene.board.jobs().count(), 1);
        assert_eq!(
            scene.board.wait(PATIENCE).await.unwrap().unwrap().count(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn conductor_of_theirs_ends_in_an_outage_of_etcd() {
    on_each(async |scene| {
        scene.board.post(NewJob::new("a")).await.unwrap();
        let conducting = json!({"who": "conductor"});
        scene
            .theirs
            .hold_before("create", "conduct", conducting)
            .await;
        scene.etcd.kill();
        let ended = scene.theirs.go_on().await.unwrap_err();
        assert_eq!(ended.error, "ConnectionFailedError");
        scene.etcd.restart().await.unwrap();
    })
    .await;
}
