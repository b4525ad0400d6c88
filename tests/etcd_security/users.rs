//! What users may do, and for how long they are known.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use jobboard::{
    JobBoard, NewJob,
    store::{Compare, ErrorKind, Op, Revision, Store, StoreExt, Txn},
};
use tokio::time::{Instant, interval};

use super::{
    beat_after, key, kind_of, put,
    secure::{MUTUAL, PASSWORD, Setup, on_each, signed_tokens},
    watch,
};

#[tokio::test]
async fn wrong_password_is_denied_and_not_told() {
    on_each(Setup::default(), |etcd| async move {
        etcd.enable_auth().await;
        let error = etcd.connect_as("root", "terces").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(!format!("{error} {error:?}").contains("terces"));
        let store = etcd.connect_as("root", PASSWORD).await.unwrap();
        put(&store, "a").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn user_is_denied_every_kind_of_request_that_no_role_allows() {
    on_each(Setup::default(), |etcd| async move {
        etcd.enable_auth().await;
        let store = etcd.connect_as("reader", PASSWORD).await.unwrap();
        assert_eq!(kind_of(store.get(key("a")).await), ErrorKind::Denied);
        let reading = Txn::new().then([Op::get(key("a"))]);
        let comparing = Txn::new().when([Compare::absent(key("a"))]);
        let writing = Txn::new().then([Op::put(key("open/a"), Bytes::new())]);
        for txn in [reading, comparing, writing] {
            assert_eq!(kind_of(store.txn(txn).await), ErrorKind::Denied);
        }
        let from = Revision::new(1);
        assert_eq!(kind_of(watch(&store, "a", from).await), ErrorKind::Denied);
        drop(watch(&store, "open/a", from).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn user_can_be_whom_the_certificate_names() {
    on_each(MUTUAL, |etcd| async move {
        etcd.enable_auth().await;
        let (certificate, key_of_it) = etcd.authority.issue("reader");
        let tls = etcd.tls().identity(certificate, key_of_it);
        let store = etcd.connect_by(tls).await.unwrap();
        store.get(key("open/a")).await.unwrap();
        assert_eq!(kind_of(put(&store, "open/a").await), ErrorKind::Denied);
        drop(watch(&store, "open/a", Revision::new(1)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn user_whose_password_was_changed_is_denied_until_it_is_the_old_one_again() {
    on_each(Setup::default(), |etcd| async move {
        etcd.enable_auth().await;
        let store = etcd.connect_as("reader", PASSWORD).await.unwrap();
        let from = Revision::new(1);
        store.get(key("open/a")).await.unwrap();
        drop(watch(&store, "open/a", from).await.unwrap());
        let mut admin = etcd.administrator().await;
        admin
            .user_change_password("reader", "another")
            .await
            .unwrap();
        assert_eq!(kind_of(store.get(key("open/a")).await), ErrorKind::Denied);
        assert_eq!(kind_of(put(&store, "open/a").await), ErrorKind::Denied);
        assert_eq!(
            kind_of(watch(&store, "open/a", from).await),
            ErrorKind::Denied
        );
        admin
            .user_change_password("reader", PASSWORD)
            .await
            .unwrap();
        store.get(key("open/a")).await.unwrap();
        drop(watch(&store, "open/a", from).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn token_that_expired_is_renewed() {
    let (flag, _secret) = signed_tokens();
    let setup = Setup {
        flags: &[&flag],
        ..Setup::default()
    };
    on_each(setup, |etcd| async move {
        etcd.enable_auth().await;
        let store = etcd.connect_as("root", PASSWORD).await.unwrap();
        let written = put(&store, "a").await.unwrap();
        let mut changes = watch(&store, "a", written.next()).await.unwrap();
        let lease = store.grant(Duration::from_secs(10)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(500));
        beat_after(&mut keep_alive, lease.sent_at).await;
        // A token that is younger than all of the store's, and that nobody renews.
        let mut younger = etcd.administrator().await;
        let mut looks = interval(Duration::from_millis(50));
        while younger.get("a", None).await.is_ok() {
            looks.tick().await;
        }
        let written = put(&store, "a").await.unwrap();
        let told = changes.next().await.unwrap().unwrap();
        assert_eq!(told.events[0].revision(), written);
        drop(watch(&store, "a", written).await.unwrap());
        beat_after(&mut keep_alive, Instant::now()).await;
    })
    .await;
}

#[tokio::test]
async fn lease_is_kept_alive_where_it_takes_long_to_check_a_password() {
    // Some half a second: longer than there is between two keep-alives.
    let setup = Setup {
        flags: &["--bcrypt-cost=13"],
        ..Setup::default()
    };
    on_each(setup, |etcd| async move {
        etcd.enable_auth().await;
        let store = etcd.connect_as("root", PASSWORD).await.unwrap();
        let lease = store.grant(Duration::from_mins(1)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(200));
        beat_after(&mut keep_alive, lease.sent_at).await;
    })
    .await;
}

#[tokio::test]
async fn board_of_a_user_who_may_only_read_is_fresh_and_takes_no_post() {
    on_each(Setup::default(), |etcd| async move {
        etcd.enable_auth().await;
        let store = etcd.connect_as("root", PASSWORD).await.unwrap();
        let poster = JobBoard::builder("images").store(store);
        let poster = poster.connect().await.unwrap();
        let store = etcd.connect_as("reader", PASSWORD).await.unwrap();
        let reader = JobBoard::builder("images").store(store);
        let reader = reader.connect().await.unwrap();
        for count in 1..=3 {
            poster.post(NewJob::new("thumbnail")).await.unwrap();
            assert_eq!(reader.fresh_jobs().await.unwrap().count(), count);
        }
        assert!(reader.counts().relists >= 3);
        let error = reader.post(NewJob::new("thumbnail")).await.unwrap_err();
        assert_eq!(error.kind(), jobboard::ErrorKind::Denied, "{error}");
        assert_eq!(poster.fresh_jobs().await.unwrap().count(), 3);
    })
    .await;
}

#[tokio::test]
async fn user_who_may_not_read_whether_a_board_is_paused_is_told_so() {
    on_each(Setup::default(), |etcd| async move {
        etcd.enable_auth().await;
        let store = etcd.connect_as("root", PASSWORD).await.unwrap();
        let poster = JobBoard::builder("images").store(store);
        let poster = poster.connect().await.unwrap();
        poster.post(NewJob::new("thumbnail")).await.unwrap();
        let store = etcd.connect_as("reader", PASSWORD).await.unwrap();
        let reader = JobBoard::builder("images").store(store);
        let reader = reader.connect().await.unwrap();
        for refused in [
            reader.paused().await.err(),
            reader.resumed(None).await.err(),
            reader.wait_unclaimed(None).await.err(),
        ] {
            let error = refused.unwrap();
            assert_eq!(error.kind(), jobboard::ErrorKind::Denied, "{error}");
        }
        // It sees the jobs all the same.
        assert_eq!(reader.fresh_jobs().await.unwrap().count(), 1);
        assert!(reader.wait(None).await.unwrap().is_some());
    })
    .await;
}
