//! What an idle conductor costs: on a store in memory that counts what it is asked, on paused time.
#![allow(clippy::unwrap_used, reason = "what a test did not expect fails it")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jobboard::{
    Conductor, Context, Ended, Handler, HandlerError, JobBoard, NewJob, Outcome,
    store::{
        Content, KeepAlive, Lease, LeaseId, Memory, RangeRequest, RangeResponse, Result, Revision,
        Store, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};

const TEN_MINUTES: Duration = Duration::from_mins(10);

/// A request, but for those that keep a lease alive.
#[derive(Clone, Debug, PartialEq)]
enum Asked {
    /// For the number of keys, and no key.
    Count,
    Read,
    /// For keys that are newer than what was seen, in a transaction that can write nothing.
    Proof,
    Transaction,
    Watch,
    Lease,
    Compaction,
}

/// A store in memory that knows what one board asks of it.
#[derive(Clone, Debug, Default)]
struct Counted {
    memory: Memory,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Counted {
    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
    }

    /// What was asked since this was called last.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Store for Counted {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.note(match request.content {
            Content::CountOnly => Asked::Count,
            _ => Asked::Read,
        });
        self.memory.range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.note(if txn.writes() {
            Asked::Transaction
        } else {
            Asked::Proof
        });
        self.memory.txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        self.note(Asked::Watch);
        self.memory.watch(request).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        self.note(Asked::Lease);
        self.memory.grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        self.note(Asked::Lease);
        self.memory.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.memory.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.note(Asked::Compaction);
        self.memory.compact(revision).await
    }
}

/// Tells when a job began, and what was asked up to then.
struct Telling {
    store: Counted,
    begun: mpsc::Sender<(Instant, Vec<Asked>)>,
}

impl Handler for Telling {
    async fn handle(&self, _: Context) -> std::result::Result<Outcome, HandlerError> {
        self.begun
            .send((Instant::now(), self.store.asked()))
            .await?;
        Ok(Outcome::Consume)
    }
}

/// A conductor that has nothing to do, and somebody else who can post.
struct Idle {
    store: Counted,
    poster: JobBoard,
    board: JobBoard,
    conductor: Conductor,
    running: JoinHandle<jobboard::Result<()>>,
    begins: mpsc::Receiver<(Instant, Vec<Asked>)>,
}

async fn idle() -> Idle {
    let store = Counted::default();
    let board = JobBoard::builder("images").store(store.clone());
    let board = board.connect().await.unwrap();
    let poster = JobBoard::builder("images").store(store.memory.clone());
    let poster = poster.connect().await.unwrap();
    let (begun, begins) = mpsc::channel(1);
    let conductor = Conductor::builder(&board, "thumbnails").concurrency(8);
    let telling = Telling {
        store: store.clone(),
        begun,
    };
    let conductor = conductor.handler(telling).unwrap();
    let run = conductor.clone();
    let running = tokio::spawn(async move { run.run().await });
    // The poster's session is open as well.
    poster.fresh_jobs().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    store.asked();
    Idle {
        store,
        poster,
        board,
        conductor,
        running,
        begins,
    }
}

impl Idle {
    async fn end(self) {
        self.conductor.stop();
        self.running.await.unwrap().unwrap();
        self.board.close().await;
        self.poster.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn idle_conductor_asks_only_whether_its_watches_missed_something() {
    let mut idle = idle().await;
    sleep(TEN_MINUTES).await;
    let asked = idle.store.asked();
    // One count for each watch (jobs, entities, pauses) at most each ten seconds. Where something was
    // written that is not for a watch after the last that was, it asks once for proof.
    let (counts, others): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|asked| *asked == Asked::Count);
    assert!(counts.len() <= 3 * 60, "{} counts", counts.len());
    assert!(others.len() <= 3, "{others:?}");
    assert_eq!(others, vec![Asked::Proof; others.len()]);
    // And it is still there.
    idle.poster.post(NewJob::new("a")).await.unwrap();
    let (_, asked) = idle.begins.recv().await.unwrap();
    assert_eq!(asked, [Asked::Transaction]);
    idle.end().await;
}

#[tokio::test(start_paused = true)]
async fn posted_job_is_claimed_by_the_first_request_after_its_event() {
    let mut idle = idle().await;
    for number in 0..20 {
        let posted = Instant::now();
        let job = idle.poster.post(NewJob::new(number.to_string()));
        let job = job.await.unwrap();
        let (begun, asked) = idle.begins.recv().await.unwrap();
        assert_eq!(asked, [Asked::Transaction]);
        assert_eq!(begun, posted);
        assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));
        idle.store.asked();
    }
    idle.end().await;
}
