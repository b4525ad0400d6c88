//! `jobboard demo`: the board at work on real files, and what happens when a conductor dies.

mod check;
mod conductor;
mod crowd;
mod files;
mod progress;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};

pub(super) use self::conductor::DemoConductor;
use self::{
    check::{Death, Evidence, Pace},
    crowd::{Crowd, Member},
    files::Files,
    progress::Progress,
};
use super::{Failure, connect::Place, interrupt::unless_interrupted, output::line};
use crate::{Job, JobBoard, JobId, JobState, NewJob, local_etcd::LocalEtcd};

/// How many jobs a conductor has at a time.
const AT_A_TIME: usize = 16;

/// How long what a dead conductor held stays its own.
const TTL: Duration = Duration::from_secs(3);

/// The conductors.
const CONDUCTORS: [&str; 3] = ["conductor-1", "conductor-2", "conductor-3"];

/// The one that is killed.
const VICTIM: &str = "conductor-2";

/// How many claims it holds then, at least.
const HELD: usize = 8;

/// How many posts are on their way at a time.
const POSTS: usize = 64;

/// Fewer files, and the others could be done before the victim holds enough.
const FEWEST: usize = 100;

/// If nothing happens on the board for so long, nothing will any more.
const STUCK: Duration = Duration::from_mins(1);

/// The board of the demo.
const BOARD: &str = "demo";

/// Shows the board at work on an etcd of its own.
///
/// Posts a job for each of some thousands of real files, has three conductor processes hash the
/// files, kills one of them half-way while it holds jobs, and checks that each job was done exactly
/// once and each digest is that of sha256sum. Exits with 0 only if all of that holds. Whatever it
/// starts it stops, and what it writes is in a temporary folder that it removes.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Demo {
    /// The folder whose files are hashed. Defaults to the Rust toolchain's, or the sources of crates.
    #[arg(long)]
    dir: Option<PathBuf>,

    /// The etcd to start. Defaults to the one that ETCD names, or the one on the PATH.
    #[arg(long, value_name = "PATH")]
    etcd: Option<PathBuf>,

    /// How many files are hashed at most.
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(FEWEST as i64..=100_000))]
    files: u32,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        unless_interrupted("run the demo", Box::pin(self.play())).await
    }

    async fn play(self) -> Result<(), Failure> {
        let limit = usize::try_from(self.files).unwrap_or(usize::MAX);
        let files = Files::find(self.dir, limit)?;
        if files.paths.len() < FEWEST {
            let (folder, found) = (files.folder.display(), files.paths.len());
            let why = format!("{folder} has {found} files that can be read");
            return Err(Failure::new(format!("{why}, the demo needs {FEWEST}")));
        }
        let records = tempfile::Builder::new().prefix("jobboard-demo-").tempdir();
        let records = records.map_err(Failure::system("make a temporary folder"))?;
        let mut etcd = LocalEtcd::builder();
        if let Some(binary) = self.etcd {
            etcd = etcd.binary(binary);
        }
        let etcd = etcd.start().await?;
        let version = etcd.version().await?;
        line(format_args!(
            "{} files below {}, etcd {version}",
            files.paths.len(),
            files.folder.display()
        ))?;

        let place = Place::of(etcd.endpoint(), BOARD)?;
        let board = place.connect().await?;
        let begun = Instant::now();
        let posted = post(&board, &files.paths).await?;
        let posting = begun.elapsed();

        let begun = Instant::now();
        let mut stage = Stage {
            crowd: Crowd::start(&CONDUCTORS, &etcd.endpoint(), BOARD, records.path())?,
            progress: Progress::new("consumed", posted.len()),
            posted: posted.len(),
            board,
        };
        let death = stage.act().await?;
        let pace = Pace {
            posting,
            working: begun.elapsed(),
        };
        let Stage { crowd, board, .. } = stage;
        crowd.finish().await?;
        board.close().await;

        let evidence = Evidence::read(&CONDUCTORS, records.path(), posted)?;
        evidence.judge(VICTIM, &death).await?.tell(&pace, &death)
    }
}

