//! Time: one for all, or one for each process, which stands still with it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, RngSeed, Runtime},
    time::{advance, sleep},
};

use super::world::{PROCESSES, Ran};

/// How far processes go before it is the turn of the next.
const TURN: Duration = Duration::from_millis(20);

/// Where processes run.
#[derive(Clone)]
pub(crate) enum Homes {
    /// All in one runtime, on one time.
    One,
    /// Each in a runtime of its own.
    Each {
        runtimes: Vec<Handle>,
        /// The processes that stand still.
        still: Arc<Mutex<BTreeSet<u64>>>,
    },
}

impl Homes {
    /// The runtime of a process.
    pub(crate) fn of(&self, number: u64) -> Handle {
        match self {
            Self::One => Handle::current(),
            Self::Each { runtimes, .. } => runtimes[usize::try_from(number).unwrap()].clone(),
        }
    }

    /// Lets a process stand still (SIGSTOP), or go on.
    pub(crate) fn stand_still(&self, number: u64, stands: bool) {
        if let Self::Each { still, .. } = self {
            let mut still = still.lock().unwrap();
            if stands {
                still.insert(number);
            } else {
                still.remove(&number);
            }
        }
    }
}

/// Lets a world live in which all have the same time.
pub(crate) fn run_as_one<F: Future<Output = Ran>>(seed: u64, live: impl FnOnce(Homes) -> F) -> Ran {
    runtime(seed).block_on(live(Homes::One))
}

/// Lets a world live in which each process has a time of its own: in turns.
pub(crate) fn run_apart<F: Future<Output = Ran>>(seed: u64, live: impl FnOnce(Homes) -> F) -> Ran {
    // The last one to be dropped: what is left of processes can still ask something of it.
    let world = runtime(seed);
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| Process::new(seed)).collect();
    let still = Arc::<Mutex<BTreeSet<u64>>>::default();
    let runtimes = processes.iter().map(|it| it.runtime.handle().clone());
    let homes = Homes::Each {
        runtimes: runtimes.collect(),
        still: Arc::clone(&still),
    };
    let mut living = Box::pin(live(homes));
    loop {
        let ran = world.block_on(async {
            tokio::select! {
                biased;
                ran = &mut living => Some(ran),
                () = sleep(TURN) => None,
            }
        });
        if let Some(ran) = ran {
            return ran;
        }
        for (number, process) in (0..).zip(&mut processes) {
            let stands = still.lock().unwrap().contains(&number);
            process.turn(stands);
        }
    }
}

/// A process with a time of its own.
struct Process {
    runtime: Runtime,
    /// How long it has been standing still.
    behind: Duration,
}

impl Process {
    fn new(seed: u64) -> Self {
        Self {
            runtime: runtime(seed),
            behind: Duration::ZERO,
        }
    }

    fn turn(&mut self, stands_still: bool) {
        if stands_still {
            self.behind += TURN;
            return;
        }
        let behind = std::mem::take(&mut self.behind);
        self.runtime.block_on(async {
            if !behind.is_zero() {
                advance(behind).await;
            }
            sleep(TURN).await;
        });
    }
}

fn runtime(seed: u64) -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        // Who is woken first of those who wait for the same is drawn by chance.
        .rng_seed(RngSeed::from_bytes(&seed.to_be_bytes()))
        .build()
        .unwrap()
}
