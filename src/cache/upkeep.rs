//! The owner of the task that keeps a copy of a range up to date.

use std::sync::Arc;

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    feed::{Feed, Sink},
    link::Link,
};
use crate::{
    random::Random,
    store::{KeyRange, Store},
};

/// A task that keeps a [`Sink`] up to date. Dropping this stops it.
#[derive(Debug)]
pub(super) struct Upkeep {
    stop: DropGuard,
    task: TaskTracker,
}

impl Upkeep {
    /// Starts to feed `sink` with what is in `range`. Must be called inside a tokio runtime.
    pub(super) fn start(
        store: Arc<dyn Store>,
        range: KeyRange,
        random: Random,
        sink: impl Sink,
    ) -> (Self, Link) {
        let (end, link) = Link::new();
        let stop = CancellationToken::new();
        let task = TaskTracker::new();
        task.spawn(Feed::new(store, range, random, sink, end).run(stop.clone()));
        task.close();
        let stop = stop.drop_guard();
        (Self { stop, task }, link)
    }

    /// Stops the task and waits until it has ended. What it kept stays as it is. Doing it again is
    /// harmless. Cancel safe.
    pub(super) async fn close(&self) {
        self.stop.token().cancel();
        self.task.wait().await;
    }
}
