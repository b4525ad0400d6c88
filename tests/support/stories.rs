//! Stories of what a user does with a board, told on each store, with verbs sent together and alone.

use std::sync::Arc;

use jobboard::{JobBoard, JobBoardBuilder, store::Store};

tokio::task_local! {
    /// Whether the boards of the story send verbs together that wait together.
    pub(crate) static GROUP_COMMIT: bool;
}

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

/// Sets up a board of a story.
pub(crate) fn builder(name: &str) -> JobBoardBuilder {
    let group_commit = GROUP_COMMIT.try_get().unwrap_or(true);
    JobBoard::builder(name).group_commit(group_commit)
}

/// Connects to the board of the stories.
pub(crate) async fn board(store: &Arc<dyn Store>) -> JobBoard {
    let board = builder("images").store(Arc::clone(store));
    board.connect().await.unwrap()
}
