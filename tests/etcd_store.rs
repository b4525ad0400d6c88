//! What is true of the etcd backend alone: servers that are down, stand still, restart or refuse.
//! Each statement is proved on every version of etcd that is tested.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test fail as the test does"
)]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use etcd_client::{Client, ConnectOptions, Permission, PermissionType};
use futures::{StreamExt, future};
use jobboard::{
    store::{
        Beat, ErrorKind, Etcd, KeepAlive, Key, KeyRange, Op, Pager, RangeRequest, Revision, Store,
        StoreExt, Txn, WatchRequest, etcd::Settings,
    },
    testing::LocalEtcd,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{Instant, timeout},
};

/// More than anything here takes; a test that waits so long has failed.
const BOUND: Duration = Duration::from_secs(30);

/// Runs `story` with each version of etcd, started with `flags`.
async fn on_each<F: Future<Output = ()>>(flags: &[&str], story: impl Fn(LocalEtcd) -> F) {
    for binary in LocalEtcd::binaries().unwrap() {
        let etcd = start(&binary, flags).await;
        timeout(BOUND, story(etcd)).await.unwrap_or_else(|_| {
            panic!("the story does not end with {}", binary.display());
        });
    }
}

async fn start(binary: &PathBuf, flags: &[&str]) -> LocalEtcd {
    let builder = LocalEtcd::builder().binary(binary);
    let builder = flags.iter().fold(builder, |it, flag| it.flag(*flag));
    builder.start().await.unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text.to_owned()).unwrap()
}

async fn put(store: &Etcd, text: &str) -> Revision {
    store
        .put(key(text), Bytes::from_static(b"1"))
        .await
        .unwrap()
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

#[tokio::test]
async fn connect_tells_version_and_cluster() {
    on_each(&[], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        assert_eq!(store.version().to_string(), etcd.version().await.unwrap());
        let answer = store.range(RangeRequest::new(key("a"))).await.unwrap();
        assert_eq!(answer.header.cluster_id, store.cluster_id());
    })
    .await;
}

