//! Who works on a job tells how far it has come, and leaves a result; who posted it sees both.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{Ended, Event, EventKind, Job, JobBoard, NewJob, Result, store::Memory};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = Memory::new();
    let poster = JobBoard::builder("films").store(store.clone());
    let poster = poster.connect().await?;
    // Anywhere else; what it leaves is kept for 24 h unless it says otherwise.
    let worker = JobBoard::builder("films").store(store);
    // Each scene is told, however soon it comes after the one before; by default one a second.
    let worker = worker.progress_every(Duration::ZERO).connect().await?;

    let film = NewJob::new("cut").details(json!({"scenes": 3}));
    let job = poster.post(film).await?;
    let (watched, worked) = tokio::join!(watch(&poster, &job), work(&worker));
    worked?;
    assert_eq!(watched?, Ended::Consumed(Some(json!({"minutes": 27}))));
    worker.close().await;
    poster.close().await;
    Ok(())
}

async fn work(board: &JobBoard) -> Result<()> {
    let job = board.fresh_jobs().await?.next().expect("it was posted");
    let claim = board.claim(&job, "cutter").await?;
    let scenes = job.details()["scenes"].as_u64().unwrap_or_default();
    for (scene, part) in (1..=scenes).zip([0.33, 0.67, 1.0]) {
        let done = format!("scene {scene} of {scenes}");
        claim.progress(part, Some(&done)).await?;
    }
    // The result and the end of the job are one: nobody sees the one without the other.
    claim.consume_with(json!({"minutes": 9 * scenes})).await?;
    Ok(())
}

/// Tells the progress of a job until it ends.
async fn watch(board: &JobBoard, job: &Job) -> Result<Ended> {
    let mut events = board.events(EventKind::Progress)?;
    let ended = job.wait(None);
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            told = events.next() => {
                if let Some(Event::Progress { progress, .. }) = told.map(|told| told.event) {
                    println!("{:3.0} % {}", progress.fraction * 100.0, progress.message.unwrap_or_default());
                }
            }
            ended = &mut ended => return ended,
        }
    }
}
