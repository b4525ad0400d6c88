use serde_json::json;

use super::*;
use crate::{
    Claim, Ended, Error, ErrorKind, Job, JobBoard, NewJob,
    random::Random,
    store::{Faults, Faulty, Memory, Op, RangeRequest, Txn},
};

const JOB: &str = "/ns/jobs/board/job1";

const UUID: &str = "00000000-0000-4000-8000-000000000001";

/// A store without a board, on which anything can be written.
struct Raw {
    store: Memory,
    auditor: Auditor,
}

impl Raw {
    async fn new() -> Self {
        let store = Memory::new();
        let auditor = Auditor::start(&store, "/ns", "board").await.unwrap();
        Self { store, auditor }
    }

    async fn beside_taskflow() -> Self {
        let Self { store, auditor } = Self::new().await;
        let auditor = auditor.beside_taskflow();
        Self { store, auditor }
    }

    async fn apply(&self, ops: impl IntoIterator<Item = Op>) {
        let done = self.store.txn(Txn::new().then(ops)).await.unwrap();
        assert!(self.auditor.caught_up(done.header.revision).await);
    }

    /// A job, of which there has been none.
    async fn posted(&self) {
        self.apply([put("data", &posting(UUID))]).await;
    }

    async fn claimed(&self) {
        self.apply([put("lock", &json!({"owner": "me"}))]).await;
    }

    /// Claimed by this library.
    async fn claimed_here(&self) {
        let owner = json!({"owner": "me", "jobboard": {"session": UUID, "claim": UUID}});
        self.apply([put("lock", &owner)]).await;
    }

    async fn trashed_first(&self) {
        let trashed = Op::put(trash(), posting(UUID).to_string());
        self.apply([trashed]).await;
    }

    fn broken(&self) -> Option<Promise> {
        self.auditor.audit().err().map(|broken| broken.promise())
    }
}

fn posting(uuid: &str) -> serde_json::Value {
    json!({"uuid": uuid, "name": "job"})
}

fn key(part: &str) -> Key {
    Key::new(format!("{JOB}.{part}")).unwrap()
}

fn put(part: &str, value: &serde_json::Value) -> Op {
    Op::put(key(part), value.to_string())
}

fn trash() -> Key {
    Key::new("/ns/.trash/board/job1").unwrap()
}

fn all_of_job() -> Op {
    let all = KeyRange::between(key(""), Key::new(format!("{JOB}/")).unwrap());
    Op::delete(all.unwrap())
}

#[tokio::test]
async fn life_of_a_job_breaks_nothing() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.claimed().await;
    raw.apply([Op::delete(key("lock"))]).await;
    raw.claimed().await;
    raw.apply([all_of_job(), Op::put(trash(), posting(UUID).to_string())])
        .await;
    raw.apply([put("data", &posting(UUID)), Op::delete(trash())])
        .await;
    raw.claimed().await;
    raw.apply([all_of_job()]).await;
    assert_eq!(raw.auditor.audit().unwrap().changes, 8);
    assert!(raw.auditor.on_board().is_empty());
    assert!(raw.auditor.has_ended(UUID.parse().unwrap()));
}

#[tokio::test]
async fn second_owner_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.claimed().await;
    assert_eq!(raw.broken(), None);
    raw.claimed().await;
    assert_eq!(raw.broken(), Some(Promise::OneOwner));
}

#[tokio::test]
async fn owner_of_no_job_is_found() {
    let raw = Raw::new().await;
    raw.claimed().await;
    assert_eq!(raw.broken(), Some(Promise::OneOwner));
}

#[tokio::test]
async fn owner_that_outlives_its_job_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.claimed().await;
    raw.apply([Op::delete(key("data"))]).await;
    assert_eq!(raw.broken(), Some(Promise::OneOwner));
}

#[tokio::test]
async fn job_that_is_consumed_without_an_owner_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.apply([all_of_job()]).await;
    assert_eq!(raw.broken(), Some(Promise::Fenced));
}

#[tokio::test]
async fn job_that_comes_back_after_it_was_consumed_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.claimed().await;
    raw.apply([all_of_job()]).await;
    assert_eq!(raw.broken(), None);
    raw.posted().await;
    assert_eq!(raw.broken(), Some(Promise::Kept));
}

#[tokio::test]
async fn job_that_is_on_the_board_and_in_the_trash_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.apply([all_of_job(), Op::put(trash(), posting(UUID).to_string())])
        .await;
    assert_eq!(raw.broken(), None);
    raw.posted().await;
    assert_eq!(raw.broken(), Some(Promise::Kept));
}

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
    scene.log.believe(&claim);
    let all = KeyRange::prefix(Key::new("/taskflow/jobs/board/job1.").unwrap());
    let deleted = Txn::new().then([Op::delete(all)]);
    scene.store.txn(deleted).await.unwrap();
    assert_eq!(scene.broken().await, Some(Promise::Fenced));
}