/// Posts a job for each file.
async fn post(board: &JobBoard, paths: &[String]) -> Result<BTreeMap<JobId, String>, Failure> {
    let mut progress = Progress::new("posted", paths.len());
    let posts = paths.iter().map(|path| async move {
        let new = NewJob::new("sha256").details(json!({ "path": path }));
        let job = board.post(new).await?;
        Ok::<_, Failure>((job.id(), path.clone()))
    });
    let mut posts = stream::iter(posts).buffer_unordered(POSTS);
    let mut posted = BTreeMap::new();
    while let Some((job, path)) = posts.try_next().await? {
        posted.insert(job, path);
        progress.set(posted.len());
    }
    Ok(posted)
}

/// The conductors at work, seen from the board.
struct Stage {
    crowd: Crowd,
    progress: Progress,
    posted: usize,
    board: JobBoard,
}

impl Stage {
    /// Waits until all jobs are consumed; kills a conductor half-way.
    async fn act(&mut self) -> Result<Death, Failure> {
        let (before, half) = (self.posted * 2 / 5, self.posted / 2);
        self.until(|_, consumed| Ok(consumed >= before)).await?;
        let victim = self.crowd.take(VICTIM);
        let mut victim: Member =
            victim.ok_or_else(|| Failure::new(format!("{VICTIM} does not run")))?;
        victim.keep().await?;
        // What it consumed before that is no longer shown as held from here on.
        self.board.fresh_jobs().await?;
        self.until(|board, consumed| {
            let held = held(board).len();
            if held < HELD && held == board.job_count() {
                let why = format!("{VICTIM} holds {held} jobs and no other is left");
                return Err(Failure::new(why));
            }
            Ok(consumed >= half && held >= HELD)
        })
        .await?;

        let held = held(&self.board);
        let killed_at = Instant::now();
        victim.kill().await?;
        let (number, consumed) = (held.len(), self.consumed());
        self.progress.say(&format!(
            "killed {VICTIM} with SIGKILL: {consumed} jobs consumed, {number} held by it"
        ));
        let mut again: Vec<Option<Duration>> = vec![None; held.len()];
        self.until(|board, _| {
            for (job, again) in held.iter().zip(&mut again) {
                if again.is_none() && is_taken_again(board, job) {
                    *again = Some(killed_at.elapsed());
                }
            }
            Ok(board.job_count() == 0)
        })
        .await?;
        let held = held.iter().map(Job::id);
        Ok(Death {
            held: held.zip(again).collect(),
        })
    }

    /// Waits until the view of the board, and the number of jobs consumed, are as asked.
    async fn until(
        &mut self,
        mut met: impl FnMut(&JobBoard, usize) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        loop {
            let seen = self.board.revision();
            let consumed = self.consumed();
            self.progress.set(consumed);
            if met(&self.board, consumed)? {
                return Ok(());
            }
            tokio::select! {
                biased;
                ended = self.crowd.ended() => return Err(ended),
                changed = self.board.changed(seen) => { changed?; }
                () = sleep(STUCK) => {
                    let left = self.board.job_count();
                    let why = format!("nothing happened for {STUCK:?}, {left} jobs are left");
                    return Err(Failure::new(why));
                }
            }
        }
    }

    fn consumed(&self) -> usize {
        self.posted.saturating_sub(self.board.job_count())
    }
}

/// What the victim holds, as the board is seen now.
fn held(board: &JobBoard) -> Vec<Job> {
    let jobs = board.jobs();
    jobs.filter(|job| board.find_owner(job).is_some_and(|owner| is_victim(&owner)))
        .collect()
}

/// Whether another than the victim has, or had, the job.
fn is_taken_again(board: &JobBoard, job: &Job) -> bool {
    match board.find_owner(job) {
        Some(owner) => !is_victim(&owner),
        None => job.state() == JobState::Complete,
    }
}

/// Whether an owner, `{name}@{host}:{pid}`, is the victim.
fn is_victim(owner: &str) -> bool {
    owner.split('@').next() == Some(VICTIM)
}