#[tokio::test]
async fn connect_refuses_what_is_no_endpoint() {
    for endpoints in [vec![], vec!["not an endpoint"], vec!["https://127.0.0.1:1"]] {
        let error = Etcd::connect(endpoints).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn connect_refuses_certificates_that_are_none() {
    use jobboard::store::etcd::Tls;

    let tls = Tls::new("authority").identity("certificate", "secret");
    let settings = Settings::new().tls(tls);
    let error = Etcd::connect_with(["127.0.0.1:1"], settings)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn connect_refuses_members_of_different_clusters() {
    let (one, two) = (
        LocalEtcd::start().await.unwrap(),
        LocalEtcd::start().await.unwrap(),
    );
    let error = Etcd::connect([one.endpoint(), two.endpoint()])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn connect_to_an_etcd_that_is_down_names_it_in_time() {
    on_each(&[], |mut etcd| async move {
        etcd.kill();
        let begun = Instant::now();
        let error = Etcd::connect([etcd.endpoint()]).await.unwrap_err();
        assert!(begun.elapsed() <= Settings::default().connect_timeout);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains(&etcd.endpoint()), "{error}");
    })
    .await;
}

#[tokio::test]
async fn connect_to_an_etcd_that_stands_still_ends() {
    on_each(&[], |etcd| async move {
        etcd.pause().unwrap();
        let settings = Settings::new().connect_timeout(Duration::from_millis(300));
        let connect = Etcd::connect_with([etcd.endpoint()], settings);
        let answer = timeout(Duration::from_secs(3), connect).await;
        let error = answer.expect("it ends in time").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    })
    .await;
}

#[tokio::test]
async fn call_to_an_etcd_that_stands_still_is_ambiguous_only_if_it_writes() {
    on_each(&[], |etcd| async move {
        let settings = Settings::new().request_timeout(Duration::from_millis(300));
        let store = Etcd::connect_with([etcd.endpoint()], settings)
            .await
            .unwrap();
        etcd.pause().unwrap();
        let write = store.put(key("a"), Bytes::new()).await.unwrap_err();
        assert_eq!(write.kind(), ErrorKind::Ambiguous, "{write}");
        let read = store.get(key("a")).await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::Unavailable, "{read}");
        let watch = store
            .watch(WatchRequest::new(key("a"), Revision::new(1)))
            .await;
        assert_eq!(watch.err().unwrap().kind(), ErrorKind::Unavailable);
        let grant = store.grant(Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(grant.kind(), ErrorKind::Ambiguous, "{grant}");
    })
    .await;
}

#[tokio::test]
async fn call_to_an_etcd_that_is_down_changed_nothing() {
    on_each(&[], |mut etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        etcd.kill();
        // The first call can have been sent on the connection that breaks.
        let _ = store.put(key("a"), Bytes::new()).await;
        let error = store.put(key("a"), Bytes::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    })
    .await;
}

#[tokio::test]
async fn dead_endpoint_fails_no_call() {
    on_each(&[], |etcd| async move {
        let mut dead = LocalEtcd::start().await.unwrap();
        dead.kill();
        let settings = Settings::new().request_timeout(Duration::from_secs(1));
        let endpoints = [etcd.endpoint(), dead.endpoint()];
        let store = Etcd::connect_with(endpoints, settings).await.unwrap();
        // The one that lives is left for the dead one, as it does not answer in time.
        etcd.pause().unwrap();
        store.put(key("a"), Bytes::new()).await.unwrap_err();
        etcd.resume().unwrap();
        for turn in 0..200 {
            put(&store, &turn.to_string()).await;
        }
        let lease = store.grant(Duration::from_secs(2)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(200));
        beat_after(&mut keep_alive, Instant::now()).await;
    })
    .await;
}

#[tokio::test]
async fn endpoint_that_dies_fails_no_read() {
    on_each(&[], |etcd| async move {
        // Two ways to one server, so that the second can be there when the first is cut.
        let (first, second) = (Way::new().await, Way::new().await);
        let endpoints = [first.endpoint(), second.endpoint()];
        let first = first.open(&etcd);
        let store = Etcd::connect(endpoints).await.unwrap();
        put(&store, "a").await;
        let second = second.open(&etcd);
        etcd.pause().unwrap();
        let before = first.sent.load(Ordering::Relaxed);
        let reads = future::join_all((0..200).map(|_| store.get(key("a"))));
        let trouble = async {
            while first.sent.load(Ordering::Relaxed) == before {
                tokio::task::yield_now().await;
            }
            first.cut().await;
            etcd.resume().unwrap();
        };
        let (reads, ()) = tokio::join!(reads, trouble);
        assert_eq!(reads.iter().filter(|read| read.is_err()).count(), 0);
        assert!(second.sent.load(Ordering::Relaxed) > 0);
    })
    .await;
}

#[tokio::test]
async fn endpoint_that_dies_stops_no_keep_alive() {
    on_each(&[], |etcd| async move {
        let (first, second) = (Way::new().await, Way::new().await);
        let endpoints = [first.endpoint(), second.endpoint()];
        let first = first.open(&etcd);
        let store = Etcd::connect(endpoints).await.unwrap();
        let lease = store.grant(Duration::from_secs(5)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(300));
        beat_after(&mut keep_alive, lease.sent_at).await;
        let _second = second.open(&etcd);
        first.cut().await;
        beat_after(&mut keep_alive, Instant::now()).await;
    })
    .await;
}

#[tokio::test]
async fn restart_ends_watches_which_go_on_from_where_they_were() {
    on_each(&[], |mut etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let range = KeyRange::prefix(key("a"));
        let first = put(&store, "a1").await;
        let mut watch = store
            .watch(WatchRequest::new(range.clone(), first))
            .await
            .unwrap();
        let batch = watch.next().await.unwrap().unwrap();
        assert_eq!(batch.events[0].revision(), first);

        etcd.restart().await.unwrap();
        let error = watch.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(watch.next().await.is_none());

        let second = put(&store, "a2").await;
        let mut watch = store
            .watch(WatchRequest::new(range, first.next()))
            .await
            .unwrap();
        let batch = watch.next().await.unwrap().unwrap();
        assert_eq!(batch.events[0].revision(), second);
        assert_eq!(batch.events.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn dropped_watch_ends_in_etcd() {
    on_each(&[], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let request = WatchRequest::new(key("a"), Revision::new(1));
        let watch = store.watch(request).await.unwrap();
        watchers(&etcd, 1).await;
        drop(watch);
        watchers(&etcd, 0).await;
    })
    .await;
}

/// Waits until etcd counts `expected` watchers.
async fn watchers(etcd: &LocalEtcd, expected: u32) {
    let line = format!("\netcd_debugging_mvcc_watcher_total {expected}\n");
    let address = etcd.endpoint().replace("http://", "");
    loop {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).await.unwrap();
        if metrics.contains(&line) {
            return;
        }
    }
}

#[tokio::test]
async fn watch_of_compacted_revisions_says_so() {
    on_each(&[], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        put(&store, "a").await;
        let newest = put(&store, "a").await;
        store.compact(newest).await.unwrap();
        let request = WatchRequest::new(key("a"), Revision::new(1));
        let mut watch = store.watch(request).await.unwrap();
        let error = watch.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Compacted, "{error}");
        assert!(watch.next().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn keep_alive_survives_a_restart() {
    on_each(&[], |mut etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let lease = store.grant(Duration::from_secs(5)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(300));
        beat_after(&mut keep_alive, lease.sent_at).await;
        etcd.restart().await.unwrap();
        beat_after(&mut keep_alive, Instant::now()).await;
    })
    .await;
}

#[tokio::test]
async fn keep_alive_goes_on_while_the_runtime_is_blocked() {
    on_each(&[], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let lease = store.grant(Duration::from_secs(2)).await.unwrap();
        let mine = Op::put_with_lease(key("mine"), "1", lease.id);
        store.txn(Txn::new().then([mine])).await.unwrap();
        let keep_alive = store.keep_alive(&lease, lease.ttl / 3);
        let blocked = lease.ttl * 2;
        #[expect(
            clippy::disallowed_methods,
            reason = "a handler that blocks its runtime"
        )]
        std::thread::sleep(blocked);
        let Beat::Alive { sent_at, ttl } = keep_alive.latest() else {
            panic!("the lease is gone");
        };
        assert_eq!(ttl, lease.ttl);
        assert!(sent_at + ttl > Instant::now());
        assert!(store.get(key("mine")).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn keep_alive_tells_that_a_lease_was_revoked() {
    on_each(&[], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let lease = store.grant(Duration::from_secs(5)).await.unwrap();
        let mut running = store.keep_alive(&lease, Duration::from_millis(100));
        beat_after(&mut running, lease.sent_at).await;
        store.revoke(lease.id).await.unwrap();
        while running.changed().await != Beat::Gone {}
        let mut late = store.keep_alive(&lease, Duration::from_millis(100));
        assert_eq!(late.changed().await, Beat::Gone);
        let error = store.revoke(lease.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseNotFound, "{error}");
    })
    .await;
}

#[tokio::test]
async fn keep_alive_stops_with_its_handle() {
    on_each(&[], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let lease = store.grant(Duration::from_secs(2)).await.unwrap();
        let mine = Op::put_with_lease(key("mine"), "1", lease.id);
        let written = store.txn(Txn::new().then([mine])).await.unwrap();
        let from = written.header.revision.next();
        let mut watch = store
            .watch(WatchRequest::new(key("mine"), from))
            .await
            .unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_millis(100));
        beat_after(&mut keep_alive, lease.sent_at).await;
        drop(keep_alive);
        let ended = watch.next().await.unwrap().unwrap();
        assert_eq!(*ended.events[0].key(), key("mine"));
    })
    .await;
}

#[tokio::test]
async fn answer_that_is_too_large_is_read_in_smaller_pages() {
    on_each(&[], |etcd| async move {
        let settings = Settings::new().max_response_bytes(64 * 1024);
        let store = Etcd::connect_with([etcd.endpoint()], settings)
            .await
            .unwrap();
        for turn in 0..16 {
            let name = key(&format!("a{turn:02}"));
            store
                .put(name, Bytes::from(vec![b'x'; 10 * 1024]))
                .await
                .unwrap();
        }
        let range = KeyRange::prefix(key("a"));
        let error = store
            .range(RangeRequest::new(range.clone()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        let mut pager = Pager::new(range.clone(), 100);
        let mut keys = 0;
        while let Some(page) = pager.next(&store).await.unwrap() {
            keys += page.kvs.len();
        }
        assert_eq!(keys, 16);
        // The same answer to a transaction that wrote does not say that it did nothing.
        let write = Txn::new().then([Op::put(key("b"), "1"), Op::get(range)]);
        let error = store.txn(write).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
        assert!(store.get(key("b")).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn full_etcd_takes_no_write_and_grants_no_lease() {
    on_each(&["--quota-backend-bytes=1000000"], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let error = loop {
            let value = Bytes::from(vec![b'x'; 200 * 1024]);
            if let Err(error) = store.put(key("a"), value).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        let error = store.grant(Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        // It can be read, together as well.
        let reads = Txn::new().then([Op::get(key("a")), Op::get(key("b"))]);
        let reads = store.txn(reads).await.unwrap().into_reads();
        assert!(reads[0].first().is_some() && reads[1].first().is_none());
    })
    .await;
}

#[tokio::test]
async fn refused_transactions_are_told_by_what_is_wrong_with_them() {
    on_each(&["--max-txn-ops=4"], |etcd| async move {
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let now = put(&store, "a").await;
        let past = Op::Range(RangeRequest::new(key("a")).at(now));
        let many = (0..5).map(|turn| Op::put(key(&turn.to_string()), "1"));
        let twice = [Op::put(key("b"), "1"), Op::put(key("b"), "2")];
        let large = [Op::put(key("b"), vec![b'x'; 3 << 20])];
        for (txn, why) in [
            (
                Txn::new().then([Op::put(key("b"), "1"), past]),
                ErrorKind::Invalid,
            ),
            (Txn::new().then(twice), ErrorKind::Invalid),
            (Txn::new().then(many), ErrorKind::TooManyOps),
            (Txn::new().then(large), ErrorKind::RequestTooLarge),
        ] {
            let error = store.txn(txn).await.unwrap_err();
            assert_eq!(error.kind(), why, "{error}");
        }
        assert_eq!(store.get(key("b")).await.unwrap(), None);
    })
    .await;
}

/// Makes the user `root`, and `reader` who may read below `open/`; then turns authentication on.
async fn enable_auth(etcd: &LocalEtcd) {
    let mut admin = Client::connect([etcd.endpoint()], None).await.unwrap();
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.role_add("reading").await.unwrap();
    let open = Permission::new(PermissionType::Read, "open/").with_prefix();
    admin.role_grant_permission("reading", open).await.unwrap();
    admin.user_add("reader", "secret", None).await.unwrap();
    admin.user_grant_role("reader", "reading").await.unwrap();
    admin.auth_enable().await.unwrap();
}

async fn connect_as(etcd: &LocalEtcd, user: &str, password: &str) -> jobboard::store::Result<Etcd> {
    // Two cores check a password slowly when everybody asks at once.
    let settings = Settings::new()
        .user(user, password)
        .connect_timeout(Duration::from_secs(10));
    Etcd::connect_with([etcd.endpoint()], settings).await
}

#[tokio::test]
async fn wrong_users_are_denied_and_the_password_is_not_told() {
    on_each(&[], |etcd| async move {
        let needless = connect_as(&etcd, "root", "secret").await.unwrap_err();
        assert_eq!(needless.kind(), ErrorKind::Invalid, "{needless}");
        enable_auth(&etcd).await;
        for (user, password) in [("root", "terces"), ("nobody", "terces")] {
            let error = connect_as(&etcd, user, password).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(!format!("{error} {error:?}").contains("terces"));
        }
        let error = Etcd::connect([etcd.endpoint()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let store = connect_as(&etcd, "root", "secret").await.unwrap();
        assert!(!format!("{store:?}").contains("secret"));
        put(&store, "a").await;
    })
    .await;
}

#[tokio::test]
async fn user_is_denied_what_no_role_allows() {
    on_each(&[], |etcd| async move {
        enable_auth(&etcd).await;
        let store = connect_as(&etcd, "reader", "secret").await.unwrap();
        assert_eq!(store.get(key("open/a")).await.unwrap(), None);
        let read = store.get(key("a")).await.unwrap_err();
        assert_eq!(read.kind(), ErrorKind::Denied, "{read}");
        let write = store.put(key("open/a"), Bytes::new()).await.unwrap_err();
        assert_eq!(write.kind(), ErrorKind::Denied, "{write}");
        let watch = store
            .watch(WatchRequest::new(key("a"), Revision::new(1)))
            .await;
        assert_eq!(watch.err().unwrap().kind(), ErrorKind::Denied);
    })
    .await;
}

#[tokio::test]
async fn restart_ends_no_users_keep_alive() {
    on_each(&[], |mut etcd| async move {
        enable_auth(&etcd).await;
        let store = connect_as(&etcd, "root", "secret").await.unwrap();
        let lease = store.grant(Duration::from_secs(10)).await.unwrap();
        let mut keep_alive = store.keep_alive(&lease, Duration::from_secs(2));
        beat_after(&mut keep_alive, lease.sent_at).await;
        etcd.restart().await.unwrap();
        put(&store, "a").await;
        beat_after(&mut keep_alive, Instant::now()).await;
    })
    .await;
}

#[tokio::test]
async fn token_that_became_void_is_renewed() {
    on_each(&[], |etcd| async move {
        enable_auth(&etcd).await;
        let store = connect_as(&etcd, "root", "secret").await.unwrap();
        put(&store, "a").await;
        // A new password makes the tokens of the user void, even if it is the old one.
        let mut admin = administrator(&etcd).await;
        admin.user_change_password("root", "secret").await.unwrap();
        put(&store, "a").await;
    })
    .await;
}

async fn administrator(etcd: &LocalEtcd) -> Client {
    let root = ConnectOptions::new().with_user("root", "secret");
    let client = Client::connect([etcd.endpoint()], Some(root));
    client.await.unwrap()
}

#[tokio::test]
async fn token_older_than_a_change_of_roles_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let flag = format!(
        "--auth-token=jwt,priv-key={},sign-method=HS256,ttl=10m",
        secret.display()
    );
    on_each(&[&flag], |etcd| async move {
        enable_auth(&etcd).await;
        let store = connect_as(&etcd, "root", "secret").await.unwrap();
        put(&store, "a").await;
        let mut admin = administrator(&etcd).await;
        admin.role_add("another").await.unwrap();
        put(&store, "a").await;
        let from = Revision::new(1);
        assert!(store.watch(WatchRequest::new(key("a"), from)).await.is_ok());
    })
    .await;
}

/// A way to an etcd: an address where nobody answers until it is opened.
struct Way(TcpListener);

/// A way that is open, until it is cut.
struct OpenWay {
    work: JoinHandle<()>,
    /// How many bytes went to etcd on it.
    sent: Arc<AtomicUsize>,
}

impl Way {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    fn open(self, etcd: &LocalEtcd) -> OpenWay {
        let target = etcd.endpoint().replace("http://", "");
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let work = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (here, _) = self.0.accept().await.unwrap();
                let there = TcpStream::connect(&target).await.unwrap();
                connections.spawn(carry(here, there, Arc::clone(&counter)));
            }
        });
        OpenWay { work, sent }
    }
}

impl OpenWay {
    async fn cut(self) {
        self.work.abort();
        let _ = self.work.await;
    }
}

/// Carries bytes between both, and counts those that go `there`.
async fn carry(here: TcpStream, there: TcpStream, sent: Arc<AtomicUsize>) {
    let (mut client_says, mut client_hears) = here.into_split();
    let (mut server_says, mut server_hears) = there.into_split();
    let forth = async {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = client_says.read(&mut bytes).await {
            sent.fetch_add(count, Ordering::Relaxed);
            server_hears.write_all(&bytes[..count]).await.unwrap();
        }
    };
    let back = tokio::io::copy(&mut server_says, &mut client_hears);
    let _ = tokio::join!(forth, back);
}
