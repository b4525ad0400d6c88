//! Stories of what a user does with a board, told on each store.

use std::sync::Arc;

use jobboard::{JobBoard, store::Store};

/// Tells each story on the store in memory, and on each version of etcd.
macro_rules! stories {
    ($($story:ident)*) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(std::sync::Arc::new(jobboard::store::Memory::new())).await;
                }
            )*
        }

        mod etcd {
            use jobboard::{store::Etcd, testing::LocalEtcd};
            $(
                #[tokio::test]
                async fn $story() {
                    for binary in LocalEtcd::binaries().unwrap() {
                        let server = LocalEtcd::builder().binary(&binary).start().await.unwrap();
                        println!("etcd {}", server.version().await.unwrap());
                        let store = Etcd::connect([server.endpoint()]).await.unwrap();
                        super::$story(std::sync::Arc::new(store)).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use stories;

/// Connects to the board of the stories.
pub(crate) async fn board(store: &Arc<dyn Store>) -> JobBoard {
    let board = JobBoard::builder("images").store(Arc::clone(store));
    board.connect().await.unwrap()
}
