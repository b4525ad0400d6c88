//! A session on a store in memory whose answers can get lost, on paused time.

mod answers;
mod groups;
mod own;
mod released;
mod review;
mod saving;
mod unheld;
mod unique;

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::DateTime;
use serde_json::value::RawValue;

use super::{own::Stake, *};
use crate::{
    protocol::{
        abandon::Abandon,
        consume::Consume,
        done::{Done, DoneRecord},
        keys::{BoardName, JobId, JobPart, Namespace},
        owner::OwnerRecord,
        post::Post,
        posting::{NewPosting, Posting},
        priority::JobPriority,
        state::{SeenState, StateRecord},
        terms::Terms,
        trash::Trash,
        trashed::TrashNote,
    },
    store::{
        Error, KeepAlive, Lease, LeaseId, Memory, RangeRequest, RangeResponse, Result, Revision,
        StoreExt, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};

/// What happens to the next transaction.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is applied, and its answer is lost.
    AnswerLost,
    /// It never arrives, and nobody says so.
    RequestLost,
    /// It arrives after the next one, and nobody says so.
    Late,
    /// It arrives after a second, and is answered.
    Slow,
    /// It never arrives, and nobody says so for a second.
    Stalled,
    /// It is applied, and its answer is lost after a second.
    Unheard,
}

/// A store in memory with faults.
#[derive(Debug)]
struct Faulty {
    memory: Memory,
    next: Mutex<VecDeque<Fault>>,
    late: Mutex<Option<Txn>>,
    /// Whether nothing is heard of keep-alives that are started from now on.
    mute: Mutex<bool>,
    /// How many operations it does at once, beside those of nested transactions.
    ops: Mutex<usize>,
    /// How many transactions it was sent.
    sent: AtomicUsize,
}

#[async_trait]
impl Store for Faulty {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.memory.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        if txn.then.len() > *self.ops.lock().unwrap() {
            return Err(Error::new(ErrorKind::TooManyOps, "too many operations"));
        }
        let fault = self.next.lock().unwrap().pop_front();
        match fault {
            None => {
                let answer = self.memory.txn(txn).await;
                let late = self.late.lock().unwrap().take();
                if let Some(late) = late {
                    // Refused or not, nobody hears of it.
                    _ = self.memory.txn(late).await;
                }
                return answer;
            }
            Some(Fault::AnswerLost) => _ = self.memory.txn(txn).await?,
            Some(Fault::RequestLost) => {}
            Some(Fault::Slow) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                return self.memory.txn(txn).await;
            }
            Some(Fault::Late) => *self.late.lock().unwrap() = Some(txn),
            Some(Fault::Stalled) => tokio::time::sleep(Duration::from_secs(1)).await,
            Some(Fault::Unheard) => {
                self.memory.txn(txn).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Err(Error::new(ErrorKind::Ambiguous, "no answer came"))
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        self.memory.watch(request).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        self.memory.grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        self.memory.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        if *self.mute.lock().unwrap() {
            return KeepAlive::channel(lease).1;
        }
        self.memory.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.memory.compact(revision).await
    }
}

struct Bundle {
    store: Arc<Faulty>,
    keys: Keyspace,
    parts: Parts,
    session: Arc<Session>,
    posting: NewPosting,
    job: JobId,
}

async fn setup() -> Bundle {
    setup_with(Settings::default()).await
}

