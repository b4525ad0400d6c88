//! The command of one job: its environment, its input, and its end.

use std::{
    ffi::OsString,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::{Context, cli::Failure, protocol::limits::MAX_NAME};

/// The command that is run for each job.
pub(super) struct Template {
    program: OsString,
    arguments: Vec<OsString>,
}

/// How a command ended.
pub(super) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed because the work on the job was to stop.
    Stopped,
}

impl Template {
    /// The command with these words, of which there is at least one.
    pub(super) fn new(words: Vec<OsString>) -> Result<Self, Failure> {
        let mut words = words.into_iter();
        let program = words
            .next()
            .ok_or_else(|| Failure::new("run a command: none is given"))?;
        Ok(Self {
            program,
            arguments: words.collect(),
        })
    }

    /// Runs the command for a job, in a process group of its own, so that a terminal's Ctrl-C does
    /// not end it. If this is dropped, all of the group is killed.
    ///
    /// # Errors
    /// If it can not be started, which it then can for no job.
    pub(super) async fn run(&self, context: &Context) -> Result<End, Failure> {
        let doing = || format!("run {}", self.program.display());
        let mut child = self
            .command(context)
            .spawn()
            .map_err(Failure::system(doing()))?;
        let mut group = Group::of(&child);
        let input = serde_json::to_vec(&context.job().details())
            .map_err(|error| Failure::new(format!("{}: {error}", doing())))?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A command need not read its input.
                _ = stdin.write_all(&input).await;
            }
            std::future::pending::<std::convert::Infallible>().await
        };
        let end = tokio::select! {
            biased;
            () = context.cancellation().cancelled() => End::Stopped,
            exited = child.wait() => End::Exited(exited.map_err(Failure::system(doing()))?),
            never = feed => match never {},
        };
        if let End::Exited(_) = end {
            // What it started in the background is none of ours.
            group.let_go();
        } else {
            drop(group);
            child.wait().await.map_err(Failure::system(doing()))?;
        }
        Ok(end)
    }

    fn command(&self, context: &Context) -> Command {
        let job = context.job();
        // What others posted can have a longer name, and Linux starts nothing with a variable of 128 KiB.
        let name = &job.name()[..job.name().floor_char_boundary(MAX_NAME)];
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("JOBBOARD_JOB", job.id().to_string())
            .env("JOBBOARD_JOB_UUID", job.uuid().to_string())
            // The environment can not carry a zero byte.
            .env("JOBBOARD_JOB_NAME", name.replace('\0', " "))
            .env("JOBBOARD_TOKEN", context.token().to_string())
            .env_remove("JOBBOARD_PASSWORD")
            .stdin(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// The process group of a command. Dropping this kills all of it.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn let_go(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that all of it had ended before.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}
