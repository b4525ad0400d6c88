//! How does a board do beside the raw etcd client, in all that its users ask of it?
//!
//! Runs `jobboard bench` with each version of etcd that the tests run on, and prints what it measured as
//! rows of JSON. `JOBBOARD_BENCH` takes further arguments.
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::{env, process::Command};

use jobboard::testing::LocalEtcd;

fn main() {
    let arguments = env::var("JOBBOARD_BENCH").unwrap_or_default();
    for binary in LocalEtcd::binaries().unwrap() {
        let bench = Command::new(env!("CARGO_BIN_EXE_jobboard"))
            .args(["--output", "json", "bench", "--etcd"])
            .arg(binary)
            .args(arguments.split_whitespace())
            .status();
        assert!(bench.unwrap().success());
    }
}
