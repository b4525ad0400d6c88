//! Who speaks with whom.

use std::time::Duration;

use futures::StreamExt;
use jobboard::{
    store::{
        ErrorKind, Store,
        etcd::{Settings, Tls},
    },
    testing::LocalEtcd,
};
use tokio::time::Instant;

use super::{
    beat_after, kind_of, put, refused,
    secure::{Authority, MUTUAL, Setup, on_each},
    watch,
};

#[tokio::test]
async fn tls_carries_requests_watches_and_keep_alives() {
    on_each(Setup::default(), |mut etcd| async move {
        let store = etcd.connect().await;
        let written = put(&store, "a").await.unwrap();
        let mut changes = watch(&store, "a", written).await.unwrap();
        let told = changes.next().await.unwrap().unwrap();
        assert_eq!(told.events[0].revision(), written);
        let lease = store.grant(Duration::from_secs(10)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_secs(1));
        beat_after(&mut keep_alive, lease.sent_at).await;
        // All three come back by new connections.
        etcd.process.restart().await.unwrap();
        assert_eq!(
            changes.next().await.unwrap().unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        put(&store, "a").await.unwrap();
        drop(watch(&store, "a", written).await.unwrap());
        beat_after(&mut keep_alive, Instant::now()).await;
    })
    .await;
}

#[tokio::test]
async fn etcd_that_another_authority_vouches_for_is_refused() {
    on_each(Setup::default(), |etcd| async move {
        let settings = Settings::new().tls(Tls::new(Authority::new().certificate()));
        let error = refused(&etcd.endpoint(), settings).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn etcd_of_another_name_is_refused_unless_that_is_asked_for() {
    let setup = Setup {
        name: Some("etcd.example"),
        ..Setup::default()
    };
    on_each(setup, |etcd| async move {
        let error = refused(&etcd.endpoint(), Settings::new().tls(etcd.tls())).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        let store = etcd.connect_by(etcd.tls().domain("etcd.example")).await;
        put(&store.unwrap(), "a").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn etcd_that_asks_for_a_certificate_refuses_who_has_none() {
    on_each(MUTUAL, |etcd| async move {
        let error = refused(&etcd.endpoint(), Settings::new().tls(etcd.tls())).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("without a client's certificate"),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn etcd_that_asks_for_a_certificate_refuses_that_of_another_authority() {
    on_each(MUTUAL, |etcd| async move {
        let (certificate, key) = Authority::new().issue("client");
        let tls = etcd.tls().identity(certificate, key);
        let error = refused(&etcd.endpoint(), Settings::new().tls(tls)).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("with the client's certificate"),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn etcd_that_asks_for_a_certificate_serves_who_has_one() {
    on_each(MUTUAL, |etcd| async move {
        let (certificate, key) = etcd.authority.issue("client");
        let store = etcd.connect_by(etcd.tls().identity(certificate, key)).await;
        let store = store.unwrap();
        let written = put(&store, "a").await.unwrap();
        drop(watch(&store, "a", written).await.unwrap());
        let lease = store.grant(Duration::from_secs(10)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_secs(1));
        beat_after(&mut keep_alive, lease.sent_at).await;
    })
    .await;
}

#[tokio::test]
async fn etcd_that_speaks_tls_refuses_who_does_not() {
    on_each(Setup::default(), |etcd| async move {
        let plain = etcd.endpoint().replace("https://", "http://");
        let error = refused(&plain, Settings::new()).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    })
    .await;
}

#[tokio::test]
async fn etcd_without_tls_is_refused_by_who_speaks_it() {
    for binary in LocalEtcd::binaries().unwrap() {
        let etcd = LocalEtcd::builder().binary(binary).start().await.unwrap();
        let secure = etcd.endpoint().replace("http://", "https://");
        let tls = Tls::new(Authority::new().certificate());
        let error = refused(&secure, Settings::new().tls(tls)).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_who_took_the_place_of_etcd() {
    on_each(Setup::default(), |mut etcd| async move {
        let store = etcd.connect().await;
        put(&store, "a").await.unwrap();
        etcd.show(Authority::new().issue("127.0.0.1"));
        etcd.process.restart().await.unwrap();
        // The first call can have been sent on the connection that breaks.
        let _ = put(&store, "a").await;
        assert_eq!(kind_of(put(&store, "a").await), ErrorKind::Unavailable);
        etcd.show(etcd.authority.issue("127.0.0.1"));
        put(&store, "a").await.unwrap();
    })
    .await;
}
