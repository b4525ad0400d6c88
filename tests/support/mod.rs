//! What stories of faults share: boards on real etcd, processes to stop and kill, and ways to etcd
//! that can be cut.

pub(crate) mod process;
pub(crate) mod way;

use std::{sync::Arc, time::Duration};

use futures::future;
use jobboard::{JobBoard, store::etcd::Etcd, testing::LocalEtcd};
use tokio::time::timeout;

/// How long a board's lease lives without word of its owner: the default.
pub(crate) const TTL: Duration = Duration::from_secs(10);

/// More than any story takes; one that takes so long has failed.
const BOUND: Duration = Duration::from_mins(1);

/// Tells `story` with each version of etcd, side by side.
pub(crate) async fn on_each<F>(story: impl Fn(LocalEtcd) -> F + Send + Sync)
where
    F: Future<Output = ()> + Send,
{
    let told = LocalEtcd::binaries().unwrap().into_iter().map(|binary| {
        let story = &story;
        async move {
            let etcd = LocalEtcd::builder().binary(&binary).start().await.unwrap();
            let told = timeout(BOUND, story(etcd)).await;
            told.unwrap_or_else(|_| panic!("it does not end with {}", binary.display()));
        }
    });
    future::join_all(told).await;
}

/// Connects to the board of these stories.
pub(crate) async fn board(endpoint: &str) -> JobBoard {
    let store = Etcd::connect([endpoint]).await.unwrap();
    let board = JobBoard::new(Arc::new(store), "faults").unwrap();
    board.connect().await.unwrap();
    board
}
