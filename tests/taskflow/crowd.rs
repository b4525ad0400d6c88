//! A crowd of TaskFlow's clients and our conductors on one board.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use jobboard::{
    Conductor, Context, Handler, HandlerError, JobBoard, NewJob, Outcome, Retry,
    store::{Etcd, Key, StoreExt},
    testing::{Auditor, LocalEtcd, Log},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    python::TaskFlow,
    scene::{BOARD, on_each},
};

/// How many jobs there are; each side posts half of them.
const JOBS: usize = 2_000;

/// How many of each side do them.
const CROWD: usize = 4;

/// How long a job takes here: TaskFlow's clients are to get their share.
const WORK: Duration = Duration::from_millis(20);

/// One of so many jobs is given back here when it is tried first.
const ABANDONED: u64 = 10;

/// Tells TaskFlow's clients that there is nothing more to do.
const OVER: &str = "/crowd/over";

/// What a client of TaskFlow's did.
#[derive(Deserialize)]
struct Did {
    ran: Vec<Uuid>,
    abandoned: usize,
}

#[tokio::test]
async fn each_job_of_a_mixed_crowd_is_run_once_and_none_is_lost() {
    on_each(async |scene| {
        let auditor = Auditor::start(&scene.store, "/taskflow", BOARD).await;
        let auditor = auditor.unwrap().beside_taskflow();
        let works = Arc::new(Works {
            log: auditor.log(),
            ran: Mutex::default(),
        });
        let ours = join_all((0..CROWD).map(|_| Ours::start(&scene.etcd, &works))).await;
        let workers = (0..CROWD).map(|place| theirs_work(&scene.etcd, format!("python-{place}")));
        let half = json!({"prefix": "python", "count": JOBS / 2});
        let posting = async {
            let (ours, theirs): (_, Vec<Uuid>) = tokio::join!(
                post(&scene.board, &works.log),
                scene.theirs.ask("post_many", half),
            );
            until_empty(&scene.board).await;
            let over = Key::new(OVER).unwrap();
            scene.store.put(over, "yes".into()).await.unwrap();
            [ours, theirs].concat()
        };
        let (theirs, mut posted) = tokio::join!(join_all(workers), posting);
        for conductor in ours {
            conductor.stop().await;
        }

        let here = works.ran.lock().unwrap().clone();
        let there: Vec<_> = theirs.iter().flat_map(|did| did.ran.clone()).collect();
        let given_back: usize = theirs.iter().map(|did| did.abandoned).sum();
        let (ran_here, ran_there) = (here.len(), there.len());
        println!("{ran_here} run here, {ran_there} there; {given_back} given back there");
        let mut ran = [here, there].concat();
        ran.sort();
        posted.sort();
        assert_eq!(posted.len(), JOBS);
        assert_eq!(ran, posted, "each job is run once");
        assert!(ran_here > 0 && ran_there > 0 && given_back > 0);

        scene.board.fresh_jobs().await.unwrap();
        assert_eq!(scene.board.unreadable(), []);
        assert!(auditor.caught_up(scene.board.revision()).await);
        auditor.audit().unwrap_or_else(|broken| panic!("{broken}"));
        assert!(auditor.on_board().is_empty());
        assert!(posted.iter().all(|job| auditor.has_ended(*job)));
    })
    .await;
}

/// Posts our half.
async fn post(board: &JobBoard, log: &Log) -> Vec<Uuid> {
    let mut posted = Vec::new();
    for number in 0..JOBS / 2 {
        let name = format!("rust-{number}");
        let posting = log.posting("poster", &name);
        let job = board.post(NewJob::new(name)).await;
        posting.posted(&job);
        posted.push(job.unwrap().uuid());
    }
    posted
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

/// A client of TaskFlow's does jobs until that is over.
async fn theirs_work(etcd: &LocalEtcd, who: String) -> Did {
    let mut client = TaskFlow::start(etcd, BOARD).await;
    client.ask("work", json!({"who": who, "until": OVER})).await
}

/// A conductor of ours, on a connection of its own.
struct Ours {
    board: JobBoard,
    conductor: Conductor,
    running: tokio::task::JoinHandle<jobboard::Result<()>>,
}

impl Ours {
    async fn start(etcd: &LocalEtcd, works: &Arc<Works>) -> Self {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let board = JobBoard::builder(BOARD).store(store);
        let board = board.connect().await.unwrap();
        let conductor = Conductor::builder(&board, "rust").handler(Arc::clone(works));
        let conductor = conductor.unwrap();
        let run = conductor.clone();
        let running = tokio::spawn(async move { run.run().await });
        Self {
            board,
            conductor,
            running,
        }
    }

    async fn stop(self) {
        self.conductor.stop();
        self.running.await.unwrap().unwrap();
        self.board.close().await;
    }
}

/// Does jobs, and notes which.
struct Works {
    log: Log,
    ran: Mutex<Vec<Uuid>>,
}

impl Handler for Works {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        self.log.believe(&context);
        sleep(WORK).await;
        let job = context.job();
        // How it is answered is not told here; that it was asked for is what counts.
        if context.attempt() == 1 && job.id().get() % ABANDONED == 1 {
            drop(self.log.abandoning("conductor", &context));
            return Ok(Outcome::Abandon(Retry::at_once()));
        }
        self.ran.lock().unwrap().push(job.uuid());
        drop(self.log.consuming("conductor", &context));
        Ok(Outcome::Consume)
    }
}
