//! Leases, on an etcd that does not let everybody write everything.

use std::{collections::BTreeSet, sync::Arc};

use etcd_client::{Client, PutOptions, Txn, TxnOp};
use jobboard::{JobBoard, NewJob, Result};
use tonic::Code;

use super::{
    roles::{POSTER, Roles, denied},
    secure::{PASSWORD, Setup, on_each},
};

#[tokio::test]
async fn role_that_is_taken_on_one_board_does_not_touch_the_session_on_another() {
    on_each(Setup::default(), |etcd| async move {
        let mut roles = Roles::set_up(etcd).await;
        roles.admin.role_add("music").await.unwrap();
        for (what, area) in POSTER.1 {
            roles.grant("music", *what, area, "music").await;
        }
        let granted = roles.admin.user_grant_role("worker", "music").await;
        granted.unwrap();
        let store = Arc::new(roles.etcd.connect_as("worker", PASSWORD).await.unwrap());
        let images = JobBoard::builder("images").store(Arc::clone(&store));
        let images = images.connect().await.unwrap();
        let music = JobBoard::builder("music").store(store).connect();
        let music = music.await.unwrap();
        let job = images.post(NewJob::new("thumbnail")).await.unwrap();
        let claim = images.claim(&job, "worker").await.unwrap();
        music.post(NewJob::new("song")).await.unwrap();
        // etcd asks for the right to write every key that is on the lease of a put.
        let taken = roles.admin.user_revoke_role("worker", "worker").await;
        taken.unwrap();
        denied("post", images.post(NewJob::new("thumbnail"))).await;
        music.post(NewJob::new("song")).await.unwrap();
        assert!(claim.is_held());
    })
    .await;
}

#[tokio::test]
async fn session_carries_a_thousand_claims_of_a_user_and_another_the_rest() {
    on_each(Setup::default(), |etcd| async move {
        const JOBS: usize = 1_100;
        let roles = Roles::set_up(etcd).await;
        let worker = roles.board_of("worker").await;
        let posts = worker.post_many((0..JOBS).map(|_| NewJob::new("thumbnail")));
        let jobs: Vec<_> = posts.await.into_iter().map(Result::unwrap).collect();
        let claims = worker.claim_many(jobs, "worker").await;
        let mut leases = BTreeSet::new();
        for claim in claims {
            let claim = claim.unwrap();
            let holder = worker.holder(claim.job().id());
            leases.extend(holder.and_then(|holder| holder.session));
            claim.consume().await.unwrap();
        }
        assert_eq!(leases.len(), 2);
        assert_eq!(worker.fresh_jobs().await.unwrap().count(), 0);
    })
    .await;
}
