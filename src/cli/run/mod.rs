//! `jobboard run`: a command for each job.
#![expect(
    clippy::doc_markdown,
    reason = "help on a terminal, where backticks are noise"
)]

mod command;

use std::{ffi::OsString, fs, pin::pin, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::command::{End, Template};
use super::{
    Failure,
    connect::Place,
    crew::{Limits, Verdict, work},
    output::{self, Format, plain},
    signals::Signals,
};
use crate::{Claim, Error, ErrorKind, Job, JobBoard, Retry};

/// How long is waited before a verb is tried again that etcd could not serve.
const RETRY: Duration = Duration::from_secs(1);

/// Claims jobs as they come, and runs a command for each.
///
/// The command finds the details of the job, a JSON object, on its standard input, and in its
/// environment JOBBOARD_JOB (the number), JOBBOARD_JOB_UUID, JOBBOARD_JOB_NAME and JOBBOARD_TOKEN,
/// the fencing token: greater for each later claim of the job, so that what the command writes to
/// can refuse a stale one.
///
/// If the command exits with 0, the job is consumed. Otherwise the job is given back, and is tried
/// again by anybody after a time drawn at random: up to a second, up to twice that after the next
/// failure, and so on up to five minutes, or as its poster said. A job that was tried 20 times, or as
/// often as its poster said, goes into the trash. If the claim is lost (etcd can not be reached for too long), the command is killed,
/// with all of its process group.
///
/// SIGINT or SIGTERM: no further job is claimed, and what runs is waited for. Again: what runs is
/// killed, and its jobs are given back. What becomes of each job is told on standard error, in one
/// line each; standard output is the commands'.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Run {
    /// How many commands run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Ends after this many commands. Without it, only a signal ends this.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,

    /// The name under which jobs are claimed. Defaults to `jobboard@HOST:PID`.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,

    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let board = place.connect().await?;
        let kill = CancellationToken::new();
        let limits = Limits {
            concurrency: self.concurrency.into(),
            max: self.max,
            stop: CancellationToken::new(),
        };
        let worker = Arc::new(Worker {
            board: board.clone(),
            who: self.who.unwrap_or_else(this_process),
            template: Template::new(self.command)?,
            kill: kill.clone(),
            format,
        });
        let stop = limits.stop.clone();
        let mut jobs = pin!(work(&board, limits, |job| {
            let worker = Arc::clone(&worker);
            async move { worker.attempt(job).await }
        }));
        let done = loop {
            tokio::select! {
                biased;
                done = &mut jobs => break done,
                () = signals.next() => {
                    if stop.is_cancelled() {
                        kill.cancel();
                    } else {
                        stop.cancel();
                        note_stopping(format);
                    }
                }
            }
        };
        board.close().await;
        done
    }
}

/// Tells that the first signal came.
fn note_stopping(format: Format) {
    match format {
        Format::Table => {
            output::note("stopping: what runs is waited for; another signal kills it");
        }
        Format::Json => output::note(serde_json::json!({ "outcome": "stopping" })),
    }
}

/// A name that tells where to look for the process.
fn this_process() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.as_deref().map_or("localhost", str::trim);
    format!("jobboard@{host}:{}", std::process::id())
}

/// What does the jobs.
struct Worker {
    board: JobBoard,
    who: String,
    template: Template,
    kill: CancellationToken,
    format: Format,
}

impl Worker {
    /// Claims the job, runs the command for it, and settles it.
    async fn attempt(&self, job: Job) -> Verdict {
        let claim = match self.board.claim(&job, &self.who).await {
            Ok(claim) => claim,
            Err(error) => {
                let verdict = Verdict::of_claim(&error);
                if matches!(verdict, Verdict::Refused) {
                    self.report(&job, "refused", Some(error.to_string()));
                }
                return verdict;
            }
        };
        match self.template.run(&claim, &self.kill).await {
            Ok(End::Exited(status)) if status.success() => match self.consume(&claim).await {
                Ok(()) => {
                    self.report(&job, "consumed", None);
                    Verdict::Tried
                }
                Err(error) => self.unsettled(&job, &error),
            },
            Ok(End::Exited(status)) => {
                let why = status.to_string();
                let retry = Retry::backoff().reason(why.as_str());
                match claim.abandon_with(retry).await {
                    Ok(_) => {
                        self.report(&job, "abandoned", Some(why));
                        Verdict::Tried
                    }
                    Err(error) => self.unsettled(&job, &error),
                }
            }
            Ok(End::Killed) => {
                self.report(&job, "killed", Some("this process was told to".to_owned()));
                Verdict::Tried
            }
            Ok(End::Lost) => {
                let why = "the claim is over; the command was killed";
                self.report(&job, "lost", Some(why.to_owned()));
                Verdict::Tried
            }
            Err(failure) => Verdict::Failed(failure),
        }
    }

    /// Consumes the job, however long etcd takes while the claim is held.
    async fn consume(&self, claim: &Claim) -> Result<(), Error> {
        loop {
            match claim.consume().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => tokio::select! {
                    biased;
                    () = claim.lost() => return Err(error),
                    () = self.kill.cancelled() => return Err(error),
                    () = sleep(RETRY) => {}
                },
                settled => return settled.map(|_| ()),
            }
        }
    }

    fn unsettled(&self, job: &Job, error: &Error) -> Verdict {
        let outcome = match error.kind() {
            ErrorKind::Lost => "lost",
            ErrorKind::Unknown => "unknown",
            _ => "abandoned",
        };
        self.report(job, outcome, Some(error.to_string()));
        Verdict::Tried
    }

    fn report(&self, job: &Job, outcome: &'static str, why: Option<String>) {
        let report = Report {
            number: job.id().get(),
            uuid: job.uuid(),
            name: job.name(),
            outcome,
            why,
        };
        match (self.format, serde_json::to_string(&report)) {
            (Format::Json, Ok(line)) => output::note(line),
            _ => output::note(report),
        }
    }
}

/// What became of a job.
#[derive(Debug, Serialize)]
struct Report<'a> {
    number: u64,
    uuid: uuid::Uuid,
    name: &'a str,
    outcome: &'static str,
    why: Option<String>,
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, name) = (self.number, plain(self.name));
        write!(f, "job {number} ({name}): {}", self.outcome)?;
        match &self.why {
            Some(why) => write!(f, ": {}", plain(why)),
            None => Ok(()),
        }
    }
}
