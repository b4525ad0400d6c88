//! A claim lasts as long as its session. When that is lost, the owner is told, another gets the job,
//! and whatever the first one still sends changes nothing.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use jobboard::{
    ErrorKind, JobBoard, NewJob, Result,
    store::{Key, Memory, Store, StoreExt},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = Memory::new();
    let connect = || JobBoard::builder("images").store(store.clone()).connect();
    let (one, two) = (connect().await?, connect().await?);

    let job = one.post(NewJob::new("thumbnail")).await?;
    let first = one.claim(&job, "worker-1").await?;
    let held = two.claim(&job, "worker-2").await.expect_err("it is held");
    assert_eq!(held.kind(), ErrorKind::Claimed);
    println!("{held}");

    // What a crash, a long pause or a cut network come to: the lease of the first one ends.
    let owner = Key::new(format!("/taskflow/jobs/images/job{}.lock", job.id()))?;
    let owner = store.get(owner).await?.expect("it is held");
    store.revoke(owner.lease.expect("ours have one")).await?;

    tokio::select! {
        () = std::future::pending() => { /* the work */ }
        () = first.lost() => println!("worker-1 stops"),
    }
    let job = two.wait_unclaimed(None).await?.into_iter().flatten().next();
    let second = two.claim(&job.expect("it is free"), "worker-2").await?;
    assert!(second.token() > first.token());

    let stale = first.consume().await.expect_err("it is over");
    assert_eq!(stale.kind(), ErrorKind::Lost);
    println!("worker-1, much later: {stale}");
    second.consume().await?;
    one.close().await;
    two.close().await;
    Ok(())
}
