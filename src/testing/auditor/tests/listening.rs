//! What subscribers were told, and is not what happened.

use super::{told::Scene, *};

impl Scene {
    /// A job that came, and went.
    async fn passed(&self, name: &str) -> (Uuid, [Revision; 2]) {
        let job = self.post(name).await;
        let came = self.now().await;
        let claim = self.board.claim(&job, name).await.unwrap();
        let went = claim.consume().await.unwrap();
        (job.uuid(), [came, went])
    }

    fn tell(&self, at: Revision, job: Uuid, came: bool) {
        if came {
            self.log.told_of_post("listener", at, job);
        } else {
            self.log.told_of_removal("listener", at, job);
        }
    }
}

#[tokio::test]
async fn what_is_told_twice_or_not_at_all_is_found() {
    let scene = Scene::new().await;
    let (job, [came, went]) = scene.passed("job").await;
    scene.tell(came, job, true);
    assert_eq!(scene.broken().await, Some(Promise::View));
    scene.log.deaf("listener");
    assert_eq!(scene.broken().await, None);
    scene.tell(went, job, false);
    assert_eq!(scene.broken().await, None);
    scene.tell(went, job, false);
    assert_eq!(scene.broken().await, Some(Promise::View));
}

#[tokio::test]
async fn job_that_is_told_of_and_never_was_is_found() {
    let scene = Scene::new().await;
    let job = scene.post("job").await.uuid();
    let now = scene.now().await;
    scene.tell(now, job, true);
    assert_eq!(scene.broken().await, None);
    let never = Uuid::nil();
    scene.tell(now, never, true);
    scene.tell(now, never, false);
    assert_eq!(scene.broken().await, Some(Promise::View));
}

#[tokio::test]
async fn order_of_what_is_told_that_is_not_that_of_the_history_is_found() {
    for turned in [false, true] {
        let scene = Scene::new().await;
        let mut told = Vec::new();
        for name in ["first", "second"] {
            let job = scene.post(name).await.uuid();
            told.push((scene.now().await, job));
        }
        if turned {
            told.reverse();
        }
        for (at, job) in told {
            scene.tell(at, job, true);
        }
        assert_eq!(scene.broken().await, turned.then_some(Promise::View));
    }
}

#[tokio::test]
async fn revision_of_what_is_told_that_is_another_is_found() {
    let scene = Scene::new().await;
    let job = scene.post("first").await.uuid();
    let before = scene.now().await;
    let next = scene.post("second").await.uuid();
    scene.tell(before, job, true);
    scene.tell(before, next, true);
    assert_eq!(scene.broken().await, Some(Promise::View));
}

#[tokio::test]
async fn job_of_which_nothing_was_told_is_found_unless_a_list_merged_it() {
    for (lists, broken) in [
        (None, None),
        (Some(1), None),
        (Some(0), Some(Promise::View)),
    ] {
        let scene = Scene::new().await;
        let first = scene.post("first").await.uuid();
        let came = scene.now().await;
        scene.passed("between").await;
        let last = scene.post("last").await.uuid();
        for (at, job) in [(came, first), (scene.now().await, last)] {
            scene
                .log
                .told("listener", at, noted::News::Came(job), lists);
        }
        assert_eq!(scene.broken().await, broken, "{lists:?}");
    }
}

#[tokio::test]
async fn listener_notes_what_is_there_and_what_it_is_told() {
    let scene = Scene::new().await;
    let there = scene.claim("there").await;
    scene.board.fresh_jobs().await.unwrap();
    let listening = scene.log.listening("listener", &scene.board).unwrap();
    let listening = tokio::spawn(listening);
    scene.post("later").await;
    let went = there.consume().await.unwrap();
    scene.board.close().await;
    listening.await.unwrap();
    assert_eq!(scene.broken().await, None);
    // It was told of that already.
    scene.tell(went, there.job().uuid(), false);
    assert_eq!(scene.broken().await, Some(Promise::View));
}
