//! What is true of boards whatever goes wrong, as far as chance finds it: processes that post, claim, settle,
//! pause, restore and crash, over stores that fail, in time that is simulated; audited afterwards.
//!
//! `make simulation` runs it: a seed replays only where tokio draws its own chance from it too, which takes
//! `--cfg tokio_unstable`. A seed that breaks a promise is printed; `make simulation SEED=42` replays it and
//! prints all that happened. `make simulation SEEDS=100000` runs that many.
#![cfg(tokio_unstable)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

#[path = "../support/chance.rs"]
mod chance;
mod clocks;
mod conducting;
mod remote;
mod worker;
mod world;

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

/// How many seeds are run, if nobody says otherwise.
const SEEDS: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|number| number.parse().unwrap())
}

#[test]
fn promises_are_kept_whatever_goes_wrong() {
    if let Some(seed) = number("SEED") {
        let ran = world::run(seed);
        println!("{}", ran.trace);
        println!(
            "{:?}",
            ran.audited
                .unwrap_or_else(|broken| panic!("seed {seed}: {broken}"))
        );
        return;
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().unwrap().get();
    let sums = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let (mut changes, mut calls, mut unsure, mut views) = (0, 0, 0, 0);
                    loop {
                        let seed = next.fetch_add(1, Relaxed);
                        if seed >= seeds {
                            return (changes, calls, unsure, views);
                        }
                        let audit = world::run(seed).audited;
                        let audit = audit.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
                        changes += audit.changes;
                        calls += audit.calls;
                        unsure += audit.unsure;
                        views += audit.views;
                    }
                })
            })
            .collect();
        running
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    println!("{seeds} seeds: changes, calls, unsure answers, views: {sums:?}");
}

#[test]
fn seed_replays_to_the_same_trace() {
    for seed in 0..10 {
        let (once, again) = (world::run(seed), world::run(seed));
        assert_eq!(once.trace, again.trace, "seed {seed}");
    }
}
