//! A crowd of TaskFlow's clients and our conductors on one board.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use jobboard::{
    Conductor, Context, Handler, HandlerError, JobBoard, JobPriority, NewJob, Outcome, Retry,
    store::{Etcd, Key, StoreExt},
    testing::{Auditor, LocalEtcd, Log},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Barrier, time::sleep};
use uuid::Uuid;

use crate::{
    python::TaskFlow,
    scene::{BOARD, Scene, on_each},
};

/// How many jobs each side posts.
const JOBS: usize = 1_000;

/// How many of each side do them.
const CROWD: usize = 4;

/// How many of its jobs each side posts before the other begins, so that each of that finds one to run: one
/// that looks through them gives back three at most, as do the others, who hold one each besides.
const FIRST: usize = 4 * CROWD;

/// How long a job takes here: TaskFlow's clients are to get their share.
const WORK: Duration = Duration::from_millis(20);

/// One of so many jobs is given back here when it is tried first, and the first that a conductor has.
const ABANDONED: u64 = 10;

/// Tells TaskFlow's clients that there is nothing more to do.
const OVER: &str = "/crowd/over";

/// What a client of TaskFlow's or a conductor did.
#[derive(Default, Deserialize)]
struct Did {
    ran: Vec<Uuid>,
    abandoned: usize,
}

impl Did {
    /// It gave a job back, and ran jobs, those of the other side among them.
    fn assert_mixed(&self, others: &[Uuid]) {
        assert_ne!(self.abandoned, 0);
        assert!(self.ran.iter().any(|job| others.contains(job)));
    }
}

#[tokio::test]
async fn each_job_of_a_mixed_crowd_is_run_once_and_none_is_lost() {
    on_each(async |scene| {
        let auditor = Auditor::start(&scene.store, "/taskflow", BOARD).await;
        let auditor = auditor.unwrap().beside_taskflow();
        let log = auditor.log();

        // Everybody begins with a job of the other side's: here there is no other yet, and what is not
        // urgent is what TaskFlow's clients do first. All stand still with it.
        let mut posted_there = post_there(scene, 0..FIRST).await;
        let gate = Arc::new(Barrier::new(CROWD + 1));
        let ours = (0..CROWD).map(|_| Ours::start(&scene.etcd, &log, &gate));
        let ours = join_all(ours).await;
        gate.wait().await;
        let low = |new: NewJob| new.priority(JobPriority::Low);
        let mut posted_here = post(&scene.board, &log, 0..FIRST, low).await;
        let theirs = (0..CROWD).map(|place| Theirs::start(&scene.etcd, place));
        let theirs = join_all(theirs).await;
        gate.wait().await;

        let working = join_all(theirs.into_iter().map(Theirs::work));
        let posting = async {
            let board = scene.board.clone();
            let (here, there) = tokio::join!(
                post(&board, &log, FIRST..JOBS, |new| new),
                post_there(scene, FIRST..JOBS),
            );
            posted_here.extend(here);
            posted_there.extend(there);
            until_empty(&scene.board).await;
            let over = Key::new(OVER).unwrap();
            scene.store.put(over, "yes".into()).await.unwrap();
        };
        let (there, ()) = tokio::join!(working, posting);
        let here = join_all(ours.into_iter().map(Ours::stop)).await;

        for did in &here {
            did.assert_mixed(&posted_there);
        }
        for did in &there {
            did.assert_mixed(&posted_here);
        }
        let all = |did: &[Did]| did.iter().flat_map(|did| did.ran.clone()).collect();
        let (here, there): (Vec<_>, Vec<_>) = (all(&here), all(&there));
        println!("{} run here, {} there", here.len(), there.len());
        let mut ran = [here, there].concat();
        let mut posted = [posted_here, posted_there].concat();
        ran.sort();
        posted.sort();
        assert_eq!(posted.len(), 2 * JOBS);
        assert_eq!(ran, posted, "each job is run once");

        assert!(scene.unreadable().await.is_empty());
        assert!(auditor.caught_up(scene.board.revision()).await);
        auditor.audit().unwrap_or_else(|broken| panic!("{broken}"));
        assert!(auditor.on_board().is_empty());
        assert!(posted.iter().all(|job| auditor.has_ended(*job)));
    })
    .await;
}

