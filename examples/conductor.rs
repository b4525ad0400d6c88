//! What a service embeds to do jobs: a handler with the details as a type of its own, several jobs at a
//! time, what fails tried again later, and an end that leaves nothing behind.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{
    Backoff, Conductor, Context, Ended, HandlerError, JobBoard, NewJob, Outcome, Result,
    store::Memory,
};
use serde_json::json;

#[derive(serde::Deserialize)]
struct Thumbnail {
    file: String,
}

async fn thumbnail(context: Context, details: Thumbnail) -> Result<Outcome, HandlerError> {
    if context.attempt() == 1 {
        return Err("the disk is busy".into()); // tried again after a backoff
    }
    println!("try {} of {}", context.attempt(), details.file);
    Ok(Outcome::ConsumeWith(json!({"made": details.file})))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let board = JobBoard::builder("images").store(Memory::new());
    let soon = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    let board = board.backoff(soon).connect().await?;

    // In a service: `.stop_on_signals().run(thumbnail).await?`
    let conductor = Conductor::builder(&board, "thumbnails").concurrency(8);
    let conductor = conductor.with(thumbnail)?;
    let running = tokio::spawn({
        let conductor = conductor.clone();
        async move { conductor.run().await }
    });

    let new = NewJob::new("thumbnail").details(json!({"file": "a.png"}));
    let job = board.post(new).await?;
    let made = Some(json!({"made": "a.png"}));
    assert_eq!(job.wait(None).await?, Ended::Consumed(made));

    // What can not be read as a thumbnail goes into the trash, and is not tried again.
    let broken = board.post(NewJob::new("thumbnail")).await?;
    println!("{:?}", broken.wait(None).await?);

    conductor.stop();
    running.await.expect("it does not panic")?;
    board.close().await;
    Ok(())
}
