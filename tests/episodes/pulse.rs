//! Who writes to etcd all the time, so that it is known for how long nobody could: users think, and stand still
//! when the faults are over.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::world::World;

/// A board that nobody else uses.
const BOARD: &str = "pulse";

/// The time between two writes.
const REST: Duration = Duration::from_millis(10);

/// Writes until all is over, and once more.
pub(crate) async fn pulse(world: Arc<World>) {
    let board = world.setup(None).board_named(BOARD).await;
    loop {
        let is_last = world.is_over();
        // Writes a barrier.
        let written = board.fresh_jobs().await.is_ok();
        if written {
            world.writes.lock().unwrap().push(Instant::now());
        }
        if written && is_last {
            break;
        }
        sleep(REST).await;
    }
    board.close().await;
}
