//! A board tells what happens on it: as a stream, and to callbacks. What is told can be seen.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use jobboard::{Event, EventKind, JobBoard, NewJob, Notifier, Result, store::Memory};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let board = JobBoard::builder("images")
        .store(Memory::new())
        .connect()
        .await?;
    let mut events = board.events(Notifier::ANY)?;

    // A callback that fails or panics harms nobody, and is called again the next time.
    let large = board.notifier().register_filtered(
        EventKind::Posted,
        |posted| {
            posted
                .job()
                .is_some_and(|job| job.details()["size"] == "large")
        },
        |posted| println!("callback: {} of a large one", posted.kind()),
    );

    let job = board
        .post(NewJob::new("thumbnail").details(json!({"size": "large"})))
        .await?;
    let claim = board.claim(&job, "worker-7").await?;
    claim.progress(0.5, Some("resized")).await?;
    claim.consume().await?;

    loop {
        let told = events.next().await.expect("the board is open");
        println!("revision {}: {}", told.revision, told.kind());
        match told.event {
            Event::Posted(job) => println!("  {job}"),
            Event::Claimed { owner, .. } => println!("  by {}", owner.unwrap_or_default()),
            Event::Progress { progress, .. } => println!("  {}", progress.fraction),
            Event::Removal(gone) => {
                assert_eq!(gone.uuid(), job.uuid());
                break;
            }
            other => println!("  {other:?}"),
        }
    }
    assert!(board.notifier().deregister(large));
    board.close().await;
    Ok(())
}
