//! A Python process with TaskFlow, beside the test's.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use jobboard::{JobPriority, testing::LocalEtcd};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use uuid::Uuid;

/// Names a Python that has TaskFlow.
const PYTHON: &str = "JOBBOARD_TEST_TASKFLOW";

/// Where `make tools` puts it, from the folder of the crate.
const MADE: &str = "target/tools/taskflow/python/bin/python";

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/taskflow/client.py");

/// TaskFlow's own board, in a process of its own, which is killed with the test.
#[derive(Debug)]
pub(crate) struct TaskFlow {
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    child: Child,
}

/// How TaskFlow refused an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The name of its exception.
    pub(crate) error: String,
    /// What that says.
    pub(crate) says: String,
}

impl TaskFlow {
    /// Starts one on the board of this name.
    pub(crate) async fn start(etcd: &LocalEtcd, board: &str) -> Self {
        Self::start_with(etcd, board, None).await
    }

    /// Starts one that keeps logbooks in a folder.
    pub(crate) async fn with_books(etcd: &LocalEtcd, board: &str, books: &Path) -> Self {
        Self::start_with(etcd, board, Some(books)).await
    }

    async fn start_with(etcd: &LocalEtcd, board: &str, books: Option<&Path>) -> Self {
        let endpoint = etcd.endpoint();
        let (_, port) = endpoint.rsplit_once(':').unwrap();
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(python())
            .args(["-B", CLIENT, port, board])
            .args(books)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut started = Self {
            orders: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        };
        assert_eq!(started.answer().await, Ok(Value::Null));
        started
    }

    /// Gives an order, and takes the answer, which is no refusal.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, order: &str, with: Value) -> T {
        let answer = self.try_to(order, with).await;
        let answer = answer.unwrap_or_else(|refusal| panic!("{order}: {refusal:?}"));
        serde_json::from_value(answer).unwrap()
    }

    /// Gives an order that TaskFlow can refuse.
    pub(crate) async fn try_to(&mut self, order: &str, with: Value) -> Result<Value, Refusal> {
        self.order(order, with).await;
        self.answer().await
    }

    /// Gives an order without waiting for the answer.
    pub(crate) async fn order(&mut self, order: &str, mut with: Value) {
        with["do"] = json!(order);
        self.write(&with.to_string()).await;
    }

    /// Gives an order, and waits until it stands still before it calls `method` of its client of etcd.
    pub(crate) async fn hold_before(&mut self, method: &str, order: &str, with: Value) {
        self.hold_before_each(&[method], order, with).await;
    }

    /// Gives an order, and waits until it stands still before the first of these calls; it will stand
    /// still before each of them.
    pub(crate) async fn hold_before_each(&mut self, methods: &[&str], order: &str, with: Value) {
        let () = self.ask("hold", json!({ "methods": methods })).await;
        self.order_until(methods[0], order, with).await;
    }

    /// Gives an order, and waits until it stands still there.
    pub(crate) async fn order_until(&mut self, place: &str, order: &str, with: Value) {
        self.order(order, with).await;
        assert_eq!(self.says().await, json!({ "held": place }));
    }

    /// Lets it go on until it stands still before the next of the calls.
    pub(crate) async fn go_on_until_before(&mut self, method: &str) {
        self.write("").await;
        assert_eq!(self.says().await, json!({ "held": method }));
    }

    /// Lets it go on, and gives the answer to the order that was held.
    pub(crate) async fn go_on(&mut self) -> Result<Value, Refusal> {
        self.write("").await;
        self.answer().await
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// The answer to the order that was given last.
    pub(crate) async fn answer(&mut self) -> Result<Value, Refusal> {
        let mut says = self.says().await;
        if let Some(answer) = says.get_mut("ok") {
            return Ok(answer.take());
        }
        let text = |field: &str| says[field].as_str().unwrap().to_owned();
        Err(Refusal {
            error: text("error"),
            says: text("says"),
        })
    }

    async fn says(&mut self) -> Value {
        let line = self.answers.next_line().await.unwrap();
        let line = line.expect("the Python process ended; what it says of that is above");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("it says {line}"))
    }

    async fn write(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.orders.write_all(line.as_bytes()).await.unwrap();
        self.orders.flush().await.unwrap();
    }
}

/// A job as TaskFlow shows it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) details: Value,
    pub(crate) priority: JobPriority,
    pub(crate) sequence: u64,
    pub(crate) book_name: Option<String>,
    pub(crate) book_uuid: Option<Uuid>,
    pub(crate) created_on: Option<String>,
}

/// What TaskFlow says of a job that it looks up in etcd.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Looked {
    pub(crate) state: jobboard::JobState,
    pub(crate) owner: Option<String>,
    pub(crate) last_modified: Option<String>,
}

fn python() -> PathBuf {
    let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join(MADE);
    let python = env::var_os(PYTHON).map_or_else(made, PathBuf::from);
    assert!(
        python.is_file(),
        "these tests need a Python that has TaskFlow, and there is none at {}: run `make tools`, or name \
         one in the environment variable {PYTHON} (what it must have is in tests/taskflow/requirements.txt)",
        python.display()
    );
    python
}
