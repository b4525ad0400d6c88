//! What is true of an etcd that is spoken to by TLS, that asks who one is, and that does not let
//! everybody do everything. Each statement is proved on every version of etcd that is tested.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail as the test does"
)]

mod authority;
mod roles;
mod tls;
mod users;

use std::{path::Path, time::Duration};

use bytes::Bytes;
use jobboard::{
    store::{
        Beat, Error, ErrorKind, Etcd, KeepAlive, Key, Result, Revision, Store, StoreExt,
        WatchRequest, WatchStream,
        etcd::{Settings, Tls},
    },
    testing::LocalEtcd,
};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use self::authority::Authority;

/// More than anything here takes; a test that waits so long has failed.
const BOUND: Duration = Duration::from_mins(1);

/// How long a connection may take. No refusal needs so long, not even on a busy machine, so that
/// one which comes before did not wait for it.
const CONNECT: Duration = Duration::from_secs(10);

/// An etcd that is spoken to by TLS.
struct SecureEtcd {
    process: LocalEtcd,
    /// Who signed its certificate, and signs those of its clients.
    authority: Authority,
    /// Its certificates, which it reads for each new connection.
    files: TempDir,
}

/// What is asked of an etcd.
#[derive(Clone, Copy, Default)]
struct Setup<'a> {
    /// The name in its certificate; that of its endpoint if there is none.
    name: Option<&'a str>,
    /// Whether it asks its clients for a certificate.
    mutual: bool,
    flags: &'a [&'a str],
}

/// An etcd that asks its clients for a certificate.
const MUTUAL: Setup<'static> = Setup {
    name: None,
    mutual: true,
    flags: &[],
};

/// Runs `story` with each version of etcd.
async fn on_each<F: Future<Output = ()>>(setup: Setup<'_>, story: impl Fn(SecureEtcd) -> F) {
    for binary in LocalEtcd::binaries().unwrap() {
        let etcd = SecureEtcd::start(&binary, setup).await;
        timeout(BOUND, Box::pin(story(etcd)))
            .await
            .unwrap_or_else(|_| {
                panic!("the story does not end with {}", binary.display());
            });
    }
}

impl SecureEtcd {
    async fn start(binary: &Path, setup: Setup<'_>) -> Self {
        let authority = Authority::new();
        let files = tempfile::tempdir().unwrap();
        let path = |name| files.path().join(name);
        std::fs::write(path("authority"), authority.certificate()).unwrap();
        show(&files, authority.issue(setup.name.unwrap_or("127.0.0.1")));
        let mut builder = LocalEtcd::builder()
            .binary(binary)
            .tls(path("certificate"), path("key"))
            // So that two cores check a password fast.
            .flag("--bcrypt-cost=4");
        if setup.mutual {
            let trusted = format!("--trusted-ca-file={}", path("authority").display());
            builder = builder.flag("--client-cert-auth").flag(trusted);
        }
        let builder = setup.flags.iter().fold(builder, |it, flag| it.flag(*flag));
        Self {
            process: builder.start().await.unwrap(),
            authority,
            files,
        }
    }

    /// Shows another certificate to those who connect from now on.
    fn show(&self, identity: (String, String)) {
        show(&self.files, identity);
    }

    fn endpoint(&self) -> String {
        self.process.endpoint()
    }

    /// The certificates of a client that trusts this etcd.
    fn tls(&self) -> Tls {
        Tls::new(self.authority.certificate())
    }

    async fn connect(&self) -> Etcd {
        self.connect_by(self.tls()).await.unwrap()
    }

    async fn connect_by(&self, tls: Tls) -> Result<Etcd> {
        let settings = Settings::new().connect_timeout(CONNECT).tls(tls);
        Etcd::connect_with([self.endpoint()], settings).await
    }

    async fn connect_as(&self, user: &str, password: &str) -> Result<Etcd> {
        let settings = Settings::new().connect_timeout(CONNECT).tls(self.tls());
        let settings = settings.user(user, password);
        Etcd::connect_with([self.endpoint()], settings).await
    }
}

fn show(files: &TempDir, (certificate, key): (String, String)) {
    std::fs::write(files.path().join("certificate"), certificate).unwrap();
    std::fs::write(files.path().join("key"), key).unwrap();
}

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
