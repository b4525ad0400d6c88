//! Barriers: the writes by which a view learns how far it must have come.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::{
    protocol::{barrier::barrier, keys::Keyspace, repeatable::Repeatable},
    session::{Pool, WriteError},
    store::Revision,
};

type Batch = Shared<BoxFuture<'static, Result<Revision, Arc<WriteError>>>>;

/// Writes barriers, one at a time: each serves all who asked before it was sent.
pub(super) struct Barriers {
    asked: Arc<Asked>,
    pool: Arc<Pool>,
    barrier: Repeatable,
    /// How long a barrier is tried to be written.
    patience: Duration,
    /// What writes: not the caller, whom nobody may be polling.
    tasks: TaskTracker,
}

/// Who asked for a barrier that has not been sent.
#[derive(Default)]
struct Asked {
    next: Mutex<Option<Batch>>,
    under_way: tokio::sync::Mutex<()>,
}

impl Barriers {
    pub(super) fn new(
        pool: Arc<Pool>,
        keys: &Keyspace,
        patience: Duration,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            asked: Arc::default(),
            pool,
            barrier: barrier(keys),
            patience,
            tasks,
        }
    }

    /// A revision at which everything is seen that was written before this call.
    pub(super) async fn revision(&self, deadline: Instant) -> Result<Revision, Arc<WriteError>> {
        let batch = self
            .asked
            .next()
            .get_or_insert_with(|| self.batch())
            .clone();
        timeout_at(deadline, batch).await.unwrap_or_else(|_late| {
            let why = "no barrier was written in time".to_owned();
            Err(Arc::new(WriteError::Unreached(why)))
        })
    }

    /// A barrier to be sent when the one that is under way has its answer.
    fn batch(&self) -> Batch {
        let (asked, pool) = (Arc::clone(&self.asked), Arc::clone(&self.pool));
        let (barrier, patience) = (self.barrier.clone(), self.patience);
        let writing = self.tasks.spawn(async move {
            let _under_way = asked.under_way.lock().await;
            // Who asks from here on may have written after this is sent.
            asked.next().take();
            pool.write(barrier, Instant::now() + patience).await
        });
        let outcome = writing.map(|done| match done {
            Ok(outcome) => outcome.map_err(Arc::new),
            Err(_ended) => Err(Arc::new(WriteError::NotSent)),
        });
        outcome.boxed().shared()
    }
}

impl Asked {
    /// Held for a few instructions only, never across an await.
    fn next(&self) -> MutexGuard<'_, Option<Batch>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
