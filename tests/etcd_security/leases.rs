//! Leases, on an etcd that does not let everybody write everything.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use etcd_client::{Error, PutOptions, Txn, TxnOp};
use jobboard::{JobBoard, NewJob};
use tonic::Code;

use super::{
    roles::{POSTER, READ_AND_WRITE, Roles, denied},
    secure::{PASSWORD, Setup, on_each},
};

/// A lease with a key of the board `music` on it, which none of the users of [`Roles`] may write.
async fn lease_of_another(roles: &mut Roles) -> i64 {
    let lease = roles.admin.lease_grant(60, None).await.unwrap().id();
    let on_it = PutOptions::new().with_lease(lease);
    let put = roles
        .admin
        .put("/taskflow/jobs/music/job1.lock", "1", Some(on_it));
    put.await.unwrap();
    lease
}

fn is_denied<T: Debug>(answer: Result<T, Error>) {
    let error = answer.unwrap_err();
    assert!(
        matches!(&error, Error::GRpcStatus(status) if status.code() == Code::PermissionDenied),
        "{error}"
    );
}

#[tokio::test]
async fn plain_put_needs_the_right_to_all_keys_of_its_lease_and_one_in_a_transaction_does_not() {
    on_each(Setup::default(), |etcd| async move {
        let mut roles = Roles::set_up(etcd).await;
        let lease = lease_of_another(&mut roles).await;
        let mut poster = roles.etcd.raw_client(Some("poster")).await;
        let key = "/taskflow/jobs/images/job1.data";
        let on_it = PutOptions::new().with_lease(lease);
        poster.put(key, "1", None).await.unwrap();
        is_denied(poster.put(key, "2", Some(on_it.clone())).await);
        let put = Txn::new().and_then([TxnOp::put(key, "3", Some(on_it.clone()))]);
        poster.txn(put).await.unwrap();
        // Neither does one that is nested, as those of a group are.
        let put = Txn::new().and_then([TxnOp::put(key, "4", Some(on_it))]);
        let put = Txn::new().and_then([TxnOp::txn(put)]);
        poster.txn(put).await.unwrap();
        let put = &roles.admin.get(key, None).await.unwrap().kvs()[0].clone();
        assert_eq!((put.value(), put.lease()), (&b"4"[..], lease));
    })
    .await;
}

#[tokio::test]
async fn lease_is_ended_by_who_may_write_all_keys_on_it_only_and_kept_alive_by_anybody() {
    on_each(Setup::default(), |etcd| async move {
        let mut roles = Roles::set_up(etcd).await;
        let lease = lease_of_another(&mut roles).await;
        let mut worker = roles.etcd.raw_client(Some("worker")).await;
        is_denied(worker.lease_revoke(lease).await);
        worker.lease_keep_alive(lease).await.unwrap();
        roles.grant("worker", READ_AND_WRITE, "jobs", "music").await;
        worker.lease_revoke(lease).await.unwrap();
    })
    .await;
}

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
        // A session has a lease on one board only.
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
