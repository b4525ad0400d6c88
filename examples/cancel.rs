//! Asking for a job to be stopped: its owner is told at once and decides how to end; a job that
//! nobody holds goes into the trash.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{Cancelled, Claim, Ended, JobBoard, NewJob, Result, store::Memory};

/// Works on a job until it is done, or until it is to stop.
async fn work(claim: Claim) -> Result<()> {
    let stop = claim.cancellation();
    let done = stop.run_until_cancelled(tokio::time::sleep(Duration::from_mins(10)));
    if done.await.is_some() {
        claim.consume().await?;
        return Ok(());
    }
    // It fires for two reasons: somebody asked, or the claim is lost.
    let Some(request) = claim.cancel_request() else {
        return Ok(());
    };
    let (by, reason) = (request.by.unwrap_or_default(), request.reason);
    println!("{by} asks to stop: {reason:?}; cleaning up");
    claim.trash(&format!("stopped for {by}")).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let board = JobBoard::builder("films").store(Memory::new());
    let board = board.connect().await?;
    let running = board.post(NewJob::new("cut")).await?;
    let waiting = board.post(NewJob::new("cut")).await?;
    let claim = board.claim(&running, "cutter-3").await?;
    let working = tokio::spawn(work(claim));

    let why = Some("wrong film");
    let asked = board.cancel(&running, "operator", why).await?;
    assert_eq!(asked, Cancelled::Requested);
    let ended = running.wait(None).await?;
    assert_eq!(
        ended,
        Ended::Trashed(Some("stopped for operator".to_owned()))
    );
    working.await.expect("it does not panic")?;

    let trashed = board.cancel(&waiting, "operator", why).await?;
    assert_eq!(trashed, Cancelled::Trashed);
    println!("{:?}", waiting.wait(None).await?);
    board.close().await;
    Ok(())
}
