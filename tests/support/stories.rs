//! Stories of what a user does with a board, told on each store, with verbs sent together and alone.

mod grouping;

use std::sync::Arc;

use jobboard::{JobBoard, store::Store};

pub(crate) use self::grouping::{GROUP_COMMIT, builder};

/// Tells each story on the store in memory, and on each version of etcd; with group commit and
/// without.
macro_rules! stories {
    ($($story:ident)*) => {
        mod together {
            crate::support::stories! { @stores true $($story)* }
        }

        mod alone {
            crate::support::stories! { @stores false $($story)* }
        }
    };
    (@stores $group_commit:literal $($story:ident)*) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $story() {
                    let store = std::sync::Arc::new(jobboard::store::Memory::new());
                    let story = super::super::$story(store);
                    crate::support::GROUP_COMMIT.scope($group_commit, story).await;
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
                        let story = super::super::$story(std::sync::Arc::new(store));
                        crate::support::GROUP_COMMIT.scope($group_commit, story).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use stories;

/// Connects to the board of the stories.
pub(crate) async fn board(store: &Arc<dyn Store>) -> JobBoard {
    let board = builder("images").store(Arc::clone(store));
    board.connect().await.unwrap()
}
