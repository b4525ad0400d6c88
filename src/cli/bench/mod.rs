//! `jobboard bench`: a board beside the raw etcd client doing the same work.
//!
//! Each figure stands beside one of the raw client, or of another way, taken in the same run, on
//! servers of the same version that were started for it, in turn. What counts is the ratio: machines
//! are shared and noisy.

mod idle;
mod keepalive;
mod load;
mod many;
mod opening;
mod push;
mod raw;
mod report;
mod users;

use std::path::PathBuf;

use serde_json::{Value, json};

pub(super) use self::report::{Row, Target};
use super::{
    Failure,
    interrupt::unless_interrupted,
    output::{self, Format},
};
use crate::{
    Claim, Job, JobBoard, JobBoardBuilder, NewJob,
    local_etcd::LocalEtcd,
    store::{Etcd, Store},
};

/// The board that is measured.
const BOARD: &str = "bench";

/// How much less is done where it is to be quick.
const QUICK: usize = 20;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// One verb at a time.
    Idle,
    /// Many callers at once.
    Load,
    /// The calls for many jobs.
    Many,
    /// From a post until others know.
    Push,
    /// Opening a board, and going through it.
    Opening,
    /// What keeps claims alive.
    KeepAlive,
    /// Claims where etcd has users.
    Users,
}

const ALL: [Measure; 7] = [
    Measure::Idle,
    Measure::Push,
    Measure::KeepAlive,
    Measure::Users,
    Measure::Opening,
    Measure::Many,
    Measure::Load,
];

/// Measures a board beside the raw etcd client, on etcds of its own.
///
/// Prints a table of what was measured, and of what it is to be: ratios to raw transactions that do the
/// same work in the same run. Nothing else should run on the machine meanwhile. Takes some ten minutes;
/// --quick takes one, and its figures are not to be relied on.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Bench {
    /// The etcd to start. Defaults to the one that ETCD names, or the one on the PATH.
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,

    /// How often each figure is taken: medians are shown.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,

    /// Does little of everything, once.
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,

    /// Measures these alone, separated by commas.
    #[arg(long, value_name = "MEASURES", value_delimiter = ',')]
    only: Vec<Measure>,
}

/// How it is measured.
struct Plan {
    etcd: Option<PathBuf>,
    rounds: u32,
    quick: bool,
    /// Whether this etcd stays slow after bursts of writes.
    slow_after_bursts: bool,
}

impl Plan {
    /// A fresh etcd.
    async fn start(&self) -> Result<LocalEtcd, Failure> {
        let mut etcd = LocalEtcd::builder();
        if let Some(binary) = &self.etcd {
            etcd = etcd.binary(binary);
        }
        Ok(etcd.start().await?)
    }

    /// So many, or few where it is to be quick.
    const fn few(&self, many: usize) -> usize {
        if self.quick { many / QUICK } else { many }
    }
}

impl Bench {
    pub(super) async fn run(self, format: Format) -> Result<(), Failure> {
        // In a task, as services do their work: waking the thread that blocks on it costs both sides
        // the same, and hides the difference.
        let measure = Box::pin(self.measure(format));
        tokio::spawn(unless_interrupted("run the benchmark", measure)).await?
    }

    async fn measure(self, format: Format) -> Result<(), Failure> {
        let mut plan = Plan {
            etcd: self.etcd,
            rounds: if self.quick { 1 } else { self.rounds },
            quick: self.quick,
            slow_after_bursts: false,
        };
        let etcd = plan.start().await?;
        let store = Etcd::connect([etcd.endpoint()]).await?;
        plan.slow_after_bursts = store.limits().slow_after_bursts;
        let version = store.version();
        drop(etcd);
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        output::bench_begins(
            format,
            format_args!("etcd {version}, {cores} cores, medians of {}", plan.rounds),
        )?;
        for measure in ALL {
            if !self.only.is_empty() && !self.only.contains(&measure) {
                continue;
            }
            let rows = match measure {
                Measure::Idle => idle::measure(&plan).await?,
                Measure::Load => load::measure_all(&plan).await?,
                Measure::Many => many::measure(&plan).await?,
                Measure::Push => push::measure(&plan).await?,
                Measure::Opening => opening::measure(&plan).await?,
                Measure::KeepAlive => keepalive::measure(&plan).await?,
                Measure::Users => users::measure(&plan).await?,
            };
            output::bench(format, version, &rows)?;
        }
        Ok(())
    }
}

fn details() -> Value {
    json!({"file": "a/picture/of/some/length.png", "size": 128})
}

fn new_job() -> NewJob {
    NewJob::new("thumbnail").details(details())
}

/// Sets up the board that is measured, on a connection of its own.
async fn builder(endpoint: &str) -> Result<JobBoardBuilder, Failure> {
    let store = Etcd::connect([endpoint]).await?;
    Ok(JobBoard::builder(BOARD).store(store))
}

async fn board(endpoint: &str) -> Result<JobBoard, Failure> {
    Ok(builder(endpoint).await?.connect().await?)
}

async fn post_many(board: &JobBoard, jobs: u32) -> Result<Vec<Job>, Failure> {
    let posted = board.post_many((0..jobs).map(|_| new_job())).await;
    Ok(posted.into_iter().collect::<Result<_, _>>()?)
}

async fn claim_many(board: &JobBoard, jobs: Vec<Job>) -> Result<Vec<Claim>, Failure> {
    let claimed = board.claim_many(jobs, "bench").await;
    Ok(claimed.into_iter().collect::<Result<_, _>>()?)
}
