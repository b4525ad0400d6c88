mod listening;
mod operators;
mod shortest;
mod taskflow;
mod told;

use serde_json::json;

use super::*;
use crate::{
    JobBoard, NewJob,
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
async fn job_that_goes_from_the_trash_is_found_unless_it_may_be_purged() {
    for purging in [false, true] {
        let mut raw = Raw::new().await;
        if purging {
            raw.auditor = raw.auditor.with_purging();
        }
        raw.posted().await;
        raw.apply([all_of_job(), Op::put(trash(), posting(UUID).to_string())])
            .await;
        raw.apply([Op::delete(trash())]).await;
        assert_eq!(raw.broken(), (!purging).then_some(Promise::Kept));
        raw.posted().await;
        assert_eq!(raw.broken(), Some(Promise::Kept));
    }
}

#[tokio::test]
async fn job_whose_place_in_the_trash_is_written_over_is_found() {
    let raw = Raw::new().await;
    for uuid in [UUID, "00000000-0000-4000-8000-000000000002"] {
        assert_eq!(raw.broken(), None);
        raw.apply([put("data", &posting(uuid))]).await;
        raw.apply([all_of_job(), Op::put(trash(), posting(uuid).to_string())])
            .await;
    }
    assert_eq!(raw.broken(), Some(Promise::Kept));
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

#[tokio::test]
async fn store_is_looked_at_again_after_all_but_what_stays_so() {
    use ErrorKind as Kind;
    for (kind, again) in [
        (Kind::Unavailable, true),
        (Kind::Denied, true),
        (Kind::Ambiguous, true),
        (Kind::Compacted, false),
        (Kind::TooLarge, false),
        (Kind::Invalid, false),
    ] {
        let raw = Raw::new().await;
        let tail = Tail {
            store: Memory::new(),
            all: KeyRange::prefix(Key::new("/ns/").unwrap()),
            seen: Arc::clone(&raw.auditor.seen),
            told: watch::Sender::default(),
        };
        let error = store::Error::new(kind, "for a test");
        assert_eq!(tail.again(error).await.is_some(), again, "{kind:?}");
    }
}

async fn store_revision(store: &Memory) -> u64 {
    let any = RangeRequest::new(key("data"));
    store.range(any).await.unwrap().header.revision.get()
}
