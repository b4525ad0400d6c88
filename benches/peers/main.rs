//! How does a board do beside TaskFlow's own boards, on etcd, ZooKeeper and Redis?
//!
//! The same jobs, with the same details, through each: posted one after another, then claimed and
//! consumed by four processes that know nothing of one another but what the board tells them, then
//! posted one by one while one process waits. All claims end when their owner dies. TaskFlow's jobs are
//! done in the loop of its conductor, without its engine; ours by a conductor, and in that same loop. The
//! servers are as they come: etcd and ZooKeeper write to disk before they answer, Redis does not. Each
//! round of each board has a fresh server; the boards take turns.
//!
//! `make bench` runs it on both versions of etcd, and installs what it needs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a benchmark"
)]

#[path = "../support/mod.rs"]
mod support;

mod server;
mod worker;

use std::{
    env,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use futures::future::join_all;
use jobboard::testing::LocalEtcd;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use self::{
    server::{Board, Peers, Server},
    support::{
        process::Process,
        row::{Row, Target},
    },
};

const ROUNDS: usize = 5;

/// How many jobs are posted and done in each round.
const JOBS: usize = 1_000;

/// How many are posted one by one, while one process waits.
const SINGLES: usize = 20;

/// How many processes do the jobs.
const WORKERS: usize = 4;

/// Longer than a worker takes from its answer to waiting again.
const PAUSE: Duration = Duration::from_millis(50);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(endpoint) = env::var(worker::ENDPOINT) {
        return runtime.block_on(async { tokio::spawn(worker::work(endpoint)).await.unwrap() });
    }
    let peers = Peers::from_env();
    for binary in LocalEtcd::binaries().unwrap() {
        runtime.block_on(measure(&peers, binary));
    }
}

/// What one board did in one round.
#[derive(Default)]
struct Figures {
    /// Jobs a second.
    posts: f64,
    /// Jobs a second.
    done: f64,
    /// For each job that was done.
    wasted: f64,
    /// In microseconds.
    until_claimed: f64,
}

/// A name, a unit, whether it is of doing the jobs, and where the figure is.
type Measure = (&'static str, &'static str, bool, fn(&Figures) -> f64);

async fn measure(peers: &Peers, etcd: PathBuf) {
    let version = {
        let started = LocalEtcd::builder().binary(&etcd).start().await.unwrap();
        started.version().await.unwrap()
    };
    let mut figures: Vec<Vec<Figures>> = Board::ALL.iter().map(|_| Vec::new()).collect();
    for round in 1..=ROUNDS {
        for (board, figures) in Board::ALL.into_iter().zip(&mut figures) {
            eprintln!("etcd {version}, round {round}: {}", board.name());
            let server = peers.start(board, &etcd).await;
            figures.push(run(&server).await);
        }
    }
    let measures: [Measure; 4] = [
        ("post, one after another", "1/s", false, |round| round.posts),
        ("jobs done by 4 processes", "1/s", true, |round| round.done),
        ("claims wasted for each of them", "", true, |round| {
            round.wasted
        }),
        ("post to claim, idle", "us", false, |round| {
            round.until_claimed
        }),
    ];
    for (measure, unit, of_doing, of) in measures {
        let taken = |rounds: &Vec<Figures>| median(rounds.iter().map(of).collect());
        for (board, theirs) in Board::ALL.iter().zip(&figures).skip(1) {
            if *board == Board::OursInALoop && !of_doing {
                continue;
            }
            let row = Row {
                etcd: &version,
                measure,
                unit,
                board: taken(&figures[0]),
                beside: Some((board.name(), taken(theirs))),
                target: Target::None,
            };
            row.print();
        }
    }
}

#[derive(Deserialize, Serialize)]
struct Ready {
    ready: bool,
}

#[derive(Deserialize, Serialize)]
struct Posted {
    seconds: f64,
}

#[derive(Default, Deserialize, Serialize)]
struct Drained {
    done: usize,
    wasted: usize,
}

#[derive(Deserialize, Serialize)]
struct Claimed {
    /// When, as Unix time in seconds.
    claimed: f64,
}

async fn run(server: &Server) -> Figures {
    let mut workers: Vec<_> = (0..=WORKERS).map(|_| server.worker()).collect();
    for worker in &mut workers {
        assert!(worker.says::<Ready>().await.ready);
    }
    let mut poster = workers.pop().unwrap();
    // Connections and sessions are not what is measured.
    once(&mut poster, &mut workers[0]).await;
    let posted: Posted = poster.ask(&format!("post {JOBS}")).await;
    let begun = Instant::now();
    let drained = workers.iter_mut().map(|worker| worker.ask(server.drain()));
    let drained: Vec<Drained> = join_all(drained).await;
    let took = begun.elapsed();
    let done: usize = drained.iter().map(|one| one.done).sum();
    assert_eq!(done, JOBS, "each job is done once");
    let wasted: usize = drained.iter().map(|one| one.wasted).sum();
    let mut times = Vec::new();
    for _ in 0..SINGLES {
        times.push(once(&mut poster, &mut workers[0]).await);
    }
    join_all(workers.into_iter().chain([poster]).map(Process::end)).await;
    Figures {
        posts: JOBS as f64 / posted.seconds,
        done: JOBS as f64 / took.as_secs_f64(),
        wasted: wasted as f64 / JOBS as f64,
        until_claimed: median(times),
    }
}

/// Posts one job for one who waits; gives how long it took until the claim, in microseconds.
async fn once(poster: &mut Process, waiter: &mut Process) -> f64 {
    let waiting = waiter.ask("await");
    let posting = async {
        sleep(PAUSE).await;
        let begun = unix_time();
        let _: Posted = poster.ask("post 1").await;
        begun
    };
    let (claimed, begun): (Claimed, f64) = tokio::join!(waiting, posting);
    (claimed.claimed - begun) * 1e6
}

/// The middle one of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn unix_time() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs_f64()
}
