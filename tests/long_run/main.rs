//! What does not grow however long a board is used: memory, tasks, leases and keys.
//!
//! Ten days pass in simulated time as part of all tests. `make long-run` has an hour pass on each version of
//! etcd, prints a row for each minute, and compares the end with the beginning.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

mod hour;
mod service;

use std::{sync::Arc, time::Duration};

use jobboard::store::Memory;
use tokio::runtime::Handle;

use self::service::Service;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// What there is at the end of a day.
#[derive(Debug)]
struct Day {
    heap: usize,
    tasks: usize,
    keys: usize,
    leases: usize,
}

#[tokio::test(start_paused = true)]
async fn nothing_grows_in_ten_days() {
    let _counting = dhat::Profiler::builder().testing().build();
    // As an etcd that compacts: what lies further back is forgotten.
    let memory = Memory::builder().history(1_000).build();
    let mut service = Service::start(Arc::new(memory.clone()), Duration::from_mins(1)).await;
    let mut days = Vec::new();
    for _ in 0..10 {
        for hour in 0..24 {
            let every = Duration::from_mins(2);
            service.work(Duration::from_hours(1), every).await;
            service.visit(hour % 2 == 0).await;
        }
        service.rest().await;
        days.push(Day {
            heap: dhat::HeapStats::get().curr_bytes,
            tasks: Handle::current().metrics().num_alive_tasks(),
            keys: service.keys().await,
            leases: memory.leases(),
        });
    }
    println!("{} jobs: {days:#?}", service.posted);
    let (first, last) = (&days[1], &days[9]);
    assert_eq!(last.tasks, first.tasks);
    assert_eq!(last.keys, first.keys);
    assert_eq!(last.leases, first.leases);
    // What is kept is not always of the same size.
    assert!(last.heap <= first.heap + first.heap / 50, "{days:?}");
    service.end().await;
}
