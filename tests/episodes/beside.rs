//! What a process beside the test's is told as it begins, and tells.

use std::time::Duration;

use jobboard::{
    ErrorKind, JobBoard,
    store::etcd::{Etcd, Settings},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, Stdin},
    time::sleep,
};

use crate::{
    auth,
    process::{Process, SAYS},
    world::{BOARD, DEADLINE, NAMESPACE, TTL},
};

/// How long a process waits before it tries again to begin.
const AGAIN: Duration = Duration::from_millis(50);

/// How a process gets to the board.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setup {
    pub(crate) endpoints: Vec<String>,
    /// Whether etcd asks who it is.
    pub(crate) auth: bool,
    pub(crate) group_commit: bool,
}

impl Setup {
    /// Starts a process that is set up so, by a program if that is not empty, and waits until it is ready.
    /// Gives what it calls itself.
    pub(crate) async fn start(&self, program: &[String], test: &str) -> (Process, String) {
        let mut process = Process::start_by(program, test, &self.endpoints.join(","));
        process.order(&serde_json::to_string(self).unwrap()).await;
        let said = process.says().await;
        let name = said.strip_prefix("ready ").unwrap().to_owned();
        (process, name)
    }

    /// Connects to the board, however long it takes.
    pub(crate) async fn board(&self) -> JobBoard {
        self.board_named(BOARD).await
    }

    /// As [`board`](Self::board), to another.
    pub(crate) async fn board_named(&self, name: &str) -> JobBoard {
        let settings = self.settings();
        let store = loop {
            match Box::pin(Etcd::connect_with(&self.endpoints, settings.clone())).await {
                Ok(store) => break store,
                Err(_) => sleep(AGAIN).await,
            }
        };
        let board = JobBoard::builder(name)
            .namespace(NAMESPACE)
            .store(store)
            .ttl(TTL)
            .deadline(DEADLINE)
            .group_commit(self.group_commit)
            .build()
            .unwrap();
        while board.connect().await.is_err() {
            sleep(AGAIN).await;
        }
        board
    }

    fn settings(&self) -> Settings {
        if self.auth {
            auth::user()
        } else {
            Settings::new()
        }
    }
}

/// The orders that a process gets, the first of which is how it is set up.
pub(crate) async fn orders() -> (Setup, Lines<BufReader<Stdin>>) {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let setup = orders.next_line().await.unwrap().unwrap();
    (serde_json::from_str(&setup).unwrap(), orders)
}

/// Says something to who started the process.
pub(crate) fn say(what: &str) {
    println!("{SAYS}{what}");
}

/// The kind of error that a process named.
pub(crate) fn kind(named: &str) -> ErrorKind {
    use ErrorKind as Kind;
    let kinds = [
        Kind::Invalid,
        Kind::NotFound,
        Kind::Claimed,
        Kind::NotOwner,
        Kind::Lost,
        Kind::Paused,
        Kind::Closed,
        Kind::Denied,
        Kind::Corrupt,
        Kind::Unavailable,
        Kind::Unknown,
    ];
    let named = |kind: &Kind| format!("{kind:?}") == named;
    kinds.into_iter().find(named).unwrap()
}
