//! The demo's conductor processes, as the demo sees them.

use std::{env, path::Path, process::Stdio, time::Duration};

use futures::future::select_all;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::cli::Failure;

/// How long a conductor may take to do as it is told: longer than closing a board may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The conductors that run. Dropping this kills them.
#[derive(Debug)]
pub(super) struct Crowd(Vec<Member>);

/// One conductor process.
#[derive(Debug)]
pub(super) struct Member {
    who: String,
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// Starts a conductor for each name, on the board of that name at `endpoint`.
    pub(super) fn start(
        names: &[&str],
        endpoint: &str,
        board: &str,
        records: &Path,
    ) -> Result<Self, Failure> {
        let start = |who: &&str| Member::start(who, endpoint, board, records);
        names.iter().map(start).collect::<Result<_, _>>().map(Self)
    }

    /// Takes one out: what becomes of it is the caller's affair.
    pub(super) fn take(&mut self, who: &str) -> Option<Member> {
        let at = self.0.iter().position(|member| member.who == who)?;
        Some(self.0.swap_remove(at))
    }

    /// Waits until one of them ends, which none should. Cancel safe.
    pub(super) async fn ended(&mut self) -> Failure {
        let waits = self.0.iter_mut().map(|member| Box::pin(member.ended()));
        let waits: Vec<_> = waits.collect();
        if waits.is_empty() {
            return std::future::pending().await;
        }
        select_all(waits).await.0
    }

    /// Lets them end in good order.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        for member in self.0 {
            let Member {
                who,
                mut process,
                orders,
                ..
            } = member;
            drop(orders);
            let ended = timeout(PATIENCE, process.wait()).await;
            let status = ended
                .map_err(|_| Failure::new(format!("{who} does not end")))?
                .map_err(Failure::system(format!("wait for {who}")))?;
            if !status.success() {
                return Err(Failure::new(format!("{who} failed: {status}")));
            }
        }
        Ok(())
    }
}

impl Member {
    fn start(who: &str, endpoint: &str, board: &str, records: &Path) -> Result<Self, Failure> {
        let failed = || Failure::system(format!("start {who}"));
        let mut process = Command::new(env::current_exe().map_err(failed())?)
            .args(["--endpoints", endpoint, "--board", board])
            .args(["demo-conductor", "--who", who, "--records"])
            .arg(records)
            .env_remove("JOBBOARD_NAMESPACE")
            .env_remove("JOBBOARD_USER")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed())?;
        let (orders, answers) = process
            .stdin
            .take()
            .zip(process.stdout.take())
            .ok_or_else(|| Failure::new(format!("start {who}: it has no pipes")))?;
        Ok(Self {
            who: who.to_owned(),
            process,
            orders,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Has it keep what it holds, and waits until nothing that it consumes is on its way.
    pub(super) async fn keep(&mut self) -> Result<(), Failure> {
        let doing = format!("tell {} to keep its claims", self.who);
        let told = async {
            self.orders.write_all(b"keep\n").await?;
            self.answers.next_line().await
        };
        let answer = timeout(PATIENCE, told).await;
        let answer = answer.map_err(|_| Failure::new(format!("{doing}: no answer")))?;
        match answer.map_err(Failure::system(&doing))?.as_deref() {
            Some("keeping") => Ok(()),
            _ => Err(Failure::new(format!("{doing}: it ended"))),
        }
    }

    /// Kills it with SIGKILL, and waits until it is dead.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        let killed = self.process.kill().await;
        killed.map_err(Failure::system(format!("kill {}", self.who)))
    }

    async fn ended(&mut self) -> Failure {
        match self.process.wait().await {
            Ok(status) => Failure::new(format!("{} ended early: {status}", self.who)),
            Err(error) => Failure::system(format!("wait for {}", self.who))(error),
        }
    }
}