async fn setup_with(settings: Settings) -> Bundle {
    let memory = Memory::new();
    let store = Arc::new(Faulty {
        memory,
        next: Mutex::default(),
        late: Mutex::default(),
        mute: Mutex::default(),
        ops: Mutex::new(usize::MAX),
        sent: AtomicUsize::default(),
    });
    let keys = Keyspace::new(&Namespace::default(), &BoardName::default());
    let random = Random::seeded(1);
    let posting = NewPosting {
        uuid: random.uuid(),
        name: "thumbnail".to_owned(),
        priority: JobPriority::Normal,
        created_on: DateTime::UNIX_EPOCH,
        details: RawValue::from_string("{}".to_owned()).unwrap(),
        book: None,
        terms: Terms::default(),
    };
    let parts = Parts {
        store: Arc::clone(&store) as Arc<dyn Store>,
        keys: keys.clone(),
        random,
        settings,
    };
    let session = Session::open(&parts, parts.settings.terms(), deadline())
        .await
        .unwrap();
    Bundle {
        store,
        keys,
        parts,
        session,
        posting,
        job: JobId::new(42).unwrap(),
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

impl Bundle {
    fn fault(&self, fault: Option<Fault>) {
        *self.store.next.lock().unwrap() = fault.into_iter().collect();
    }

    async fn post(&self) -> Revision {
        let post = Post::new(&self.keys, self.job, &self.posting);
        self.session.write(post, deadline()).await.unwrap().unwrap()
    }

    async fn claim(&self, posted: Revision) -> Held {
        let seen = SeenState::read(self.part(JobPart::State).await.as_ref()).unwrap();
        let request = ClaimRequest {
            job: self.job,
            posted,
            seen: &seen,
            who: "worker-3",
            now: DateTime::UNIX_EPOCH,
        };
        self.session
            .claim(&request, Stake::default(), deadline())
            .await
            .unwrap()
            .unwrap()
    }

    /// A posted job, claimed.
    async fn held(&self) -> Held {
        let posted = self.post().await;
        self.claim(posted).await
    }

    async fn consume(&self, held: &Held) -> Result<Revision, crate::protocol::holding::NotHeld> {
        let hold = held.hold();
        let verb = |keys: &Keyspace, guard: &Guard| Consume::new(keys, guard, hold, None);
        self.session.settle(&hold, verb, deadline()).await.unwrap()
    }

    async fn consume_with(
        &self,
        held: &Held,
        lease: LeaseId,
    ) -> Result<Result<Revision, crate::protocol::holding::NotHeld>, WriteError> {
        let hold = held.hold();
        let done = Done {
            uuid: self.posting.uuid,
            result: &RawValue::from_string("1".to_owned()).unwrap(),
            on: DateTime::UNIX_EPOCH,
            by: "worker-3",
        };
        let record = DoneRecord::new(&done).unwrap();
        let verb = |keys: &Keyspace, guard: &Guard| {
            Consume::new(keys, guard, hold, None).keeping(record, lease)
        };
        self.session.settle(&hold, verb, deadline()).await
    }

    async fn part(&self, part: JobPart) -> Option<store::KeyValue> {
        self.store
            .memory
            .get(self.keys.job(self.job, part))
            .await
            .unwrap()
    }

    async fn state(&self) -> StateRecord {
        StateRecord::read(&self.part(JobPart::State).await.unwrap().value).unwrap()
    }
}

const FAULTS: [Option<Fault>; 5] = [
    None,
    Some(Fault::AnswerLost),
    Some(Fault::RequestLost),
    Some(Fault::Late),
    Some(Fault::Slow),
];

#[tokio::test(start_paused = true)]
async fn dropped_hold_gives_the_job_back_and_burns_no_attempt() {
    let board = setup().await;
    let posted = board.post().await;
    drop(board.claim(posted).await);
    while board.part(JobPart::Owner).await.is_some() {
        tokio::task::yield_now().await;
    }
    let state = board.state().await;
    assert_eq!((state.attempts, state.unsettled), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_claim_call_leaves_no_owner_behind() {
    let board = setup().await;
    let posted = board.post().await;
    {
        let claiming = board.claim(posted);
        tokio::pin!(claiming);
        while board.part(JobPart::Owner).await.is_none() {
            assert!(futures::poll!(&mut claiming).is_pending());
            tokio::task::yield_now().await;
        }
    }
    while board.part(JobPart::Owner).await.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(board.state().await.attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn stale_owner_is_told_that_its_claim_is_lost_and_changes_nothing() {
    let board = setup().await;
    let held = board.held().await;
    board
        .store
        .memory
        .delete(board.keys.job(board.job, JobPart::Owner).into())
        .await
        .unwrap();
    board.consume(&held).await.unwrap_err();
    assert!(board.part(JobPart::Data).await.is_some());
    assert!(held.lost().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn session_whose_lease_is_revoked_loses_its_claims_and_writes_nothing() {
    let board = setup().await;
    let held = board.held().await;
    board
        .store
        .memory
        .revoke(board.session.guard.lease())
        .await
        .unwrap();
    let hold = held.hold();
    let verb = |keys: &Keyspace, guard: &Guard| Consume::new(keys, guard, hold, None);
    let error = board
        .session
        .settle(&hold, verb, deadline())
        .await
        .unwrap_err();
    assert!(
        matches!(error, WriteError::NotSent | WriteError::Lost),
        "{error:?}"
    );
    assert!(held.lost().is_cancelled() && !held.is_held());
    assert!(board.part(JobPart::Data).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn closed_session_gives_back_what_it_held_and_burns_no_attempt() {
    let board = setup().await;
    let held = board.held().await;
    assert!(board.session.close(deadline()).await);
    assert_eq!(board.part(JobPart::Owner).await, None);
    assert!(held.lost().is_cancelled());
    let state = board.state().await;
    assert_eq!((state.attempts, state.unsettled), (0, 0));
}
