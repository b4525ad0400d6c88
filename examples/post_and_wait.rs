//! Who posts a job can wait until it is done, or learn why it never will be: by push, without a
//! request in between.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{Ended, JobBoard, JobPriority, NewJob, Result, store::Memory};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // On etcd: `.store(Etcd::connect(["http://127.0.0.1:2379"]).await?)`
    let board = JobBoard::builder("images")
        .store(Memory::new())
        .connect()
        .await?;

    let thumbnail = NewJob::new("thumbnail").details(json!({"file": "a.png"}));
    let job = board.post(thumbnail.priority(JobPriority::High)).await?;
    let broken = board.post(NewJob::new("thumbnail")).await?;
    println!("posted job {}: {job}", job.id());
    assert_eq!(job.wait(Some(Duration::ZERO)).await?, Ended::TimedOut);

    let worker = board.clone();
    let working = tokio::spawn(async move {
        for job in worker.fresh_jobs().await?.only_unclaimed() {
            let claim = worker.claim(&job, "worker-7").await?;
            match job.details().get("file") {
                Some(file) => {
                    println!("made a thumbnail of {file}");
                    claim.consume().await?;
                }
                None => _ = claim.trash("it names no file").await?,
            }
        }
        Ok::<(), jobboard::Error>(())
    });

    let minute = Some(Duration::from_mins(1));
    assert_eq!(job.wait(minute).await?, Ended::Consumed(None));
    let why = Some("it names no file".to_owned());
    assert_eq!(broken.wait(minute).await?, Ended::Trashed(why));
    working.await.expect("it does not panic")?;
    board.close().await;
    Ok(())
}
