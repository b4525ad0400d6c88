use std::time::Duration;

use tokio::time::timeout;

use crate::{
    JobBoard, NewJob,
    protocol::keys::JobPart,
    store::{Memory, StoreExt},
};

#[tokio::test(start_paused = true)]
async fn claim_that_is_made_when_the_job_is_to_be_stopped_already_is_told() {
    let store = Memory::new();
    let board = JobBoard::builder("images").store(store.clone());
    let board = board.connect().await.unwrap();
    let job = board.post(NewJob::new("a")).await.unwrap();
    board.fresh_jobs().await.unwrap();
    let request = board.0.keys.job(job.id(), JobPart::Cancel);
    store.put(request, "{}".into()).await.unwrap();
    // The view comes to it while the claim is under way.
    assert_eq!(job.cancel_request(), None);
    let claim = board.claim(&job, "one").await.unwrap();
    let stop = claim.cancellation();
    timeout(Duration::from_secs(1), stop.cancelled())
        .await
        .expect("it is told");
    assert!(claim.is_held() && claim.cancel_request().is_some());
    claim.consume().await.unwrap();
    board.close().await;
}