#[tokio::test]
async fn posting_that_is_written_over_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.posted().await;
    assert_eq!(raw.broken(), Some(Promise::Kept));
}

#[tokio::test]
async fn second_job_with_a_unique_key_is_found() {
    let raw = Raw::new().await;
    let unique = |uuid| {
        let mut posting = posting(uuid);
        posting["jobboard"] = json!({"unique": "key"});
        posting.to_string()
    };
    raw.apply([Op::put(key("data"), unique(UUID))]).await;
    assert_eq!(raw.broken(), None);
    let other = Key::new("/ns/jobs/board/job2.data").unwrap();
    let uuid = "00000000-0000-4000-8000-000000000002";
    raw.apply([Op::put(other, unique(uuid))]).await;
    assert_eq!(raw.broken(), Some(Promise::Unique));
}

#[tokio::test]
async fn other_job_in_the_trash_is_found() {
    let raw = Raw::new().await;
    raw.posted().await;
    let other = posting("00000000-0000-4000-8000-000000000002");
    raw.apply([all_of_job(), Op::put(trash(), other.to_string())])
        .await;
    assert_eq!(raw.broken(), Some(Promise::Kept));
}

#[tokio::test(start_paused = true)]
async fn store_that_was_away_is_looked_at_again_and_what_it_tells_again_is_passed_over() {
    let store = Memory::new();
    let mut faults = Faults::NONE;
    (faults.cut_watches, faults.old_batches) = (300, 300);
    let faulty = Faulty::new(store.clone(), Random::seeded(7), faults);
    let auditor = Auditor::start(&faulty, "/ns", "board").await.unwrap();
    for _ in 0..100 {
        let posting = posting(&Uuid::from_u128(store_revision(&store).await.into()).to_string());
        let claim = json!({"owner": "me"});
        for ops in [put("data", &posting), put("lock", &claim), all_of_job()] {
            store.txn(Txn::new().then([ops])).await.unwrap();
        }
        let last = Revision::new(store_revision(&store).await);
        assert!(auditor.caught_up(last).await);
    }
    assert_eq!(auditor.audit().unwrap().changes, 300);
}

async fn store_revision(store: &Memory) -> u64 {
    let any = RangeRequest::new(key("data"));
    store.range(any).await.unwrap().header.revision.get()
}

/// A board, of which lies can be noted.
struct Scene {
    store: Memory,
    auditor: Auditor,
    board: JobBoard,
    log: Log,
}

impl Scene {
    async fn new() -> Self {
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

    async fn post(&self, name: &str) -> Job {
        self.board.post(NewJob::new(name)).await.unwrap()
    }

    async fn claim(&self, who: &str) -> Claim {
        let job = self.post(who).await;
        self.board.claim(&job, who).await.unwrap()
    }

    async fn broken(&self) -> Option<Promise> {
        let any = Key::new("/taskflow/none").unwrap();
        let now = self.store.range(RangeRequest::new(any));
        let now = now.await.unwrap().header.revision;
        assert!(self.auditor.caught_up(now).await);
        self.auditor.audit().err().map(|broken| broken.promise())
    }
}

fn failed<T>(kind: ErrorKind) -> crate::Result<T> {
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

#[tokio::test]
async fn what_is_told_twice_or_not_at_all_is_found() {
    let scene = Scene::new().await;
    let job = scene.post("job").await.uuid();
    scene.log.told_of_post("listener", job);
    assert_eq!(scene.broken().await, None);
    scene.log.told_of_removal("listener", job);
    assert_eq!(scene.broken().await, Some(Promise::View));
    scene.log.deaf("listener");
    assert_eq!(scene.broken().await, None);
    scene.log.told_of_removal("listener", job);
    assert_eq!(scene.broken().await, Some(Promise::View));
}

#[tokio::test(start_paused = true)]
async fn two_who_believe_at_the_same_time_are_found() {
    for overlap in [false, true] {
        let scene = Scene::new().await;
        let claim = scene.claim("first").await;
        scene.log.believe(&claim);
        tokio::time::advance(Duration::from_secs(1)).await;
        claim.abandon().await.unwrap();
        let again = scene.board.claim(claim.job(), "second").await.unwrap();
        if !overlap {
            scene.log.disbelieve(&claim);
        }
        scene.log.believe(&again);
        let broken = overlap.then_some(Promise::OneBelief);
        assert_eq!(scene.broken().await, broken);
    }
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

#[tokio::test]
async fn story_tells_what_led_to_it() {
    let raw = Raw::new().await;
    raw.posted().await;
    raw.claimed().await;
    raw.claimed().await;
    let told = raw.auditor.audit().unwrap_err().to_string();
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines[0].contains("job 1") && lines[0].contains("me"),
        "{told}"
    );
    assert!(
        lines[1].contains("Posted") && lines[2].contains("Claimed"),
        "{told}"
    );
}
