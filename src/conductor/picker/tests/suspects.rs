//! Jobs that may have killed their owners: who picks one, and when room is made for it.

use super::*;

#[tokio::test(start_paused = true)]
async fn suspect_is_picked_only_by_who_runs_nothing() {
    let mut crowd = crowd::<1>().await;
    let first = crowd.post(1).await.remove(0);
    assert_eq!(crowd.pick().job().unwrap().uuid(), first.uuid());
    let suspect = crowd.post_suspect().await;
    let innocent = crowd.post(1).await.remove(0);
    assert_eq!(crowd.pick().job().unwrap().uuid(), innocent.uuid());
    let alone_from = Instant::now() + ALONE_WITHIN;
    assert_eq!(crowd.pick().nothing(), Some(alone_from));
    for ran in [&first, &innocent] {
        crowd.ran(ran).await;
    }
    assert_eq!(crowd.pick().job().unwrap().uuid(), suspect.uuid());
}

#[tokio::test(start_paused = true)]
async fn who_runs_something_makes_room_for_a_suspect_after_a_minute() {
    let mut crowd = crowd::<1>().await;
    let running = crowd.post(2).await;
    let suspect = crowd.post_suspect().await;
    assert_eq!(uuids(&crowd.pick_all()), uuids(&running));
    advance(almost(MINUTE)).await;
    let innocent = crowd.post(1).await.remove(0);
    assert_eq!(crowd.pick().job().unwrap().uuid(), innocent.uuid());
    let waiting = crowd.post(1).await.remove(0);
    advance(MILLI).await;
    assert!(matches!(crowd.pick(), Pick::MakeRoom));
    // All that runs must end, and then it is its turn.
    for ran in [&running[0], &innocent] {
        crowd.ran(ran).await;
        assert!(matches!(crowd.pick(), Pick::MakeRoom));
    }
    crowd.ran(&running[1]).await;
    assert_eq!(crowd.pick().job().unwrap().uuid(), suspect.uuid());
    assert_eq!(crowd.pick().job().unwrap().uuid(), waiting.uuid());
}

#[tokio::test(start_paused = true)]
async fn room_is_made_for_a_suspect_once() {
    let mut crowd = crowd::<1>().await;
    let running = crowd.post(2).await;
    let other = JobBoard::builder("images").store(crowd.store.clone());
    let other = other.connect().await.unwrap();
    let held = other.claim(&running[0], "somebody").await.unwrap();
    let suspect = crowd.post_suspect().await;
    assert_eq!(crowd.pick().job().unwrap().uuid(), running[1].uuid());
    crowd.pick().nothing().unwrap();
    advance(MINUTE).await;
    assert!(matches!(crowd.pick(), Pick::MakeRoom));
    // One that comes before it is given back, and waits.
    held.abandon().await.unwrap();
    crowd.ran(&running[1]).await;
    assert_eq!(crowd.pick().job().unwrap().uuid(), suspect.uuid());
    // It fails, and has its own place again.
    let claim = crowd.board.claim(&suspect, "one").await.unwrap();
    claim.abandon().await.unwrap();
    crowd.board.fresh_jobs().await.unwrap();
    let view = crowd.board.revision();
    crowd.me().tried(suspect.id(), view);
    let expected = [running[0].uuid(), suspect.uuid()];
    assert_eq!(uuids(&crowd.pick_all()), expected);
}

#[tokio::test(start_paused = true)]
async fn room_is_not_made_any_longer_for_a_suspect_that_somebody_took() {
    let mut crowd = crowd::<1>().await;
    crowd.post(1).await;
    crowd.pick().job().unwrap();
    let suspect = crowd.post_suspect().await;
    crowd.pick().nothing().unwrap();
    advance(MINUTE).await;
    assert!(matches!(crowd.pick(), Pick::MakeRoom));
    let innocent = crowd.post(1).await.remove(0);
    assert!(matches!(crowd.pick(), Pick::MakeRoom));
    crowd.consume(&suspect).await;
    assert_eq!(crowd.pick().job().unwrap().uuid(), innocent.uuid());
}

#[tokio::test(start_paused = true)]
async fn crowd_makes_room_for_a_suspect_one_after_the_other() {
    let mut crowd = crowd::<3>().await;
    let suspect = crowd.post_suspect().await;
    let rank_of = |me: Uuid, ids: &[Uuid]| rank(suspect.uuid(), me, ids);
    let begun = Instant::now();
    for me in 0..3 {
        crowd.pickers[me].busy.insert(JobId::new(77).unwrap());
        let rank = rank_of(crowd.ids[me], &crowd.ids);
        let from = begun + ALONE_WITHIN + ROOM_STEP * u32::try_from(rank).unwrap();
        assert_eq!(crowd.pick_as(me).nothing(), Some(from));
    }
    advance(ALONE_WITHIN).await;
    let mut make_room = 0;
    for me in 0..3 {
        if matches!(crowd.pick_as(me), Pick::MakeRoom) {
            assert_eq!(rank_of(crowd.ids[me], &crowd.ids), 0);
            make_room += 1;
        }
    }
    assert_eq!(make_room, 1);
}
