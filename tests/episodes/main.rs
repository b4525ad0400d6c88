//! What is true of boards on real etcd whatever goes wrong, as far as chance finds it: episodes in which
//! users and processes post, claim and settle while processes, members of etcd and what is between them
//! fail; audited afterwards.
//!
//! What goes wrong is drawn from a seed, which chooses the version of etcd and the number of its members
//! as well. `make episodes SEED=7` plays one and prints all that happened, `make episodes SEEDS=300` plays
//! that many, `make soak HOURS=8` goes on for so long. Real time does not replay: the same seed has the same
//! faults at the same time, and not the same calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

mod auth;
mod beside;
#[path = "../support/chance.rs"]
mod chance;
#[path = "../support/cluster.rs"]
mod cluster;
mod conductor;
mod faults;
mod hand;
mod link;
mod plan;
#[path = "../support/process.rs"]
mod process;
mod pulse;
mod times;
mod told;
mod user;
#[path = "../support/way.rs"]
mod way;
mod world;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use jobboard::random::Random;
use tokio::time::Instant;

use self::{
    plan::{DEFAULT, FIRST},
    told::Sums,
};

/// How many episodes are played side by side.
const SIDE_BY_SIDE: usize = 2;

/// A soak begins with a seed below this.
const NEW: u64 = 1_000_000_000;

/// How often a soak tells how far it is.
const TELLS: Duration = Duration::from_mins(1);

fn number(variable: &str) -> Option<u64> {
    let number = env::var(variable).ok()?;
    Some(number.parse().unwrap())
}

#[test]
fn promises_are_kept_whatever_fails() {
    if let Some(seed) = number("SEED") {
        let (ran, trace) = world::play(seed);
        println!("{trace}");
        let mut sums = Sums::default();
        sums.add(ran.unwrap_or_else(|broken| panic!("seed {seed}: {broken}")));
        println!("{sums}");
        return;
    }
    let last = FIRST + number("SEEDS").unwrap_or(DEFAULT);
    println!("{}", play_until(FIRST, |seed| seed >= last));
}

#[test]
#[ignore = "it goes on for hours: `make soak`"]
fn promises_are_kept_for_hours() {
    let hours = number("HOURS").unwrap_or(1);
    let first = number("SEED").unwrap_or_else(|| Random::from_system().number() % NEW);
    println!("seeds from {first} on");
    let end = Instant::now() + Duration::from_hours(hours);
    println!("{}", play_until(first, |_| Instant::now() >= end));
}

/// Plays episodes from this seed on until it is enough, or until one breaks a promise.
fn play_until(first: u64, is_enough: impl Fn(u64) -> bool + Sync) -> Sums {
    let (next, broken) = (AtomicU64::new(first), AtomicBool::new(false));
    let sums = Mutex::new((Sums::default(), Instant::now()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if is_enough(seed) || broken.load(Relaxed) {
                        return;
                    }
                    let played = catch_unwind(AssertUnwindSafe(|| world::play(seed)));
                    let Ok((Ok(ran), _)) = played else {
                        broken.store(true, Relaxed);
                        if let Ok((Err(why), trace)) = played {
                            println!("{trace}\nseed {seed}: {why}");
                        }
                        panic!("seed {seed} broke a promise");
                    };
                    let (sums, told) = &mut *sums.lock().unwrap();
                    sums.add(ran);
                    if told.elapsed() >= TELLS {
                        println!("{sums}");
                        *told = Instant::now();
                    }
                }
            });
        }
    });
    sums.into_inner().unwrap().0
}
