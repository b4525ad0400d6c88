//! How writers fare where answers get lost again and again: on a store in memory, in simulated time.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

use std::time::Duration;

use futures::future::join_all;
use jobboard::{
    JobBoard, NewJob,
    random::Random,
    store::{Faults, Faulty, Memory},
};
use tokio::time::Instant;

/// More than go together at once.
const WRITERS: usize = 256;

/// How often each of them posts, one after another.
const POSTS: usize = 10;

/// How long an answer is waited for that does not come.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many answers of a thousand do not come.
const LOST: u16 = 200;

#[tokio::test(start_paused = true)]
async fn writers_go_on_side_by_side_though_answers_get_lost_again_and_again() {
    let mut faults = Faults::NONE;
    faults.lost_answers = LOST;
    faults.latency = Duration::from_millis(5);
    faults.patience = PATIENCE;
    let store = Faulty::new(Memory::new(), Random::seeded(1), faults);
    let board = JobBoard::builder("board")
        .store(store)
        .random(Random::seeded(2))
        .ttl(Duration::from_mins(2))
        .deadline(Duration::from_mins(1));
    let board = board.connect().await.unwrap();
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|_| async {
        let mut slowest = Duration::ZERO;
        for _ in 0..POSTS {
            let asked = Instant::now();
            board.post(NewJob::new("job")).await.unwrap();
            slowest = slowest.max(asked.elapsed());
        }
        (slowest, begun.elapsed())
    });
    let times = join_all(writers).await;
    let slowest = times.iter().map(|(slowest, _)| *slowest).max().unwrap();
    let first = times.iter().map(|(_, ended)| *ended).min().unwrap();
    let last = times.iter().map(|(_, ended)| *ended).max().unwrap();
    println!("a post took at most {slowest:?}; the writers ended after {first:?} to {last:?}");
    assert_eq!(board.fresh_jobs().await.unwrap().count(), WRITERS * POSTS);
    // All waited for the same doubts: nobody fell behind.
    assert!(last < 2 * first, "{first:?} to {last:?}");
    board.close().await;
}
