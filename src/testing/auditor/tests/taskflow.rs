//! What TaskFlow's own clients do on a board.

use super::{told::Scene, *};

#[tokio::test]
async fn owner_of_taskflow_of_no_job_breaks_nothing_beside_it() {
    let raw = Raw::beside_taskflow().await;
    raw.posted().await;
    raw.claimed_here().await;
    raw.apply([all_of_job()]).await;
    raw.claimed().await;
    raw.apply([Op::delete(key("lock"))]).await;
    assert_eq!(raw.broken(), None);
    raw.claimed_here().await;
    assert_eq!(raw.broken(), Some(Promise::OneOwner));
}

#[tokio::test]
async fn trashing_of_taskflow_breaks_nothing_beside_it_once_it_is_over() {
    let raw = Raw::beside_taskflow().await;
    raw.posted().await;
    raw.claimed().await;
    raw.trashed_first().await;
    assert_eq!(raw.broken(), Some(Promise::Kept));
    raw.apply([all_of_job()]).await;
    assert_eq!(raw.broken(), None);
    assert!(raw.auditor.has_ended(UUID.parse().unwrap()));
}

#[tokio::test]
async fn what_another_owns_is_not_for_taskflow_to_trash() {
    let raw = Raw::beside_taskflow().await;
    raw.posted().await;
    raw.claimed_here().await;
    raw.trashed_first().await;
    assert_eq!(raw.broken(), Some(Promise::Kept));
}

#[tokio::test]
async fn trashing_of_taskflow_that_ends_when_another_owns_the_job_or_nobody_does_is_found() {
    for again in [true, false] {
        let raw = Raw::beside_taskflow().await;
        raw.posted().await;
        raw.claimed().await;
        raw.trashed_first().await;
        raw.apply([Op::delete(key("lock"))]).await;
        if again {
            raw.claimed_here().await;
        }
        raw.apply([all_of_job()]).await;
        assert_eq!(raw.broken(), Some(Promise::Fenced));
    }
}

#[tokio::test]
async fn job_that_taskflow_consumes_without_an_owner_is_found() {
    let raw = Raw::beside_taskflow().await;
    raw.posted().await;
    raw.apply([all_of_job()]).await;
    assert_eq!(raw.broken(), Some(Promise::Fenced));
}

#[tokio::test]
async fn job_that_taskflow_consumes_under_an_owner_who_believes_in_it_is_found() {
    let Scene {
        store,
        auditor,
        board,
        log,
    } = Scene::new().await;
    let scene = Scene {
        store,
        auditor: auditor.beside_taskflow(),
        board,
        log,
    };
    let claim = scene.claim("me").await;
    scene.log.believe("client", &claim);
    let all = KeyRange::prefix(Key::new("/taskflow/jobs/board/job1.").unwrap());
    let deleted = Txn::new().then([Op::delete(all)]);
    scene.store.txn(deleted).await.unwrap();
    assert_eq!(scene.broken().await, Some(Promise::Fenced));
}
