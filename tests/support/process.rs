//! A process beside the test's, which can be stopped and killed.
#![allow(dead_code, reason = "not all stories do all of this to a process")]

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// Tells a helper where etcd is.
pub(crate) const ENDPOINT: &str = "JOBBOARD_FAULTS_ENDPOINT";

/// Begins what a helper has to say, amid what the test harness says.
pub(crate) const SAYS: &str = "helper: ";

/// This test binary once more, running one ignored test. It is killed with the test, however that
/// ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the ignored test of that name.
    pub(crate) fn start(test: &str, endpoint: &str) -> Self {
        Self::start_by(&[], test, endpoint)
    }

    /// As [`start`](Self::start), by a program that takes another with its arguments and becomes that one.
    pub(crate) fn start_by(program: &[String], test: &str, endpoint: &str) -> Self {
        let dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"];
        let mut words = program.iter().map(String::as_str).chain(dies_with_us);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(ENDPOINT, endpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            orders: child.stdin.take().unwrap(),
            child,
            lines,
        }
    }

    /// Waits for the next thing that it says. Cancel safe.
    pub(crate) async fn says(&mut self) -> String {
        let said = self.may_say().await;
        said.expect("the helper ended with nothing more to say")
    }

    /// Waits for the next thing that it says; none if it ended with nothing more to say. Cancel safe.
    pub(crate) async fn may_say(&mut self) -> Option<String> {
        loop {
            let line = self.lines.next_line().await.unwrap()?;
            if let Some((_, said)) = line.split_once(SAYS) {
                return Some(said.to_owned());
            }
        }
    }

    /// The number that the system gave it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Gives it an order, which it takes when it runs.
    pub(crate) async fn order(&mut self, order: &str) {
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.unwrap();
        self.orders.flush().await.unwrap();
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Kills it (SIGKILL), without waiting.
    pub(crate) fn strike(&self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has ended by itself, and gives how. Cancel safe.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// Freezes it (SIGSTOP).
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}
