//! What a user does with claims that have a time to live of their own, on the store in memory and on
//! real etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/gone.rs"]
mod gone;
#[path = "support/stories.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use jobboard::{
    Claim, ClaimOptions, ErrorKind, Job, JobBoard, NewJob,
    store::{Key, Store, StoreExt},
};
use serde_json::Value;
use tokio::time::{Instant, interval, timeout};

use self::{
    gone::until_gone,
    support::{board, builder, stories},
};

stories! {
    job_of_an_owner_that_hangs_comes_back_sooner_than_by_the_ttl_of_the_board
    renewed_claim_is_held_beyond_its_ttl
    claim_says_for_how_long_it_can_be_trusted
    session_of_the_claims_own_ends_with_it
    named_owner_settles_a_claim_in_a_session_of_its_own
    claim_whose_lease_ends_is_lost_and_no_other
    closed_board_frees_claims_in_their_own_sessions
    time_to_live_that_can_not_be_is_refused
}

const SHORTEST: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_mins(5);

/// More than any of these stories waits for.
const BOUND: Duration = Duration::from_secs(30);

async fn post(board: &JobBoard) -> Job {
    board.post(NewJob::new("cut")).await.unwrap()
}

async fn claim(board: &JobBoard, job: &Job, options: ClaimOptions) -> Claim {
    board.claim_with(job, "cutter", options).await.unwrap()
}

async fn until_lost(claim: &Claim) {
    let lost = timeout(BOUND, claim.lost()).await;
    assert!(lost.is_ok(), "it is still held");
}

/// A board whose sessions outlive every story.
async fn patient_board(store: &Arc<dyn Store>) -> JobBoard {
    let board = builder("images").store(Arc::clone(store));
    board.ttl(LONG).connect().await.unwrap()
}

/// The guard of the session that holds the job.
async fn guard_of(job: &Job, store: &Arc<dyn Store>) -> Key {
    let owner = store.get(owner_key(job)).await.unwrap().unwrap();
    let owner: Value = serde_json::from_slice(&owner.value).unwrap();
    let session = owner["jobboard"]["session"].as_str().unwrap();
    Key::new(format!("/taskflow/.sessions/images/{session}")).unwrap()
}

fn owner_key(job: &Job) -> Key {
    Key::new(format!("/taskflow/jobs/images/job{}.lock", job.id())).unwrap()
}

/// Ends the session that holds the job, as if its owner had died.
async fn end_session_of(job: &Job, store: &Arc<dyn Store>) {
    let owner = store.get(owner_key(job)).await.unwrap().unwrap();
    store.revoke(owner.lease.unwrap()).await.unwrap();
}

