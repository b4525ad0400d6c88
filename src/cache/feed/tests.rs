mod broken;
mod equal;
mod histories;
mod lists;
mod silent;

use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::ready;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::*;
use crate::{
    cache::{
        Cache, Closed, Reader, Timing,
        change::ChangeKind,
        index::Index,
        link::{Status, Unlisted},
        silence::{ASK_AFTER, GRACE},
    },
    clock::Clock,
    protocol::{
        keys::{BoardName, JobId, JobPart, Keyspace, Namespace},
        record,
    },
    store::{
        self, KeepAlive, Key, Lease, LeaseId, Memory, Op, RangeRequest, RangeResponse, StoreExt,
        Txn, TxnResponse,
    },
};

/// A store whose reads and watches can be made to fail.
#[derive(Debug)]
struct Bent {
    memory: Mutex<Memory>,
    /// Reads and new watches fail so.
    fails: Mutex<Option<ErrorKind>>,
    /// Watches say nothing.
    mute: AtomicBool,
    /// Watches begin at the first revision.
    repeats: AtomicBool,
    /// The store is compacted after the first page of each list.
    compacts: AtomicBool,
    /// The read with this number fails.
    failing_read: AtomicUsize,
    /// The read with this number is refused.
    refused_read: AtomicUsize,
    /// Reads of more keys than this fail.
    largest_read: AtomicUsize,
    /// Transactions are refused, as the space is used up.
    full: AtomicBool,
    /// Reads wait while this is true.
    held: watch::Sender<bool>,
    /// Watches break so when this changes.
    breaks: watch::Sender<ErrorKind>,
    reads: AtomicUsize,
    proofs: AtomicUsize,
    watches: AtomicUsize,
}

impl Bent {
    fn memory(&self) -> Memory {
        self.memory.lock().unwrap().clone()
    }

    fn fail(&self, kind: impl Into<Option<ErrorKind>>) {
        *self.fails.lock().unwrap() = kind.into();
    }

    fn break_watches(&self) {
        self.break_watches_as(ErrorKind::Unavailable);
    }

    fn break_watches_as(&self, kind: ErrorKind) {
        self.breaks.send_replace(kind);
    }

    async fn admit(&self) -> store::Result<()> {
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
        match *self.fails.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "told to fail")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Arc<Bent> {
    async fn range(&self, request: RangeRequest) -> store::Result<RangeResponse> {
        let number = self.reads.fetch_add(1, SeqCst) + 1;
        self.admit().await?;
        if number == self.refused_read.load(SeqCst) {
            return Err(Error::new(ErrorKind::Denied, "told to refuse"));
        }
        if number == self.failing_read.load(SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "told to fail"));
        }
        if request
            .limit
            .is_some_and(|limit| limit > self.largest_read.load(SeqCst))
        {
            sleep(Duration::from_secs(5)).await;
            return Err(Error::new(ErrorKind::Unavailable, "too slow"));
        }
        let first = request.limit.is_some() && request.revision.is_none();
        let page = self.memory().range(request).await?;
        if first && self.compacts.load(SeqCst) {
            let elsewhere = Key::new("elsewhere").unwrap();
            let now = self.memory().put(elsewhere, Bytes::new()).await?;
            self.memory().compact(now).await?;
        }
        Ok(page)
    }

    async fn txn(&self, txn: Txn) -> store::Result<TxnResponse> {
        assert!(!txn.writes(), "a feed only reads");
        self.proofs.fetch_add(1, SeqCst);
        self.admit().await?;
        if self.full.load(SeqCst) {
            return Err(Error::new(ErrorKind::NoSpace, "told to be full"));
        }
        self.memory().txn(txn).await
    }

    async fn watch(&self, mut request: WatchRequest) -> store::Result<WatchStream> {
        self.watches.fetch_add(1, SeqCst);
        self.admit().await?;
        if self.repeats.load(SeqCst) {
            request.from = Revision::new(1);
        }
        let mut breaks = self.breaks.subscribe();
        let broken = futures::stream::once(async move {
            breaks.changed().await.ok();
            Err(Error::new(*breaks.borrow(), "told to break"))
        });
        let bent = Self::clone(self);
        let told = self.memory().watch(request).await?;
        let told = told.filter(move |_| ready(!bent.mute.load(SeqCst)));
        Ok(futures::stream::select(told, broken).boxed())
    }

    async fn grant(&self, ttl: Duration) -> store::Result<Lease> {
        self.memory().grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> store::Result<()> {
        self.memory().revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.memory().keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> store::Result<()> {
        self.memory().compact(revision).await
    }
}

/// What the observer was told of one revision.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    revision: Revision,
    origin: Origin,
    changes: Vec<(u64, ChangeKind)>,
    owners: Vec<(u64, bool)>,
    readable: Revision,
}

