//! Watches that fail by chance.

use std::{collections::VecDeque, future::pending};

use futures::{StreamExt, stream};
use tokio::time::sleep;

use super::{away, chance::Chance};
use crate::store::{Error, ErrorKind, Result, WatchBatch, WatchStream};

/// A watch like `inner` that fails by chance.
pub(super) fn faulty(inner: WatchStream, chance: Chance) -> WatchStream {
    let watch = Watch {
        inner,
        chance,
        past: VecDeque::new(),
        next: None,
    };
    stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        let told = watch.next().await;
        let ends = told.is_err();
        Some((told, (!ends).then_some(watch)))
    })
    .boxed()
}

struct Watch {
    inner: WatchStream,
    chance: Chance,
    /// What it told last.
    past: VecDeque<WatchBatch>,
    /// What comes after something old.
    next: Option<WatchBatch>,
}

/// How much of what a watch told it can tell again.
const PAST: usize = 8;

impl Watch {
    async fn next(&mut self) -> Result<WatchBatch> {
        let batch = if let Some(batch) = self.next.take() {
            batch
        } else {
            let ended = || Err(away("watch"));
            self.inner.next().await.unwrap_or_else(ended)?
        };
        let faults = self.chance.faults();
        sleep(self.chance.part_of(faults.latency)).await;
        if self.chance.is_cut_off() || self.chance.hits(faults.silent_watches) {
            return pending().await;
        }
        if self.chance.hits(faults.cut_watches) {
            return Err(away("watch"));
        }
        if self.chance.hits(faults.cancelled_watches) {
            let why = "watch: cancelled, as what comes next is compacted";
            return Err(Error::new(ErrorKind::Compacted, why));
        }
        if self.chance.hits(faults.old_batches)
            && let Some(old) = self.past.front().cloned()
        {
            self.next = Some(batch);
            return Ok(old);
        }
        self.past.push_back(batch.clone());
        if self.past.len() > PAST {
            self.past.pop_front();
        }
        Ok(batch)
    }
}
