//! What stories of faults share: boards on real etcd, processes to stop and kill, and ways to etcd
//! that can be cut.

pub(crate) mod process;
pub(crate) mod way;

use std::time::Duration;

use futures::future;
use jobboard::{JobBoard, store::etcd::Etcd, testing::LocalEtcd};
use tokio::time::timeout;

/// How long the lease of a [`brief_board`] lives without word of its owner.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// How much later than a lease's time to live etcd and the watch may bring a dead owner's jobs
/// back.
pub(crate) const LATE: Duration = Duration::from_millis(1_500);

/// More than any story takes; one that takes so long has failed.
const BOUND: Duration = Duration::from_mins(1);

/// Tells `story` with each version of etcd, side by side.
pub(crate) async fn on_each<F>(story: impl Fn(LocalEtcd) -> F + Send + Sync)
where
    F: Future<Output = ()> + Send,
{
    on_each_within(BOUND, story).await;
}

/// As [`on_each`], for a story that takes longer than others.
pub(crate) async fn on_each_within<F>(bound: Duration, story: impl Fn(LocalEtcd) -> F + Send + Sync)
where
    F: Future<Output = ()> + Send,
{
    let told = LocalEtcd::binaries().unwrap().into_iter().map(|binary| {
        let story = &story;
        async move {
            let etcd = LocalEtcd::builder().binary(&binary).start().await.unwrap();
            let told = timeout(bound, story(etcd)).await;
            told.unwrap_or_else(|_| panic!("it does not end with {}", binary.display()));
        }
    });
    future::join_all(told).await;
}

/// Connects to the board of these stories, with the default time to live: longer than etcd is away
/// in any of them.
pub(crate) async fn board(endpoint: &str) -> JobBoard {
    let store = Etcd::connect([endpoint]).await.unwrap();
    JobBoard::builder("faults")
        .store(store)
        .connect()
        .await
        .unwrap()
}

/// Connects to the board of these stories, with a time to live that a story can wait for.
pub(crate) async fn brief_board(endpoint: &str) -> JobBoard {
    let store = Etcd::connect([endpoint]).await.unwrap();
    let board = JobBoard::builder("faults").store(store).ttl(TTL);
    board.connect().await.unwrap()
}