struct Setup {
    store: Arc<Bent>,
    cache: Cache,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Setup {
    fn new() -> Self {
        let store = Arc::new(Bent {
            memory: Mutex::new(Memory::new()),
            fails: Mutex::default(),
            mute: AtomicBool::default(),
            repeats: AtomicBool::default(),
            compacts: AtomicBool::default(),
            failing_read: AtomicUsize::default(),
            refused_read: AtomicUsize::default(),
            largest_read: AtomicUsize::new(usize::MAX),
            full: AtomicBool::default(),
            held: watch::Sender::new(false),
            breaks: watch::Sender::new(ErrorKind::Unavailable),
            reads: AtomicUsize::default(),
            proofs: AtomicUsize::default(),
            watches: AtomicUsize::default(),
        });
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let reader = Arc::<OnceLock<Reader>>::default();
        let (log, view) = (Arc::clone(&told), Arc::clone(&reader));
        let cache = Cache::start(
            Arc::new(Arc::clone(&store)),
            keys(),
            (Random::seeded(5), timing()),
            None,
            move |applied| {
                let change =
                    |change: &crate::cache::change::Change| (change.job().get(), change.kind);
                log.lock().unwrap().push(Told {
                    revision: applied.revision,
                    origin: applied.origin,
                    changes: applied.changes.iter().map(change).collect(),
                    owners: applied
                        .owners
                        .iter()
                        .map(|owner| (owner.job.get(), owner.holder.is_some()))
                        .collect(),
                    readable: view.get().unwrap().applied(),
                });
            },
        );
        reader.set(cache.reader().clone()).unwrap();
        Self { store, cache, told }
    }

    /// A setup whose board has this many jobs before the feed sees it.
    async fn with_jobs(jobs: usize) -> Self {
        let setup = Self::new();
        setup.store.held.send_replace(true);
        for job in 1..=u64::try_from(jobs).unwrap() {
            setup.post(job).await;
        }
        setup
    }

    /// A setup whose watch is open.
    async fn watching() -> Self {
        let setup = Self::new();
        setup.connected().await;
        setup
    }

    fn reader(&self) -> &Reader {
        self.cache.reader()
    }

    async fn connected(&self) {
        until(|| matches!(self.reader().status(), Status::Connected)).await;
    }

    /// Waits until the view shows a revision.
    async fn shows(&self, revision: Revision) {
        soon(self.reader().wait_applied(revision)).await.unwrap();
    }

    async fn put(&self, job: u64, part: JobPart, value: impl Into<Bytes>) -> Revision {
        let key = keys().job(JobId::new(job).unwrap(), part);
        self.store.memory().put(key, value.into()).await.unwrap()
    }

    async fn post(&self, job: u64) -> Revision {
        self.put(job, JobPart::Data, posting(job)).await
    }

    async fn delete(&self, job: u64, part: JobPart) -> Revision {
        let key = keys().job(JobId::new(job).unwrap(), part);
        self.store.memory().delete(key.into()).await.unwrap()
    }

    /// Writes a key outside the board.
    async fn move_store(&self) -> Revision {
        let key = Key::new("elsewhere").unwrap();
        self.store.memory().put(key, Bytes::new()).await.unwrap()
    }

    fn jobs(&self) -> Vec<u64> {
        let mut last = None;
        std::iter::from_fn(|| {
            let (position, entry) = self.reader().next(last.as_ref(), false)?;
            last = Some(position);
            Some(entry.job.get())
        })
        .collect()
    }

    /// What was told since this was asked last.
    fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    /// Whether the view is what a list of its revision gives.
    async fn assert_equals_list(&self) {
        let at = self.reader().applied();
        let all = RangeRequest::new(keys().jobs()).at(at);
        let kvs = self.store.memory().range(all).await.unwrap().kvs;
        let mut listed = Index::new(keys(), timing());
        listed.load(&kvs);
        for unclaimed in [true, false] {
            let mut last = None;
            loop {
                let seen = self.reader().next(last.as_ref(), unclaimed);
                let expected = listed.next(last.as_ref(), unclaimed);
                assert_eq!(seen.as_ref().map(|(_, entry)| entry), expected, "at {at}");
                let Some((position, _)) = seen else { break };
                last = Some(position);
            }
        }
        let keys = |unreadable: Vec<crate::cache::Unreadable>| -> Vec<Key> {
            unreadable.into_iter().map(|one| one.key).collect()
        };
        assert_eq!(keys(self.reader().unreadable()), keys(listed.unreadable()));
    }
}

/// Waits for something that takes less than an hour of the test's time.
async fn soon<T>(future: impl Future<Output = T> + Send) -> T {
    let limit = Duration::from_hours(1);
    tokio::time::timeout(limit, future)
        .await
        .expect("it takes less than an hour")
}

/// Lets the others run until `true_of_them` is true; the time of the test passes where they wait.
async fn until(true_of_them: impl Fn() -> bool + Send + Sync) {
    soon(async {
        while !true_of_them() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn keys() -> Keyspace {
    Keyspace::new(&Namespace::default(), &BoardName::default())
}

fn timing() -> Timing {
    Timing::new(Clock::system(), Random::seeded(1))
}

fn posting(job: u64) -> Bytes {
    let priority = ["LOW", "NORMAL", "HIGH"][usize::try_from(job % 3).unwrap()];
    record::write(&json!({
        "uuid": Uuid::from_u128(job.into()), "name": "n", "priority": priority,
    }))
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_revision_are_told_at_once() {
    let setup = Setup::watching().await;
    setup.told();
    let put = |job, part, value: Bytes| Op::put(keys().job(JobId::new(job).unwrap(), part), value);
    let txn = Txn::new().then([
        put(2, JobPart::Data, posting(2)),
        put(1, JobPart::Data, posting(1)),
        put(1, JobPart::Owner, r#"{"owner":"w"}"#.into()),
    ]);
    let revision = setup.store.memory().txn(txn).await.unwrap().header.revision;
    setup.shows(revision).await;
    let told = setup.told();
    assert_eq!(told.len(), 1);
    let expected = [
        (1, ChangeKind::Posted),
        (1, ChangeKind::Claimed),
        (2, ChangeKind::Posted),
    ];
    assert_eq!(told[0].changes, expected);
    assert_eq!(told[0].owners, [(1, true)]);
    assert_eq!(
        (told[0].revision, told[0].origin),
        (revision, Origin::Watched)
    );
}

#[tokio::test(start_paused = true)]
async fn changed_gives_each_revision_that_it_was_not_too_slow_for() {
    let setup = Setup::watching().await;
    let mut reader = setup.reader().clone();
    let listed = reader.changed().await.unwrap();
    let posted = setup.post(1).await;
    assert_eq!(reader.changed().await, Ok(posted));
    assert!(listed < posted);
    setup.post(2).await;
    let last = setup.post(3).await;
    setup.shows(last).await;
    assert_eq!(reader.changed().await, Ok(last));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_wait_and_keeps_the_view() {
    let setup = Setup::watching().await;
    let posted = setup.post(1).await;
    setup.shows(posted).await;
    let mut reader = setup.reader().clone();
    reader.changed().await.unwrap();
    setup.cache.close().await;
    setup.cache.close().await;
    assert_eq!(reader.wait_applied(posted.next()).await, Err(Closed));
    assert_eq!(reader.changed().await, Err(Closed));
    assert!(matches!(
        reader.relist().await,
        Err(Unlisted::Closed(Closed))
    ));
    assert_eq!(setup.jobs(), [1]);
}

#[tokio::test(start_paused = true)]
async fn hostile_records_harm_no_other_job() {
    let setup = Setup::watching().await;
    let barrier = keys().barrier();
    for odd in [barrier.child(".x"), barrier.clone(), barrier.successor()] {
        let garbage = Bytes::from_static(&[0xff, 0x00]);
        setup.store.memory().put(odd, garbage).await.unwrap();
    }
    setup.put(1, JobPart::Data, "[[[[").await;
    setup.put(2, JobPart::State, "null").await;
    let posted = setup.post(3).await;
    setup.shows(posted).await;
    assert_eq!(setup.jobs(), [3]);
    assert_eq!(setup.reader().counts().unreadable, 5);
}
