//! What is told of what led to a violation.

use super::{told::Scene, *};

impl Scene {
    /// What is told of the violation, a line each.
    async fn story(&self) -> Vec<String> {
        assert!(self.auditor.caught_up(self.now().await).await);
        lines(&self.auditor.audit().unwrap_err())
    }
}

fn lines(broken: &Violation) -> Vec<String> {
    broken.to_string().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn story_tells_what_happened_to_the_job() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.claimed().await;
    raw.claimed().await;
    let told = lines(&raw.auditor.audit().unwrap_err());
    assert!(
        told[0].contains("job 1") && told[0].contains("me"),
        "{told:?}"
    );
    assert!(
        told[1].contains("Posted") && told[2].contains("Claimed"),
        "{told:?}"
    );
    assert_eq!(told.len(), 3, "{told:?}");
}

#[tokio::test]
async fn story_leaves_out_calls_that_make_no_difference() {
    let scene = Scene::new().await;
    for name in ["other", "another"] {
        let posting = scene.log.posting("poster", name);
        posting.posted(&Ok(scene.post(name).await));
    }
    let claim = scene.claim("me").await;
    for _ in 0..2 {
        let consuming = scene.log.consuming("client", &claim);
        consuming.told(Err(crate::ErrorKind::Unknown));
    }
    scene
        .log
        .consuming("liar", &claim)
        .settled(&Ok(claim.token()));
    let told = scene.story().await;
    assert!(told[0].contains("job 3"), "{told:?}");
    assert!(
        told[1].contains("Posted") && told[2].contains("Claimed"),
        "{told:?}"
    );
    assert!(told[3].contains("liar"), "{told:?}");
    assert_eq!(told.len(), 4, "{told:?}");
}

#[tokio::test]
async fn story_tells_of_both_calls_whose_order_is_wrong() {
    let scene = Scene::new().await;
    for name in ["first", "between", "second"] {
        scene.post(name).await;
    }
    for name in ["between", "second", "first"] {
        scene.log.posting("client", name).told(Ok(None));
    }
    let told = scene.story().await.join("\n");
    let at = |name| told.contains(&format!("Post(\"{name}\")"));
    assert!(at("first") && at("second") && !at("between"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn story_tells_of_both_who_believed() {
    let scene = Scene::new().await;
    let other = scene.claim("other").await;
    scene.log.believe("client", &other);
    let claim = scene.claim("first").await;
    scene.log.believe("client", &claim);
    claim.abandon().await.unwrap();
    let again = scene.board.claim(claim.job(), "second").await.unwrap();
    scene.log.believe("client", &again);
    let told = scene.story().await;
    assert!(told[0].contains("job 2"), "{told:?}");
    let believed = told[1..].iter().filter(|line| line.contains("Belief"));
    assert_eq!(believed.count(), 2, "{told:?}");
}

#[tokio::test]
async fn story_tells_what_a_listener_was_told_of_the_job() {
    let scene = Scene::new().await;
    for name in ["job", "other"] {
        let job = scene.post(name).await.uuid();
        scene.log.told_of_post("listener", scene.now().await, job);
        if name == "other" {
            scene
                .log
                .told_of_removal("listener", scene.now().await, job);
        }
    }
    let told = scene.story().await;
    assert!(told[0].contains("job 2"), "{told:?}");
    let heard = told[1..].iter().filter(|line| line.contains("listener"));
    assert!(
        heard.clone().all(|line| line.contains(&*told_of(&told[0]))),
        "{told:?}"
    );
    assert_eq!(heard.count(), 2, "{told:?}");
}

/// The uuid that a line names first.
fn told_of(line: &str) -> String {
    let mut words = line.split([' ', ',']);
    words
        .find(|word| word.parse::<Uuid>().is_ok())
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn job_whose_owner_does_not_live_has_not_recovered() {
    let scene = Scene::new().await;
    let _alive = scene.claim("alive").await;
    let dead = scene.claim("dead").await;
    assert!(scene.auditor.caught_up(scene.now().await).await);
    let lives = |owner: &str| owner == "alive";
    let broken = scene.auditor.recovered(lives).unwrap_err();
    assert_eq!(broken.promise(), Promise::Recovered);
    let told = lines(&broken);
    assert!(
        told[0].contains("job 2") && told[0].contains("dead"),
        "{told:?}"
    );
    assert_eq!(told.len(), 3, "{told:?}");
    dead.abandon().await.unwrap();
    assert!(scene.auditor.caught_up(scene.now().await).await);
    assert_eq!(scene.auditor.recovered(lives), Ok(()));
}
