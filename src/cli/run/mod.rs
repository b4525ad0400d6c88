//! `jobboard run`: a command for each job.
#![expect(
    clippy::doc_markdown,
    reason = "help on a terminal, where backticks are noise"
)]

mod command;
mod report;

use std::{
    ffi::OsString,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use self::{
    command::{End, Template},
    report::{report, tell_pauses, tell_stopping},
};
use super::{Failure, connect::Place, output::Format};
use crate::{
    Conductor, Context, Handler, HandlerError, Outcome, Retry, StopReason,
    protocol::limits::within_reason, signals::Signals,
};

/// How long what runs is waited for after the first signal: a second one ends it.
const DRAIN: Duration = Duration::from_hours(24);

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
/// often as its poster said, goes into the trash.
///
/// If somebody cancels the job, its command is killed, and the job goes into the trash. If the claim is
/// lost (etcd can not be reached for too long), the command is killed too, and another has the job.
/// What is killed is killed with all of its process group.
///
/// SIGINT or SIGTERM: no further job is claimed, and what runs is waited for. Again: what runs is
/// killed, and its jobs are given back.
///
/// What becomes of each job is told on standard error, in one line each, and so is when the board is
/// paused and resumed; standard output is the commands'. With --output json a line is
///
///   {"number":7,"uuid":"...","name":"thumbnail","outcome":"abandoned","why":"exit status: 1"}
///
/// where the outcome is consumed, abandoned (given back), trashed, refused (not claimed, and tried again
/// later), unknown, lost or killed. What is not of one job is without number, uuid and name: paused,
/// resumed, stopping, and missed if not all could be told.
///
/// Exits with 0 after --max commands or a signal, whatever became of the jobs. Exits with 1 if it can
/// not begin, as etcd is out of reach or refuses the user, and if the command can not be started at all:
/// then the other commands are killed, and all jobs are given back without a try counted.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Run {
    /// How many commands run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,

    /// Ends after this many commands. Without it, only a signal ends this.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,

    /// The name under which jobs are claimed is this, with @HOST:PID after it. Defaults to jobboard.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,

    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Run {
    pub(super) async fn run(self, place: &Place, format: Format) -> Result<(), Failure> {
        let mut signals = Signals::listen().map_err(Failure::system("listen for signals"))?;
        let board = place.connect().await?;
        let worker = Arc::new(Worker {
            template: Template::new(self.command)?,
            failure: Mutex::default(),
            failed: CancellationToken::new(),
        });
        let who = self.who.as_deref().unwrap_or("jobboard");
        let mut conductor = Conductor::builder(&board, who)
            .concurrency(self.concurrency.into())
            .drain(DRAIN);
        if let Some(max) = self.max {
            conductor = conductor.max_dispatches(max);
        }
        let conductor = conductor.handler(Arc::clone(&worker))?;
        let reporting = tokio::spawn(report(conductor.events(), format));
        let mut stopped = false;
        let done = {
            let mut running = pin!(conductor.run());
            let mut pauses = pin!(tell_pauses(&board, format));
            loop {
                tokio::select! {
                    biased;
                    done = &mut running => break done,
                    never = &mut pauses => match never {},
                    () = worker.failed.cancelled(), if !stopped => {
                        stopped = true;
                        conductor.halt();
                    }
                    () = signals.next() => {
                        if stopped {
                            conductor.halt();
                        } else {
                            stopped = true;
                            conductor.stop();
                            tell_stopping(format);
                        }
                    }
                }
            }
        };
        // Without its conductor there is nothing to report any more.
        drop(conductor);
        _ = reporting.await;
        board.close().await;
        let failure = worker
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failure.map_or(done.map_err(Failure::from), Err)
    }
}

/// What does the jobs.
struct Worker {
    template: Template,
    /// Why no command can be run.
    failure: Mutex<Option<Failure>>,
    failed: CancellationToken,
}

impl Handler for Worker {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        match self.template.run(&context).await {
            Ok(End::Exited(status)) if status.success() => Ok(Outcome::Consume),
            Ok(End::Exited(status)) => Ok(Outcome::Abandon(
                Retry::backoff().reason(status.to_string()),
            )),
            Ok(End::Stopped) => Ok(match context.stop_reason() {
                Some(StopReason::Requested(request)) => {
                    let why = request.reason.as_deref().unwrap_or("no reason given");
                    let why = format!("cancelled, and its command was killed: {why}");
                    Outcome::Trash(within_reason(why))
                }
                _ => Outcome::Snooze(Duration::ZERO),
            }),
            // No command can be run: nobody's job is to be tried for that.
            Err(failure) => {
                let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(failure);
                self.failed.cancel();
                Ok(Outcome::Snooze(Duration::ZERO))
            }
        }
    }
}
