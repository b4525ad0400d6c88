//! What is true of an etcd that is spoken to by TLS, that asks who one is, and that does not let
//! everybody do everything. Each statement is proved on every version of etcd that is tested.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail as the test does"
)]

mod background;
mod leases;
#[path = "../support/log.rs"]
mod log;
mod other_board;
mod poster;
mod roles;
#[path = "../support/secure.rs"]
mod secure;
mod tls;
mod users;

use bytes::Bytes;
use jobboard::store::{
    Beat, Error, ErrorKind, Etcd, KeepAlive, Key, Result, Revision, Store, StoreExt, WatchRequest,
    WatchStream, etcd::Settings,
};
use tokio::time::Instant;

use self::secure::CONNECT;

/// The error of a connection that is refused, before its time is up, and says by whom.
async fn refused(endpoint: &str, settings: Settings) -> Error {
    let begun = Instant::now();
    let settings = settings.connect_timeout(CONNECT);
    let error = Etcd::connect_with([endpoint], settings).await.unwrap_err();
    assert!(begun.elapsed() < CONNECT, "{:?}", begun.elapsed());
    let address = endpoint.rsplit('/').next().unwrap();
    assert!(error.to_string().contains(address), "{error}");
    error
}

fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}

async fn put(store: &Etcd, text: &str) -> Result<Revision> {
    store.put(key(text), Bytes::from_static(b"1")).await
}

async fn watch(store: &Etcd, text: &str, from: Revision) -> Result<WatchStream> {
    store.watch(WatchRequest::new(key(text), from)).await
}

/// Waits for the first word of a keep-alive that was sent after `instant`.
async fn beat_after(keep_alive: &mut KeepAlive, instant: Instant) {
    loop {
        match keep_alive.changed().await {
            Beat::Alive { sent_at, .. } if sent_at > instant => return,
            Beat::Alive { .. } => {}
            Beat::Gone => panic!("the lease is gone"),
        }
    }
}

/// The kind of the error of what must not be allowed.
fn kind_of<T>(answer: Result<T>) -> ErrorKind {
    answer.err().unwrap().kind()
}
