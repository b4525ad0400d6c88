//! The numbers that a board has taken for jobs and not given to any yet.

use tokio::{sync::Mutex, time::Instant};

use super::failure;
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::{JobId, Keyspace},
        reserve::{Block, Counter, Reserve, ReserveRefusal},
    },
    session::Pool,
};

/// The smallest block.
const SMALLEST: u32 = 1;

/// The largest block: what is not used of it leaves a gap.
const LARGEST: u32 = 256;

const DOING: &str = "take numbers for jobs";

/// Numbers that were taken, and how to take more: each block is twice the one before.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    block: Option<Block>,
    counter: Counter,
    size: u32,
}

impl Numbers {
    /// The next number. Who comes while a block is being taken waits for it.
    pub(super) async fn next(
        numbers: &Mutex<Self>,
        pool: &Pool,
        keys: &Keyspace,
        deadline: Instant,
    ) -> Result<JobId> {
        let mut numbers = numbers.lock().await;
        loop {
            if let Some(number) = numbers.block.as_mut().and_then(Block::next) {
                return Ok(number);
            }
            let size = numbers.size.saturating_mul(2).clamp(SMALLEST, LARGEST);
            let corrupt = |why: crate::protocol::record::Unreadable| {
                Error::new(ErrorKind::Corrupt, DOING, why.to_string())
            };
            let verb = Reserve::new(keys, numbers.counter, size).map_err(corrupt)?;
            let taken = pool.write(verb, deadline).await;
            match taken.map_err(|error| failure::of_write(DOING, error))? {
                Ok((block, at)) => {
                    numbers.counter = Counter::after(&block, at);
                    numbers.block = Some(block);
                    numbers.size = size;
                }
                Err(ReserveRefusal::Moved(counter)) => numbers.counter = counter,
                Err(ReserveRefusal::Unreadable(why)) => return Err(corrupt(why)),
            }
        }
    }
}
