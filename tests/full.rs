//! What is told while the space of etcd runs out.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

use std::collections::BTreeSet;

use futures::future::join_all;
use jobboard::{ErrorKind, JobBoard, NewJob, store::Etcd, testing::LocalEtcd};
use serde_json::json;

/// How many post at once.
const AT_ONCE: usize = 64;

/// etcd refuses what was under way as its space ran out, after it has done it.
#[tokio::test]
async fn each_post_is_told_as_it_was_done_as_the_space_runs_out() {
    for binary in LocalEtcd::binaries().unwrap() {
        for group_commit in [true, false] {
            let etcd = LocalEtcd::builder().binary(&binary);
            let etcd = etcd.flag("--quota-backend-bytes=8000000");
            let etcd = etcd.start().await.unwrap();
            println!("etcd {}", etcd.version().await.unwrap());
            let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
            let board = JobBoard::builder("images").store(store);
            let board = board.group_commit(group_commit).connect().await.unwrap();
            fill(&board, &etcd).await;
            board.close().await;
        }
    }
}

async fn fill(board: &JobBoard, etcd: &LocalEtcd) {
    let posters = (0..AT_ONCE).map(|poster| async move {
        let mut done = Vec::new();
        for number in 0.. {
            let name = format!("job-{poster}-{number}");
            let new = NewJob::new(&name).details(json!({ "file": "x".repeat(8_192) }));
            match board.post(new).await {
                Ok(_) => done.push(name),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    break;
                }
            }
        }
        done
    });
    let done: BTreeSet<_> = join_all(posters).await.into_iter().flatten().collect();
    // By a connection of its own, as the view of a board is what is in question too.
    let other = Etcd::connect([etcd.endpoint()]).await.unwrap();
    let other = JobBoard::builder("images").store(other).read_only(true);
    let other = other.connect().await.unwrap();
    let all: BTreeSet<_> = other
        .fresh_jobs()
        .await
        .unwrap()
        .map(|job| job.name().to_owned())
        .collect();
    assert_eq!(all, done);
    other.close().await;
}
