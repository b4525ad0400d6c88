//! Whether the boards of a story send verbs together.

use jobboard::{JobBoard, JobBoardBuilder};

tokio::task_local! {
    /// Whether the boards of the story send verbs together that wait together.
    pub(crate) static GROUP_COMMIT: bool;
}

/// Sets up a board of a story; outside of one, as boards are by default.
pub(crate) fn builder(name: &str) -> JobBoardBuilder {
    let board = JobBoard::builder(name);
    match GROUP_COMMIT.try_get() {
        Ok(group_commit) => board.group_commit(group_commit),
        Err(_outside) => board,
    }
}
