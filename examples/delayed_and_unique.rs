//! Jobs that are tried later: put off by their poster, and resting after a failure; and jobs that
//! are on the board only once, however often they are posted.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{Backoff, ErrorKind, JobBoard, NewJob, Result, Retry, store::Memory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let board = JobBoard::builder("accounts").store(Memory::new());
    let board = board.connect().await?;

    // Whoever notices that an account changed asks for a sync; one is enough.
    let sync = || NewJob::new("sync").unique("account-7");
    let first = board.post(sync().delay(Duration::from_millis(200))).await?;
    let second = board.post(sync()).await?;
    assert_eq!((first.uuid(), second.existed()), (second.uuid(), true));

    // It is on the board, and not offered before its time: who waits sleeps until then.
    assert_eq!(board.fresh_jobs().await?.only_unclaimed().count(), 0);
    board.wait_unclaimed(None).await?;
    let claim = board.claim(&first, "worker-7").await?;
    claim.consume().await?;

    // The next one can be posted now. It fails, rests longer each time, and is given up.
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    let third = board.post(sync().backoff(backoff).max_attempts(3)).await?;
    assert!(!third.existed());
    loop {
        board.wait_unclaimed(None).await?;
        match board.claim(&third, "worker-7").await {
            Ok(claim) => {
                println!("try {} fails", claim.attempt());
                let retry = Retry::backoff().reason("no such account");
                claim.abandon_with(retry).await?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
        board.fresh_jobs().await?;
    }
    println!("{:?}", third.wait(None).await?);
    board.close().await;
    Ok(())
}
