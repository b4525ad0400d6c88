//! What does a crowd of conductors waste, and is the work shared out fairly?
//!
//! 32 conductors in four processes, on one board: first with a backlog of 10,000 jobs that take no
//! time, then idle, with 500 jobs posted one by one. A claim is wasted if somebody else came first.
//! How long a job waits for a conductor that is idle is told by `jobboard bench`.
//!
//! `make bench` runs it on both versions of etcd.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

mod support;

use std::{
    collections::BTreeSet,
    env,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{StreamExt, future::join_all};
use jobboard::{
    Conductor, Context, Ended, Handler, HandlerError, JobBoard, NewJob, Outcome, Step,
    store::etcd::Etcd, testing::LocalEtcd,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    process::Command,
    time::{Instant, sleep},
};

use self::support::{
    process::Process,
    row::{Row, Target},
};

const PROCESSES: usize = 4;

/// In each process.
const CONDUCTORS: usize = 8;

const CROWD: usize = PROCESSES * CONDUCTORS;

/// How many jobs wait for the crowd.
const BACKLOG: usize = 10_000;

/// How many are posted one by one.
const SINGLES: usize = 500;

/// Tells a process of the crowd where etcd is.
const ENDPOINT: &str = "JOBBOARD_CROWD_ENDPOINT";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(endpoint) = env::var(ENDPOINT) {
        return runtime.block_on(async { tokio::spawn(crew(endpoint)).await.unwrap() });
    }
    for binary in LocalEtcd::binaries().unwrap() {
        // In a task, as services do their work.
        runtime.block_on(async { tokio::spawn(measure(binary)).await.unwrap() });
    }
}

async fn measure(binary: PathBuf) {
    let etcd = || async { LocalEtcd::builder().binary(&binary).start().await.unwrap() };
    let backlogged = etcd().await;
    let version = backlogged.version().await.unwrap();
    eprintln!("etcd {version}, {CROWD} conductors in {PROCESSES} processes");
    backlog(&backlogged, &version).await;
    drop(backlogged);
    // Etcd before 3.4.24 stays slow after a burst of writes: another server.
    let idle = etcd().await;
    singles(&idle, &version).await;
}

fn print(etcd: &str, measure: &str, unit: &str, board: f64, target: Target) {
    let row = Row {
        etcd,
        measure,
        unit,
        board,
        beside: None,
        target,
    };
    row.print();
}

async fn board(endpoint: String) -> JobBoard {
    let store = Etcd::connect([endpoint]).await.unwrap();
    let board = JobBoard::builder("bench").store(store);
    board.connect().await.unwrap()
}

fn new_job() -> NewJob {
    NewJob::new("thumbnail").details(json!({"file": "a/picture/of/some/length.png", "size": 128}))
}

async fn backlog(etcd: &LocalEtcd, version: &str) {
    let board = board(etcd.endpoint()).await;
    board.pause("bench", None).await.unwrap();
    let posted = board.post_many((0..BACKLOG).map(|_| new_job())).await;
    assert!(posted.iter().all(Result::is_ok));
    let mut crowd = Crowd::start(etcd).await;
    let begun = Instant::now();
    board.resume().await.unwrap();
    let mut seen = board.revision();
    while board.job_count() > 0 {
        seen = board.changed(seen).await.unwrap();
    }
    let took = begun.elapsed();
    let report = crowd.report().await;
    assert_eq!(report.jobs.len(), BACKLOG, "each job is done once");
    let done: BTreeSet<_> = report.jobs.iter().collect();
    assert_eq!(done.len(), BACKLOG, "each job is done once");
    crowd.end().await;
    board.close().await;

    let print = |measure, unit, figure, target| {
        let measure = format!("{CROWD} conductors, backlog: {measure}");
        print(version, &measure, unit, figure, target);
    };
    let share = |done: Option<&usize>| percent(*done.unwrap() * CROWD, BACKLOG);
    let rate = BACKLOG as f64 / took.as_secs_f64();
    print("jobs done", "1/s", rate, Target::None);
    let wasted = percent(report.missed(), BACKLOG + report.missed());
    print("wasted claims", "%", wasted, Target::AtMost(5.0));
    let least = share(report.started.iter().min());
    print("smallest fair share", "%", least, Target::AtLeast(80.0));
    let most = share(report.started.iter().max());
    print("largest fair share", "%", most, Target::AtMost(120.0));
}