async fn job_of_an_owner_that_hangs_comes_back_sooner_than_by_the_ttl_of_the_board(
    store: Arc<dyn Store>,
) {
    let board = patient_board(&store).await;
    let job = post(&board).await;
    let options = ClaimOptions::new().ttl(SHORTEST).manual_renewal();
    let claim = claim(&board, &job, options).await;
    board.fresh_jobs().await.unwrap();
    assert!(board.jobs().only_unclaimed().next().is_none());

    // It never renews.
    let free = board.wait_unclaimed(Some(BOUND)).await.unwrap();
    assert!(free.is_some());
    until_lost(&claim).await;
    assert_eq!(claim.renew().await.unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(claim.consume().await.unwrap_err().kind(), ErrorKind::Lost);
    let next = board.claim(&job, "another").await.unwrap();
    assert_eq!(next.attempt(), 2);
    next.consume().await.unwrap();
    board.close().await;
}

async fn renewed_claim_is_held_beyond_its_ttl(store: Arc<dyn Store>) {
    let board = patient_board(&store).await;
    let job = post(&board).await;
    let ttl = Duration::from_secs(3);
    let options = ClaimOptions::new().ttl(ttl).manual_renewal();
    let claim = claim(&board, &job, options).await;
    let claimed = Instant::now();
    let mut ticks = interval(ttl / 6);
    while claimed.elapsed() < ttl + ttl / 2 {
        ticks.tick().await;
        claim.renew().await.unwrap();
        assert!(claim.is_held());
    }
    assert_eq!(board.find_owner(&job).as_deref(), Some("cutter"));
    claim.consume().await.unwrap();
    board.close().await;
}

async fn claim_says_for_how_long_it_can_be_trusted(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (usual, long) = (post(&board).await, post(&board).await);
    let usual = board.claim(&usual, "one").await.unwrap();
    let long = claim(&board, &long, ClaimOptions::new().ttl(LONG)).await;
    // The margin is 1 s, and 30 s; it is kept alive each third of the time.
    let seconds = |claim: &Claim| claim.expires_in().as_secs();
    assert!((5..10).contains(&seconds(&usual)), "{}", seconds(&usual));
    assert!((169..=270).contains(&seconds(&long)), "{}", seconds(&long));
    for claim in [&usual, &long] {
        claim.renew().await.unwrap();
        assert!(claim.expires_in() > Duration::from_secs(8));
        claim.consume().await.unwrap();
        assert_eq!(claim.expires_in(), Duration::ZERO);
        assert_eq!(claim.renew().await.unwrap_err().kind(), ErrorKind::Lost);
    }
    board.close().await;
}

async fn session_of_the_claims_own_ends_with_it(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let shared = {
        let job = post(&board).await;
        let _claim = board.claim(&job, "one").await.unwrap();
        guard_of(&job, &store).await
    };
    for settled in [true, false] {
        let job = post(&board).await;
        let claim = claim(&board, &job, ClaimOptions::new().ttl(LONG)).await;
        let guard = guard_of(&job, &store).await;
        assert_ne!(guard, shared);
        if settled {
            claim.trash("broken").await.unwrap();
        } else {
            drop(claim);
        }
        until_gone(&guard, &store).await;
    }
    assert!(store.get(shared).await.unwrap().is_some());
    board.close().await;
}

async fn named_owner_settles_a_claim_in_a_session_of_its_own(store: Arc<dyn Store>) {
    let (board, other) = (board(&store).await, board(&store).await);
    let job = post(&board).await;
    let claim = claim(&board, &job, ClaimOptions::new().ttl(LONG)).await;
    let guard = guard_of(&job, &store).await;
    let refused = other.consume(&job, "cutter").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotOwner);
    board.consume(&job, "cutter").await.unwrap();
    until_lost(&claim).await;
    until_gone(&guard, &store).await;
    board.close().await;
    other.close().await;
}

async fn claim_whose_lease_ends_is_lost_and_no_other(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let (first, second, third) = (post(&board).await, post(&board).await, post(&board).await);
    let own = ClaimOptions::new().ttl(LONG);
    let lost = claim(&board, &first, own).await;
    let others = [
        claim(&board, &second, own).await,
        board.claim(&third, "cutter").await.unwrap(),
    ];
    end_session_of(&first, &store).await;
    until_lost(&lost).await;
    let error = lost.consume().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    for claim in others {
        assert!(claim.is_held());
        claim.consume().await.unwrap();
    }
    board.close().await;
}

async fn closed_board_frees_claims_in_their_own_sessions(store: Arc<dyn Store>) {
    let board = board(&store).await;
    let job = post(&board).await;
    let options = ClaimOptions::new().ttl(LONG).manual_renewal();
    let claim = claim(&board, &job, options).await;
    let guard = guard_of(&job, &store).await;
    board.close().await;
    until_lost(&claim).await;
    assert_eq!(store.get(owner_key(&job)).await.unwrap(), None);
    assert_eq!(store.get(guard).await.unwrap(), None);
}

async fn time_to_live_that_can_not_be_is_refused(store: Arc<dyn Store>) {
    let strict = builder("images").store(Arc::clone(&store));
    let strict = strict.margin(3 * SHORTEST).connect().await.unwrap();
    let job = post(&strict).await;
    for ttl in [Duration::ZERO, SHORTEST / 2, 2 * SHORTEST, Duration::MAX] {
        let refused = strict.claim_with(&job, "cutter", ClaimOptions::new().ttl(ttl));
        let refused = refused.await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{ttl:?}");
        assert!(
            refused.to_string().starts_with("claim job 1: "),
            "{refused}"
        );
    }
    assert_eq!(store.get(owner_key(&job)).await.unwrap(), None);
    strict.close().await;
}
