//! A logbook is where an owner notes each step that is done. When the owner is lost half-way, the
//! next one goes on from there, and what the lost one still sends changes nothing.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use jobboard::{Claim, ErrorKind, JobBoard, NewJob, Result, store::Memory};
use serde_json::json;

const STEPS: [&str; 4] = ["fetch", "resize", "sign", "upload"];

/// Does the steps that no owner before did, `most` of them at most; tells which.
async fn work(claim: &Claim, most: usize) -> Result<Vec<&'static str>> {
    let mut done = Vec::new();
    let mut book = claim.job().book().await?.expect("posted with one");
    for step in STEPS {
        let atom = book.add_flow("thumbnail").add_atom(step);
        if atom.state() == Some("SUCCESS") || done.len() == most {
            continue;
        }
        println!("{} does {step}", claim.owner());
        done.push(step);
        atom.set_results(json!({"by": claim.owner()}))
            .set_state("SUCCESS");
        claim.save_book(&mut book).await?;
    }
    Ok(done)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = Memory::new();
    let board = JobBoard::builder("images")
        .store(store.clone())
        .connect()
        .await?;
    let other = JobBoard::builder("images").store(store).connect().await?;

    let mut book = board.books().new_book("thumbnail of a.png");
    board.books().create(&mut book).await?;
    let job = board.post(NewJob::new("thumbnail").book(&book)).await?;

    let first = board.claim(&job, "first").await?;
    assert_eq!(work(&first, 2).await?, ["fetch", "resize"]);
    let mut stale = job.book().await?.expect("posted with one");
    board.close().await; // a crash does it as well, when its lease ends

    let job = other.fresh_jobs().await?.next().expect("it is free again");
    let second = other.claim(&job, "second").await?;
    assert_eq!(work(&second, STEPS.len()).await?, ["sign", "upload"]);

    stale.add_flow("thumbnail").set_state("FAILURE");
    let error = first.save_book(&mut stale).await.expect_err("it is over");
    assert_eq!(error.kind(), ErrorKind::Lost);
    println!("first, much later: {error}");
    second.consume().await?;
    other.close().await;
    Ok(())
}
