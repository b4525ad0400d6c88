//! Passwords, tokens and the keys of certificates are in no log: neither in ours, nor in those of the
//! libraries by which we speak with etcd, each at its most talkative.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test did not expect fails it"
)]

#[path = "support/log.rs"]
mod log;
#[path = "support/secure.rs"]
mod secure;

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use jobboard::{
    JobBoard, NewJob,
    store::{ErrorKind, Etcd, etcd::Settings},
};
use tokio::time::interval;

use self::{
    log::Log,
    secure::{CONNECT, MUTUAL, PASSWORD, SecureEtcd, Setup, on_each, signed_tokens},
};

const WRONG_PASSWORD: &str = "guessed-by-nobody";

/// How every signed token begins: `{"alg":` in base64.
const TOKEN: &str = "eyJhbGciO";

#[tokio::test]
async fn passwords_tokens_and_keys_are_in_no_log_whatever_happens_to_connections() {
    let log = Log::of_the_process();
    let (flag, _secret) = signed_tokens();
    let setup = Setup {
        flags: &[&flag],
        ..MUTUAL
    };
    on_each(setup, |etcd| connections_come_and_go(etcd, &log)).await;
    let log = log.text();
    for needed in [
        "jobboard::session",
        "h2::",
        "hyper_util::",
        "rustls::",
        "tower::",
    ] {
        assert!(log.contains(needed), "{needed} logs nothing");
    }
    lacks(&log, &[PASSWORD, WRONG_PASSWORD, TOKEN]);
}

async fn connections_come_and_go(mut etcd: SecureEtcd, log: &Log) {
    etcd.enable_auth().await;
    let (certificate, key) = etcd.authority.issue("client");
    let tls = etcd.tls().identity(certificate.as_str(), key.as_str());
    let settings = Settings::new().connect_timeout(CONNECT).tls(tls);
    let settings = settings.user("root", PASSWORD);
    let endpoint = || [etcd.endpoint()];
    let wrong = settings.clone().user("root", WRONG_PASSWORD);
    let refused = Etcd::connect_with(endpoint(), wrong).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    let cut_off = &key[..key.len() / 2];
    let unreadable = settings
        .clone()
        .tls(etcd.tls().identity(certificate, cut_off));
    let unreadable = Etcd::connect_with(endpoint(), unreadable)
        .await
        .unwrap_err();

    let store = Etcd::connect_with(endpoint(), settings.clone())
        .await
        .unwrap();
    let mut shown =
        format!("{settings:?} {store:?} {refused} {refused:?} {unreadable} {unreadable:?}");
    let board = JobBoard::builder("images").store(store);
    let board = board.connect().await.unwrap();
    let job = board.post(NewJob::new("thumbnail")).await.unwrap();
    let claim = board.claim(&job, "worker").await.unwrap();
    // A token that is younger than all of the board's, and that nobody renews.
    let mut younger = etcd.administrator().await;
    let mut looks = interval(Duration::from_millis(50));
    while younger.get("a", None).await.is_ok() {
        looks.tick().await;
    }
    claim.progress(0.5, None).await.unwrap();
    etcd.process.restart().await.unwrap();
    claim.progress(1.0, None).await.unwrap();
    claim.consume().await.unwrap();
    board.close().await;

    let body: Vec<_> = key.lines().filter(|line| !line.starts_with("--")).collect();
    let bytes = STANDARD.decode(body.concat()).unwrap();
    shown += &log.text();
    lacks(&shown, &body);
    lacks(&shown, &[PASSWORD, WRONG_PASSWORD, TOKEN]);
    assert!(!shown.contains(&listed(&bytes)), "the key is shown");
}

/// Proves that none of the secrets is shown, neither as text nor byte by byte.
fn lacks(shown: &str, secrets: &[&str]) {
    for secret in secrets {
        let bytes = listed(secret.as_bytes());
        let leak = |line: &&str| line.contains(secret) || line.contains(&bytes);
        assert_eq!(shown.lines().find(leak), None, "{secret}");
    }
}

/// Bytes as `Debug` shows them amid others.
fn listed(bytes: &[u8]) -> String {
    let listed = format!("{bytes:?}");
    listed.trim_matches(['[', ']']).to_owned()
}
