//! A world of processes that share a board over stores that fail by chance, and what chance does to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::DateTime;
use jobboard::{
    JobBoard, JobBoardBuilder,
    clock::Clock,
    random::Random,
    store::{Faults, Faulty, Key, Memory, RangeRequest, Revision, Store},
    testing::{Audit, Auditor},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    chance::{below, up_to},
    clocks::{Homes, run_apart, run_as_one},
    remote::Remote,
    worker::Worker,
};

const NAMESPACE: &str = "/sim";

const BOARD: &str = "board";

/// The time to live of the processes' leases.
pub(crate) const TTL: Duration = Duration::from_secs(4);

/// How long a call is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(20);

/// How much later than a lease's time to live its jobs can be claimed again.
const LATE: Duration = Duration::from_millis(1_500);

/// More than it takes until all jobs are done, when nothing goes wrong any more.
const CALM: Duration = Duration::from_mins(10);

/// How many processes there are.
pub(crate) const PROCESSES: u64 = 3;

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) audited: Result<Audit, String>,
    /// All that happened, in order: the same for the same seed.
    pub(crate) trace: String,
}

/// Whether things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Trouble,
    /// No longer, and nobody does anything but hold what it holds.
    Still,
    /// All jobs are to be done.
    Calm,
}

/// What all processes share.
#[derive(Clone)]
pub(crate) struct World {
    memory: Memory,
    homes: Homes,
    /// What the stores of processes stand before.
    shared: Arc<dyn Store>,
    pub(crate) auditor: Arc<Auditor>,
    random: Random,
    group_commit: bool,
    /// Whether the store ends leases that live.
    loses_leases: bool,
    pub(crate) times: watch::Receiver<Times>,
    /// The owners of the claims that processes held when the trouble was over.
    pub(crate) holding: Arc<Mutex<BTreeSet<String>>>,
    /// The stores of the processes that live, by their numbers.
    stores: Arc<Mutex<BTreeMap<u64, Stored>>>,
}

/// The store of a process, which calls itself so.
#[derive(Clone)]
struct Stored {
    client: String,
    store: Faulty<Arc<dyn Store>>,
}

/// Runs the world of this seed. In one of four the processes have times of their own, and can stand still.
pub(crate) fn run(seed: u64) -> Ran {
    if seed % 4 == 3 {
        run_apart(seed, |homes| live(seed, homes))
    } else {
        run_as_one(seed, |homes| live(seed, homes))
    }
}

async fn live(seed: u64, homes: Homes) -> Ran {
    let random = Random::seeded(seed);
    let memory = Memory::new();
    let auditor = Auditor::start(&memory, NAMESPACE, BOARD).await.unwrap();
    let (tell, times) = watch::channel(Times::Trouble);
    let shared: Arc<dyn Store> = match &homes {
        Homes::One => Arc::new(memory.clone()),
        Homes::Each { .. } => Arc::new(Remote::new(&memory)),
    };
    let world = World {
        memory,
        homes,
        shared,
        auditor: Arc::new(auditor),
        group_commit: random.number().is_multiple_of(2),
        loses_leases: random.number().is_multiple_of(2),
        random,
        times,
        holding: Arc::default(),
        stores: Arc::default(),
    };
    let mut workers = JoinSet::new();
    for number in 0..PROCESSES {
        let (home, world) = (world.homes.of(number), world.clone());
        let life = async move { Worker::new(world, number).work().await };
        workers.spawn_on(life, &home);
    }
    _ = timeout(TROUBLE, world.chaos()).await;
    for number in 0..PROCESSES {
        world.homes.stand_still(number, false);
    }
    for Stored { store, .. } in world.stores() {
        store.set_faults(no_faults());
        store.cut_off(false);
    }
    tell.send_replace(Times::Still);
    sleep(TTL + LATE).await;
    world.catch_up().await;
    let holding = world.holding.lock().unwrap().clone();
    let recovered = world.auditor.recovered(|owner| holding.contains(owner));
    tell.send_replace(Times::Calm);
    let ended = timeout(CALM, workers.join_all()).await;
    world.catch_up().await;
    let left = world.auditor.on_board();
    let audited = match (world.auditor.audit(), recovered, ended) {
        (Err(broken), ..) => Err(broken.to_string()),
        (_, Err(stuck), _) => Err(stuck.to_string()),
        (_, _, Err(_)) => Err(format!(
            "it does not end, and these jobs are left: {left:?}"
        )),
        _ if !left.is_empty() => Err(format!("these jobs are left: {left:?}")),
        (Ok(audit), ..) => Ok(audit),
    };
    let trace = world.auditor.trace();
    Ran { audited, trace }
}

