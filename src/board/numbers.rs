//! The numbers that a board has taken for jobs and not given to any yet.

use std::sync::Arc;

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::failure;
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::{JobId, Keyspace},
        record::Unreadable,
        reserve::{Block, Counter, Reserve, ReserveRefusal},
    },
    session::Pool,
};

/// The largest block: what is not used of it leaves a gap.
const LARGEST: u32 = 256;

const DOING: &str = "take numbers for jobs";

/// Gives numbers to jobs. Takes them in blocks, each twice the one before, from 1 to [`LARGEST`].
pub(super) struct Numbers {
    keys: Keyspace,
    pool: Arc<Pool>,
    taken: Arc<Mutex<Taken>>,
    /// What takes more: not the caller, whom nobody may be polling.
    tasks: TaskTracker,
}

#[derive(Default)]
struct Taken {
    block: Option<Block>,
    counter: Counter,
    size: u32,
}

impl Numbers {
    pub(super) fn new(keys: Keyspace, pool: Arc<Pool>, tasks: TaskTracker) -> Self {
        Self {
            keys,
            pool,
            taken: Arc::default(),
            tasks,
        }
    }

    /// The next number.
    pub(super) async fn next(&self, deadline: Instant) -> Result<JobId> {
        let late = |_| Error::new(ErrorKind::Unavailable, DOING, "no number came in time");
        loop {
            let taken = timeout_at(deadline, self.taken.lock()).await;
            if let Some(number) = taken.map_err(late)?.next() {
                return Ok(number);
            }
            let (keys, pool, taken) = (
                self.keys.clone(),
                Arc::clone(&self.pool),
                Arc::clone(&self.taken),
            );
            let taking = self.tasks.spawn(async move {
                let mut taken = taken.lock().await;
                taken.take_more(&pool, &keys, deadline).await
            });
            let ended = |_| Error::new(ErrorKind::Closed, DOING, "the board is closed");
            timeout_at(deadline, taking)
                .await
                .map_err(late)?
                .map_err(ended)??;
        }
    }
}

impl Taken {
    fn next(&mut self) -> Option<JobId> {
        self.block.as_mut().and_then(Block::next)
    }

    /// Takes a block, unless somebody has done so meanwhile.
    async fn take_more(&mut self, pool: &Pool, keys: &Keyspace, deadline: Instant) -> Result<()> {
        let corrupt = |why: Unreadable| Error::new(ErrorKind::Corrupt, DOING, why.to_string());
        while self.block.as_ref().is_none_or(Block::is_empty) {
            let size = self.size.saturating_mul(2).clamp(1, LARGEST);
            // One that is at its end is looked at again: a person can have set it back.
            let seen = std::mem::take(&mut self.counter);
            let verb = Reserve::new(keys, seen, size).map_err(corrupt)?;
            let taken = pool.write(verb, deadline).await;
            let failed = |error| failure::of_write(DOING, error).if_unknown_nothing_happened();
            match taken.map_err(failed)? {
                Ok((block, at)) => {
                    self.counter = Counter::after(&block, at);
                    self.block = Some(block);
                    self.size = size;
                }
                Err(ReserveRefusal::Moved(counter)) => self.counter = counter,
                Err(ReserveRefusal::Unreadable(why)) => return Err(corrupt(why)),
            }
        }
        Ok(())
    }
}
