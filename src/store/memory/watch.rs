//! Watches that read the history at their own pace.
//!
//! A watch is a cursor: nothing is queued for it, so that a slow reader costs no memory. One that
//! falls behind what the history keeps is told that it was compacted, as in etcd.

use std::sync::{Arc, Weak};

use futures::{StreamExt, stream};
use tokio::sync::watch;

use super::Shared;
use crate::store::{
    Error, ErrorKind, KeyRange, Result, Revision, WatchBatch, WatchRequest, WatchStream,
};

struct Cursor {
    shared: Weak<Shared>,
    changed: watch::Receiver<()>,
    range: KeyRange,
    next: Revision,
}

/// Opens a watch of the store, which it does not keep alive.
pub(super) fn open(shared: &Arc<Shared>, request: WatchRequest) -> Result<WatchStream> {
    shared.with(|state| state.mvcc.find(&request.range, request.from))?;
    let cursor = Cursor {
        shared: Arc::downgrade(shared),
        changed: shared.changed.subscribe(),
        range: request.range,
        next: request.from,
    };
    let batches = stream::unfold(Some(cursor), |cursor| async {
        let mut cursor = cursor?;
        match cursor.batch().await {
            Ok(batch) => Some((Ok(batch), Some(cursor))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(batches.boxed())
}

impl Cursor {
    /// Waits for the next changes of the range.
    async fn batch(&mut self) -> Result<WatchBatch> {
        loop {
            let shared = self.shared.upgrade().ok_or_else(dropped)?;
            let (header, found) = shared.with(|state| {
                let found = state.mvcc.find(&self.range, self.next);
                (state.mvcc.header(), found)
            });
            drop(shared);
            let found = found?;
            let nothing_new = found.next == self.next;
            self.next = found.next;
            if !found.events.is_empty() {
                return Ok(WatchBatch {
                    header,
                    events: found.events,
                });
            }
            if nothing_new {
                // A change since the look counts: only this wait takes note of changes.
                self.changed.changed().await.map_err(|_closed| dropped())?;
            }
        }
    }
}

fn dropped() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "watch: the store in memory was dropped",
    )
}
