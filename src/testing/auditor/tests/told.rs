//! What clients were told, and is not what happened.

use super::*;
use crate::{Claim, Ended, Error, ErrorKind, Job};

/// A board, of which lies can be noted.
pub(super) struct Scene {
    pub(super) store: Memory,
    pub(super) auditor: Auditor,
    pub(super) board: JobBoard,
    pub(super) log: Log,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let store = Memory::new();
        let auditor = Auditor::start(&store, "/taskflow", "board").await.unwrap();
        let board = JobBoard::builder("board").store(store.clone());
        let board = board.connect().await.unwrap();
        let log = auditor.log();
        Self {
            store,
            auditor,
            board,
            log,
        }
    }

    pub(super) async fn post(&self, name: &str) -> Job {
        self.board.post(NewJob::new(name)).await.unwrap()
    }

    pub(super) async fn claim(&self, who: &str) -> Claim {
        let job = self.post(who).await;
        self.board.claim(&job, who).await.unwrap()
    }

    /// The revision of the store.
    pub(super) async fn now(&self) -> Revision {
        let any = RangeRequest::new(Key::new("/taskflow/none").unwrap());
        self.store.range(any).await.unwrap().header.revision
    }

    pub(super) async fn broken(&self) -> Option<Promise> {
        assert!(self.auditor.caught_up(self.now().await).await);
        self.auditor.audit().err().map(|broken| broken.promise())
    }
}

pub(super) fn failed<T>(kind: ErrorKind) -> crate::Result<T> {
    Err(Error::new(kind, "try", "for a test"))
}

#[tokio::test]
async fn success_that_did_not_happen_is_found() {
    let scene = Scene::new().await;
    let claim = scene.claim("me").await;
    let consuming = scene.log.consuming("client", &claim);
    consuming.settled(&Ok(claim.token()));
    assert_eq!(scene.broken().await, Some(Promise::Definite));
}

#[tokio::test]
async fn success_at_another_revision_is_found() {
    let scene = Scene::new().await;
    let claim = scene.claim("me").await;
    let consuming = scene.log.consuming("client", &claim);
    claim.consume().await.unwrap();
    consuming.settled(&Ok(claim.token()));
    assert_eq!(scene.broken().await, Some(Promise::Definite));
}

#[tokio::test]
async fn failure_that_happened_is_found_and_an_unsure_one_is_none() {
    for (kind, broken) in [
        (ErrorKind::Unavailable, Some(Promise::Definite)),
        (ErrorKind::Unknown, None),
        (ErrorKind::Lost, None),
    ] {
        let scene = Scene::new().await;
        let posting = scene.log.posting("client", "job");
        scene.post("job").await;
        posting.posted(&failed(kind));
        assert_eq!(scene.broken().await, broken, "{kind:?}");
    }
}

#[tokio::test]
async fn order_that_is_not_that_of_the_calls_is_found() {
    let scene = Scene::new().await;
    let (first, second) = (scene.post("first").await, scene.post("second").await);
    scene.log.posting("client", "second").posted(&Ok(second));
    assert_eq!(scene.broken().await, None);
    scene.log.posting("client", "first").posted(&Ok(first));
    assert_eq!(scene.broken().await, Some(Promise::Definite));
}

#[tokio::test]
async fn consume_that_nobody_asked_for_is_found() {
    let scene = Scene::new().await;
    let claiming = scene.log.claiming("client", "me");
    let claim = scene.claim("me").await;
    claim.consume().await.unwrap();
    claiming.claimed(&Ok(claim));
    assert_eq!(scene.broken().await, Some(Promise::Fenced));
}

#[tokio::test]
async fn consume_of_what_somebody_believes_in_is_to_be_asked_for() {
    for asked in [false, true] {
        let scene = Scene::new().await;
        let claim = scene.claim("me").await;
        scene.log.believe("client", &claim);
        if asked {
            let _consuming = scene.log.consuming("client", &claim);
        }
        claim.consume().await.unwrap();
        assert_eq!(scene.broken().await, (!asked).then_some(Promise::Fenced));
    }
}

