//! Barriers: the writes by which a view learns how far it must have come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;

use crate::{
    protocol::{barrier::Barrier, keys::Keyspace},
    session::{Pool, WriteError},
    store::Revision,
};

type Batch = Shared<BoxFuture<'static, Result<Revision, Arc<WriteError>>>>;

/// Writes barriers, one at a time: each serves all who asked before it was sent.
pub(super) struct Barriers {
    shared: Arc<Asked>,
    pool: Arc<Pool>,
    barrier: Barrier,
}

/// Who asked for a barrier that has not been sent.
#[derive(Default)]
struct Asked {
    next: Mutex<Option<Batch>>,
    under_way: tokio::sync::Mutex<()>,
}

impl Barriers {
    pub(super) fn new(pool: Arc<Pool>, keys: &Keyspace) -> Self {
        Self {
            shared: Arc::default(),
            pool,
            barrier: Barrier::new(keys),
        }
    }

    /// A revision at which everything is seen that was written before this call.
    pub(super) async fn revision(&self, deadline: Instant) -> Result<Revision, Arc<WriteError>> {
        let batch = self
            .shared
            .next()
            .get_or_insert_with(|| self.batch(deadline))
            .clone();
        batch.await
    }

    /// A barrier to be sent when the one that is under way has its answer.
    fn batch(&self, deadline: Instant) -> Batch {
        // Weak: the batch lies in what it looks into.
        let asked: Weak<Asked> = Arc::downgrade(&self.shared);
        let (pool, barrier) = (Arc::clone(&self.pool), self.barrier.clone());
        let write = async move {
            let Some(asked) = asked.upgrade() else {
                return Err(WriteError::NotSent);
            };
            let _under_way = asked.under_way.lock().await;
            // Who asks from here on may have written after this is sent.
            asked.next().take();
            pool.write(barrier, deadline).await
        };
        write
            .map(|outcome| outcome.map_err(Arc::new))
            .boxed()
            .shared()
    }
}

impl Asked {
    /// Held for a few instructions only, never across an await.
    fn next(&self) -> MutexGuard<'_, Option<Batch>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
