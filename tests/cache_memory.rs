//! How much memory does the view of a board take for each job?
//!
//! Beyond what its poster wrote: the store in memory and the view share the bytes of a posting, so that
//! they are not counted here. Counts of allocations do not depend on the machine, so that they may fail
//! a test, other than times.
#![allow(clippy::unwrap_used, reason = "what a test did not expect fails it")]

use jobboard::{JobBoard, NewJob, store::Memory};
use serde_json::json;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const JOBS: usize = 10_000;

/// What was seen when this was written; a tenth more fails.
const BYTES: usize = 612;
const BLOCKS: usize = 3;

#[tokio::test]
async fn view_takes_less_than_a_kibibyte_for_each_job_beyond_its_details() {
    let store = Memory::new();
    let poster = JobBoard::builder("images").store(store.clone());
    let poster = poster.connect().await.unwrap();
    let new = || NewJob::new("thumbnail").details(json!({"file": "a/picture.png", "size": 128}));
    for posted in poster.post_many((0..JOBS).map(|_| new())).await {
        posted.unwrap();
    }
    poster.close().await;

    let _counting = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get();
    let board = JobBoard::builder("images").store(store).read_only(true);
    let board = board.connect().await.unwrap();
    assert_eq!(board.job_count(), JOBS);
    let after = dhat::HeapStats::get();
    let bytes = (after.curr_bytes - before.curr_bytes) / JOBS;
    let blocks = (after.curr_blocks - before.curr_blocks) / JOBS;
    assert!(bytes < 1_024, "{bytes} bytes a job");
    assert!(bytes <= BYTES * 11 / 10, "{bytes} bytes a job");
    assert!(blocks <= BLOCKS, "{blocks} allocations a job");
    board.close().await;
}
