//! Waiting for a point in time that need not come.

use std::future::pending;

use tokio::time::{Instant, sleep_until};

/// Waits for a point in time; for ever if there is none. Cancel safe.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