#[tokio::test]
async fn trashing_that_nobody_asked_for_is_found() {
    for asked in [false, true] {
        let scene = Scene::new().await;
        let claiming = scene.log.claiming("client", "me");
        let claim = scene.claim("me").await;
        if asked {
            let _trashing = scene.log.trashing("client", &claim);
        }
        claim.trash("no good").await.unwrap();
        claiming.claimed(&Ok(claim));
        assert_eq!(scene.broken().await, (!asked).then_some(Promise::Fenced));
    }
}

#[tokio::test]
async fn view_that_is_not_the_board_is_found() {
    let scene = Scene::new().await;
    scene.post("job").await;
    let jobs = scene.board.fresh_jobs().await.unwrap();
    let now = scene.board.revision();
    scene.log.saw("client", now, jobs.clone());
    assert_eq!(scene.broken().await, None);
    scene.log.saw("client", Revision::new(1), jobs);
    assert_eq!(scene.broken().await, Some(Promise::View));
}

#[tokio::test(start_paused = true)]
async fn two_who_believe_at_the_same_time_are_found() {
    for overlap in [false, true] {
        let scene = Scene::new().await;
        let claim = scene.claim("first").await;
        scene.log.believe("client", &claim);
        tokio::time::advance(Duration::from_secs(1)).await;
        claim.abandon().await.unwrap();
        let again = scene.board.claim(claim.job(), "second").await.unwrap();
        if !overlap {
            scene.log.disbelieve(&claim);
        }
        scene.log.believe("client", &again);
        let broken = overlap.then_some(Promise::OneBelief);
        assert_eq!(scene.broken().await, broken);
    }
}

#[tokio::test(start_paused = true)]
async fn who_believes_on_is_excused_if_it_stood_still_and_who_comes_after_it_is_not() {
    for (excused, broken) in [
        ("first", None),
        ("second", Some(Promise::OneBelief)),
        ("another", Some(Promise::OneBelief)),
    ] {
        let scene = Scene::new().await;
        let claim = scene.claim("first").await;
        scene.log.believe("first", &claim);
        claim.abandon().await.unwrap();
        let again = scene.board.claim(claim.job(), "second").await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        scene.log.believe("second", &again);
        scene.log.excuse(excused);
        assert_eq!(scene.broken().await, broken, "{excused}");
    }
}

#[tokio::test(start_paused = true)]
async fn moments_are_counted_from_when_the_time_of_who_notes_them_began() {
    let scene = Scene::new().await;
    let claim = scene.claim("me").await;
    tokio::time::advance(Duration::from_secs(7)).await;
    let log = scene.log.from_now();
    tokio::time::advance(Duration::from_secs(2)).await;
    log.believe("me", &claim);
    let trace = scene.auditor.trace();
    assert!(trace.contains("from: 2s, until: None"), "{trace}");
}

#[tokio::test]
async fn what_happens_after_its_claim_was_said_to_be_lost_is_found() {
    for late in [false, true] {
        let scene = Scene::new().await;
        let claim = scene.claim("me").await;
        let consuming = scene.log.consuming("client", &claim);
        if !late {
            claim.consume().await.unwrap();
        }
        consuming.settled(&failed(ErrorKind::Lost));
        let posting = scene.log.posting("client", "other");
        posting.posted(&Ok(scene.post("other").await));
        assert_eq!(scene.broken().await, None);
        if late {
            claim.consume().await.unwrap();
            let posting = scene.log.posting("client", "another");
            posting.posted(&Ok(scene.post("another").await));
        }
        assert_eq!(scene.broken().await, late.then_some(Promise::Definite));
    }
}

#[tokio::test]
async fn end_that_was_told_and_was_another_is_found() {
    let scene = Scene::new().await;
    let claim = scene.claim("me").await;
    claim.consume().await.unwrap();
    let job = claim.job().uuid();
    let told = |ended| scene.log.told_of_end("waiter", job, &ended);
    told(Ended::Consumed(None));
    told(Ended::TimedOut);
    assert_eq!(scene.broken().await, None);
    told(Ended::Trashed(None));
    assert_eq!(scene.broken().await, Some(Promise::Kept));
}
