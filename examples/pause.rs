//! An operator stops all claims of a board for a while. Who works goes on, and who waits for the next
//! job sleeps until the board is resumed.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{ErrorKind, JobBoard, NewJob, Result, store::Memory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = Memory::new();
    let operator = JobBoard::builder("images").store(store.clone());
    let operator = operator.connect().await?;
    let worker = JobBoard::builder("images").store(store).connect().await?;

    for name in ["first", "second"] {
        operator.post(NewJob::new(name)).await?;
    }
    let mut jobs = worker.fresh_jobs().await?;
    let (first, second) = (jobs.next().expect("posted"), jobs.next().expect("posted"));
    let claim = worker.claim(&first, "worker-7").await?;

    operator.pause("operator", Some("the disk is full")).await?;
    let refused = worker.claim(&second, "worker-7").await.err();
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::Paused));
    if let Some(pause) = worker.paused().await? {
        println!("paused by {:?}: {:?}", pause.by, pause.reason);
    }

    // What is held is worked on; and nothing is offered, although a job is free.
    claim.consume().await?;
    let patience = Duration::from_millis(100);
    assert!(worker.wait_unclaimed(Some(patience)).await?.is_none());

    // By push: the worker makes no request meanwhile.
    let (resumed, next) = tokio::join!(operator.resume(), worker.wait_unclaimed(None));
    resumed?;
    for job in next?.into_iter().flatten() {
        println!("{job} goes on");
        worker.claim(&job, "worker-7").await?.consume().await?;
    }
    worker.close().await;
    operator.close().await;
    Ok(())
}
