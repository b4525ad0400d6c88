//! Waiting until a key is gone.

use std::time::Duration;

use futures::StreamExt;
use jobboard::store::{Event, Key, RangeRequest, Store, WatchRequest};
use tokio::time::timeout;

/// More than any story waits for the end of a lease.
const BOUND: Duration = Duration::from_secs(30);

/// Waits until there is no such key.
pub(crate) async fn until_gone(key: &Key, store: &dyn Store) {
    let read = store.range(RangeRequest::new(key.clone())).await.unwrap();
    if read.kvs.is_empty() {
        return;
    }
    let changes = WatchRequest::new(key.clone(), read.header.revision.next());
    let mut changes = store.watch(changes).await.unwrap();
    let deleted = async {
        loop {
            let told = changes.next().await.unwrap().unwrap();
            if matches!(told.events.last(), Some(Event::Delete { .. })) {
                return;
            }
        }
    };
    timeout(BOUND, deleted).await.expect("the key stays");
}