impl World {
    /// A board for a process, on a store of its own that fails by chance; what it had before is cut off for
    /// ever.
    pub(crate) fn board(&self, number: u64, client: &str) -> JobBoard {
        let faults = match *self.times.borrow() {
            Times::Trouble => Faults::ALL,
            Times::Still | Times::Calm => no_faults(),
        };
        let store = Faulty::new(Arc::clone(&self.shared), self.chance(), faults);
        let stored = Stored {
            client: client.to_owned(),
            store: store.clone(),
        };
        if let Some(before) = self.stores.lock().unwrap().insert(number, stored) {
            before.store.cut_off(true);
        }
        let board: JobBoardBuilder = JobBoard::builder(BOARD);
        board
            .namespace(NAMESPACE)
            .store(store)
            .ttl(TTL)
            .deadline(DEADLINE)
            .group_commit(self.group_commit)
            .random(self.chance())
            .clock(Clock::counted_from(DateTime::UNIX_EPOCH))
            .build()
            .unwrap()
    }

    /// A generator of somebody's own.
    pub(crate) fn chance(&self) -> Random {
        Random::seeded(self.random.number())
    }

    /// Whether processes stand still now and then.
    fn can_stand_still(&self) -> bool {
        matches!(self.homes, Homes::Each { .. })
    }

    fn stores(&self) -> Vec<Stored> {
        self.stores.lock().unwrap().values().cloned().collect()
    }

    /// Makes things go wrong, for ever.
    async fn chaos(&self) {
        let chance = self.chance();
        loop {
            sleep(up_to(&chance, 2_000)).await;
            let number = below(&chance, PROCESSES);
            let Some(stored) = self.stores.lock().unwrap().get(&number).cloned() else {
                continue;
            };
            let Stored { client, store } = stored;
            match below(&chance, if self.can_stand_still() { 10 } else { 8 }) {
                0 => store.set_faults(no_faults()),
                1 | 2 => store.set_faults(Faults::ALL),
                3 | 4 => {
                    store.cut_off(true);
                    sleep(up_to(&chance, 8_000)).await;
                    // It can have crashed meanwhile, and is cut off for ever then.
                    if let Some(now) = self.stores.lock().unwrap().get(&number) {
                        now.store.cut_off(false);
                    }
                }
                5 if self.loses_leases => {
                    self.auditor.log().excuse(&client);
                    store.lose_a_lease().await;
                }
                6 => store.extend_leases().await,
                8 | 9 => {
                    self.auditor.log().excuse(&client);
                    self.homes.stand_still(number, true);
                    sleep(up_to(&chance, 8_000)).await;
                    self.homes.stand_still(number, false);
                }
                _ => self.compact().await,
            }
        }
    }

    /// Forgets all that the store need not keep.
    async fn compact(&self) {
        let now = self.catch_up().await;
        // It can have been done before.
        _ = self.memory.compact(now).await;
    }

    /// Waits until the auditor has seen all that happened. Gives the revision of that.
    async fn catch_up(&self) -> Revision {
        let any = RangeRequest::new(Key::new("/").unwrap());
        let now = self.memory.range(any).await.unwrap().header.revision;
        assert!(
            self.auditor.caught_up(now).await,
            "the auditor sees no more"
        );
        now
    }
}

/// Nothing goes wrong; who is cut off waits for his answers all the same.
const fn no_faults() -> Faults {
    let mut faults = Faults::NONE;
    faults.patience = Faults::ALL.patience;
    faults
}