/// Posts some of our jobs.
async fn post(
    board: &JobBoard,
    log: &Log,
    numbers: Range<usize>,
    with: impl Fn(NewJob) -> NewJob,
) -> Vec<Uuid> {
    let mut posted = Vec::new();
    for number in numbers {
        let name = format!("rust-{number}");
        let posting = log.posting("poster", &name);
        let job = board.post(with(NewJob::new(name))).await;
        posting.posted(&job);
        posted.push(job.unwrap().uuid());
    }
    posted
}

/// TaskFlow posts some of its jobs.
async fn post_there(scene: &mut Scene, numbers: Range<usize>) -> Vec<Uuid> {
    let order = json!({"prefix": "python", "numbers": [numbers.start, numbers.end]});
    scene.theirs.ask("post_many", order).await
}

/// Waits until no job is left.
async fn until_empty(board: &JobBoard) {
    board.fresh_jobs().await.unwrap();
    loop {
        let seen = board.revision();
        if board.job_count() == 0 {
            return;
        }
        board.changed(seen).await.unwrap();
    }
}

/// A client of TaskFlow's that does jobs.
struct Theirs(TaskFlow);

impl Theirs {
    /// Starts one, and waits until it has the first job that it runs.
    async fn start(etcd: &LocalEtcd, place: usize) -> Self {
        let mut client = TaskFlow::start(etcd, BOARD).await;
        let order = json!({"who": format!("python-{place}"), "until": OVER});
        client.order_until("gate", "work", order).await;
        Self(client)
    }

    /// Lets it do jobs until that is over.
    async fn work(mut self) -> Did {
        let did = self.0.go_on().await.unwrap();
        serde_json::from_value(did).unwrap()
    }
}

/// A conductor of ours, on a connection of its own.
struct Ours {
    board: JobBoard,
    conductor: Conductor,
    running: tokio::task::JoinHandle<jobboard::Result<()>>,
    did: Arc<Mutex<Did>>,
}

impl Ours {
    async fn start(etcd: &LocalEtcd, log: &Log, gate: &Arc<Barrier>) -> Self {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let board = JobBoard::builder(BOARD).store(store);
        let board = board.connect().await.unwrap();
        let did = Arc::default();
        let works = Works {
            log: log.clone(),
            did: Arc::clone(&did),
            began: AtomicBool::default(),
            gate: Arc::clone(gate),
        };
        let conductor = Conductor::builder(&board, "rust").handler(works);
        let conductor = conductor.unwrap();
        let run = conductor.clone();
        let running = tokio::spawn(async move { run.run().await });
        Self {
            board,
            conductor,
            running,
            did,
        }
    }

    async fn stop(self) -> Did {
        self.conductor.stop();
        self.running.await.unwrap().unwrap();
        self.board.close().await;
        std::mem::take(&mut *self.did.lock().unwrap())
    }
}

/// Does jobs, and notes which.
struct Works {
    log: Log,
    did: Arc<Mutex<Did>>,
    /// Whether it has a job that it runs.
    began: AtomicBool,
    /// Passed once when it has, and once more to go on.
    gate: Arc<Barrier>,
}

impl Works {
    /// Whether it gives the job back.
    fn gives_back(&self, context: &Context) -> bool {
        let one_of_many = context.attempt() == 1 && context.job().id().get() % ABANDONED == 1;
        let mut did = self.did.lock().unwrap();
        let gives_back = one_of_many || did.abandoned == 0;
        did.abandoned += usize::from(gives_back);
        gives_back
    }
}

impl Handler for Works {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        self.log.believe("conductor", &context);
        sleep(WORK).await;
        // How it is answered is not told here; that it was asked for is what counts.
        if self.gives_back(&context) {
            drop(self.log.abandoning("conductor", &context));
            return Ok(Outcome::Abandon(Retry::at_once()));
        }
        if !self.began.swap(true, Ordering::Relaxed) {
            self.gate.wait().await;
            self.gate.wait().await;
        }
        self.did.lock().unwrap().ran.push(context.job().uuid());
        drop(self.log.consuming("conductor", &context));
        Ok(Outcome::Consume)
    }
}
