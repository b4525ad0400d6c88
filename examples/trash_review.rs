//! Jobs that are broken wait in the trash until somebody looks at them: what was a passing trouble goes
//! back onto the board, what is broken for good is deleted.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::time::Duration;

use jobboard::{ErrorKind, JobBoard, NewJob, Result, TrashedJob};
use serde_json::{Value, json};

/// Shows what is known of a trashed job.
fn show(job: &TrashedJob) {
    let by = job.trashed_by().unwrap_or("somebody");
    let reason = job.reason().unwrap_or("no reason given");
    println!("job {} {job}", job.id());
    println!("  details: {}", Value::Object(job.details()));
    println!("  trashed by {by}: {reason}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let board = JobBoard::builder("images").connect().await?;
    for (file, trouble) in [("a.png", "the disk is full"), ("b.txt", "it is no image")] {
        let new = NewJob::new("thumbnail").details(json!({"file": file}));
        let job = board.post(new.unique(file)).await?;
        board.claim(&job, "worker-7").await?.trash(trouble).await?;
    }

    let review = board.trash_review();
    let trash = review.list().await?;
    trash.jobs.iter().for_each(show);
    let [full, broken] = &trash.jobs[..] else {
        unreachable!("two were trashed");
    };

    let job = review.restore(full).await?;
    assert_eq!((job.uuid(), job.attempts()), (full.uuid(), 0));
    println!("job {} is on the board again", job.id());

    review.purge(broken).await?;
    let error = review.restore(broken).await.expect_err("it is purged");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    println!("{error}");

    let week = Duration::from_hours(7 * 24);
    println!(
        "{} were older than a week",
        review.purge_older_than(week).await?
    );
    board.close().await;
    Ok(())
}
