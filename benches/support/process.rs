//! Processes that take orders on their input, a line each, and answer each with a line of JSON.

use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// One that runs. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            orders,
            says,
        }
    }

    /// Gives it an order, and waits for its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, order: &str) -> T {
        self.orders
            .write_all(format!("{order}\n").as_bytes())
            .await
            .unwrap();
        self.says().await
    }

    /// Waits for what it says next.
    pub(crate) async fn says<T: DeserializeOwned>(&mut self) -> T {
        let line = self.says.next_line().await.unwrap();
        serde_json::from_str(&line.expect("it still runs")).unwrap()
    }

    /// Waits until it has ended, for there are no more orders.
    pub(crate) async fn end(mut self) {
        drop(self.orders);
        assert!(self.child.wait().await.unwrap().success());
    }
}