async fn singles(etcd: &LocalEtcd, version: &str) {
    let board = board(etcd.endpoint()).await;
    let mut crowd = Crowd::start(etcd).await;
    for _ in 0..SINGLES {
        let job = board.post(new_job()).await.unwrap();
        assert_eq!(job.wait(None).await.unwrap(), Ended::Consumed(None));
    }
    let report = crowd.report().await;
    assert_eq!(report.jobs.len(), SINGLES, "each job is done once");
    crowd.end().await;
    board.close().await;
    let wasted = report.missed() as f64 / SINGLES as f64;
    let measure = format!("{CROWD} conductors, idle: wasted claims a job");
    print(version, &measure, "", wasted, Target::AtMost(1.0));
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

/// What conductors did since the last report, of one process or of all.
#[derive(Default, Serialize, Deserialize)]
struct Report {
    /// How many jobs each conductor began.
    started: Vec<usize>,
    /// How often somebody else came first, for each conductor.
    missed: Vec<usize>,
    /// The numbers of the jobs that were begun.
    jobs: Vec<u64>,
}

impl Report {
    fn missed(&self) -> usize {
        self.missed.iter().sum()
    }
}

/// All processes.
struct Crowd(Vec<Process>);

impl Crowd {
    /// Starts them, and waits until all conductors know one another.
    async fn start(etcd: &LocalEtcd) -> Self {
        let process = |_| {
            let mut command = Command::new(env::current_exe().unwrap());
            Process::start(command.env(ENDPOINT, etcd.endpoint()))
        };
        let mut crowd = Self((0..PROCESSES).map(process).collect());
        for process in &mut crowd.0 {
            assert_eq!(process.says::<String>().await, "ready");
        }
        crowd
    }

    async fn report(&mut self) -> Report {
        let mut all = Report::default();
        for process in &mut self.0 {
            let one: Report = process.ask("report").await;
            all.started.extend(one.started);
            all.missed.extend(one.missed);
            all.jobs.extend(one.jobs);
        }
        all
    }

    /// Lets them end, and waits until they have.
    async fn end(self) {
        join_all(self.0.into_iter().map(Process::end)).await;
    }
}

/// One process of the crowd: runs conductors on one board until nobody gives orders any more.
async fn crew(endpoint: String) {
    let board = board(endpoint).await;
    let mut conductors = Vec::new();
    let mut running = Vec::new();
    for number in 0..CONDUCTORS {
        let counting = Arc::new(Counting::default());
        let builder = Conductor::builder(&board, &format!("crowd-{number}"));
        let conductor = builder.handler(Arc::clone(&counting)).unwrap();
        let (run, watched) = (conductor.clone(), Arc::clone(&counting));
        let mut events = conductor.events();
        running.push(tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event.step {
                    Step::Missed => _ = watched.missed.fetch_add(1, Relaxed),
                    Step::Stopped => return,
                    step => assert!(!matches!(step, Step::Lagged(_)), "missed events"),
                }
            }
        }));
        running.push(tokio::spawn(async move { run.run().await.unwrap() }));
        conductors.push((conductor, counting));
    }
    let known = board.entities().await.unwrap();
    while known.of_kind("conductor").len() < CROWD {
        sleep(Duration::from_millis(5)).await;
    }
    println!("{}", json!("ready"));
    let mut orders = BufReader::new(stdin()).lines();
    while orders.next_line().await.unwrap().is_some() {
        let mut report = Report::default();
        for (_, counting) in &conductors {
            let mut jobs = std::mem::take(&mut *counting.jobs.lock().unwrap());
            report.started.push(jobs.len());
            report.missed.push(counting.missed.swap(0, Relaxed));
            report.jobs.append(&mut jobs);
        }
        println!("{}", serde_json::to_string(&report).unwrap());
    }
    for (conductor, _) in &conductors {
        conductor.stop();
    }
    for running in join_all(running).await {
        running.unwrap();
    }
    board.close().await;
}

/// A handler that has nothing to do, and keeps count.
#[derive(Default)]
struct Counting {
    jobs: Mutex<Vec<u64>>,
    missed: AtomicUsize,
}

impl Handler for Counting {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        let number = context.job().id().to_string().parse()?;
        self.jobs.lock().unwrap().push(number);
        Ok(Outcome::Consume)
    }
}
