//! A worker on a board of ours: does what `worker.py` does on TaskFlow's, in the same loop or with a
//! [`Conductor`].

use futures::StreamExt;
use jobboard::{Conductor, ErrorKind, Job, JobBoard, NewJob, Outcome, Step, store::etcd::Etcd};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    time::Instant,
};

use super::{Claimed, Drained, Posted, Ready, unix_time};

/// Tells a worker where etcd is.
pub(crate) const ENDPOINT: &str = "JOBBOARD_PEERS_ENDPOINT";

/// Takes orders until nobody gives any.
pub(crate) async fn work(endpoint: String) {
    let store = Etcd::connect([endpoint]).await.unwrap();
    let board = JobBoard::builder("bench").store(store);
    let board = board.connect().await.unwrap();
    say(&Ready { ready: true });
    let mut orders = BufReader::new(stdin()).lines();
    while let Some(order) = orders.next_line().await.unwrap() {
        match order.split_once(' ') {
            Some(("post", count)) => say(&post(&board, count.parse().unwrap()).await),
            None if order == "drain" => say(&drain(&board).await),
            None if order == "conduct" => say(&conduct(&board).await),
            None if order == "await" => say(&await_one(&board).await),
            _ => unreachable!("{order}"),
        }
    }
    board.close().await;
}

fn say(answer: &impl Serialize) {
    println!("{}", serde_json::to_string(answer).unwrap());
}

async fn post(board: &JobBoard, count: usize) -> Posted {
    let begun = Instant::now();
    for _ in 0..count {
        let details = json!({"file": "a/picture/of/some/length.png", "size": 128});
        let job = NewJob::new("thumbnail").details(details);
        board.post(job).await.unwrap();
    }
    Posted {
        seconds: begun.elapsed().as_secs_f64(),
    }
}

async fn drain(board: &JobBoard) -> Drained {
    let (mut done, mut wasted) = (0, 0);
    loop {
        let seen = board.revision();
        for job in board.jobs().only_unclaimed() {
            if claim_and_consume(board, &job).await.is_some() {
                done += 1;
            } else {
                wasted += 1;
            }
        }
        if board.fresh_jobs().await.unwrap().next().is_none() {
            return Drained { done, wasted };
        }
        board.changed(seen).await.unwrap();
    }
}

/// As [`drain`], by a conductor.
async fn conduct(board: &JobBoard) -> Drained {
    let conductor = Conductor::builder(board, "bench")
        .with(|_, _: Value| async { Ok(Outcome::Consume) })
        .unwrap();
    let mut events = conductor.events();
    let counting = async {
        let mut drained = Drained::default();
        while let Some(event) = events.next().await {
            match event.step {
                Step::Consumed => drained.done += 1,
                Step::Missed => drained.wasted += 1,
                Step::Stopped => break,
                step => assert!(!matches!(step, Step::Lagged(_)), "missed events"),
            }
        }
        drained
    };
    let all_gone = async {
        board.fresh_jobs().await.unwrap();
        let mut seen = board.revision();
        while board.job_count() > 0 {
            seen = board.changed(seen).await.unwrap();
        }
        conductor.stop();
    };
    let (drained, (), ran) = tokio::join!(counting, all_gone, conductor.run());
    ran.unwrap();
    drained
}

async fn await_one(board: &JobBoard) -> Claimed {
    loop {
        let jobs = board.wait_unclaimed(None).await.unwrap().unwrap();
        for job in jobs {
            if let Some(claimed) = claim_and_consume(board, &job).await {
                return Claimed { claimed };
            }
        }
    }
}

/// Gives when it was claimed, unless somebody else had come first.
async fn claim_and_consume(board: &JobBoard, job: &Job) -> Option<f64> {
    match board.claim(job, "bench").await {
        Ok(claim) => {
            let claimed = unix_time();
            claim.consume().await.unwrap();
            Some(claimed)
        }
        Err(error) => {
            let taken = matches!(error.kind(), ErrorKind::Claimed | ErrorKind::NotFound);
            assert!(taken, "{error}");
            None
        }
    }
}
