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
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use std::{
    collections::BTreeSet,
    env,
    path::PathBuf,
    process::Stdio,
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
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, sleep},
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
    let cores = std::thread::available_parallelism().unwrap();
    let etcd = || async { LocalEtcd::builder().binary(&binary).start().await.unwrap() };
    let backlogged = etcd().await;
    let version = backlogged.version().await.unwrap();
    println!("\netcd {version}, {cores} cores, {CROWD} conductors in {PROCESSES} processes");
    println!("{:44} {:>12} {:>12}", "", "measured", "aim");
    backlog(&backlogged).await;
    drop(backlogged);
    // Etcd before 3.4.24 stays slow after a burst of writes: another server.
    let idle = etcd().await;
    singles(&idle).await;
}

fn print(what: &str, measured: impl std::fmt::Display, aim: &str) {
    println!("{what:44} {measured:>12} {aim:>12}");
}

async fn board(endpoint: String) -> JobBoard {
    let store = Etcd::connect([endpoint]).await.unwrap();
    let board = JobBoard::builder("bench").store(store);
    board.connect().await.unwrap()
}

fn new_job() -> NewJob {
    NewJob::new("thumbnail").details(json!({"file": "a/picture/of/some/length.png", "size": 128}))
}

async fn backlog(etcd: &LocalEtcd) {
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

    let share = |done: Option<&usize>| percent(*done.unwrap() * CROWD, BACKLOG);
    let rate = BACKLOG as f64 / took.as_secs_f64();
    print("backlog: jobs done a second", format!("{rate:.0}"), "");
    let claims = BACKLOG + report.missed();
    let wasted = percent(report.missed(), claims);
    print("backlog: claims that are wasted", wasted, "< 5.0 %");
    let (least, most) = (report.started.iter().min(), report.started.iter().max());
    print(
        "backlog: smallest of the fair share",
        share(least),
        "> 80.0 %",
    );
    print(
        "backlog: largest of the fair share",
        share(most),
        "< 120.0 %",
    );
}

async fn singles(etcd: &LocalEtcd) {
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
    print(
        "idle: wasted claims a job",
        format!("{wasted:.2}"),
        "< 1.00",
    );
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole as f64)
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

struct Process {
    child: Child,
    orders: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// Starts them, and waits until all conductors know one another.
    async fn start(etcd: &LocalEtcd) -> Self {
        let process = |_| {
            let mut child = Command::new(env::current_exe().unwrap())
                .env(ENDPOINT, etcd.endpoint())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let orders = child.stdin.take().unwrap();
            let says = BufReader::new(child.stdout.take().unwrap()).lines();
            Process {
                child,
                orders,
                says,
            }
        };
        let mut crowd = Self((0..PROCESSES).map(process).collect());
        for process in &mut crowd.0 {
            assert_eq!(process.says().await, "ready");
        }
        crowd
    }

    async fn report(&mut self) -> Report {
        let mut all = Report::default();
        for process in &mut self.0 {
            process.orders.write_all(b"report\n").await.unwrap();
            let one: Report = serde_json::from_str(&process.says().await).unwrap();
            all.started.extend(one.started);
            all.missed.extend(one.missed);
            all.jobs.extend(one.jobs);
        }
        all
    }

    /// Lets them end, and waits until they have.
    async fn end(self) {
        let ends = self.0.into_iter().map(|mut process| async move {
            drop(process.orders);
            assert!(process.child.wait().await.unwrap().success());
        });
        join_all(ends).await;
    }
}

impl Process {
    async fn says(&mut self) -> String {
        self.says.next_line().await.unwrap().expect("it still runs")
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
    println!("ready");
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
