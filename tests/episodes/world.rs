//! The world of an episode: an etcd, a board on it, and all who use the board.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future;
use jobboard::{
    random::Random,
    store::{Key, RangeRequest, Revision, Store, etcd::Settings},
    testing::{Auditor, LocalEtcd, Log, Violation},
};
use tokio::{
    runtime::Builder,
    sync::{Mutex as AsyncMutex, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    auth,
    beside::Setup,
    cluster::Cluster,
    conductor::{Crew, Run},
    faults::Ways,
    hand::{Hand, Victim},
    link::Link,
    plan::{Kind, Plan},
    pulse::pulse,
    times::{Measure, Times},
    told::{Done, Ran},
    user::User,
};

pub(crate) const NAMESPACE: &str = "/episode";

pub(crate) const BOARD: &str = "board";

/// The time to live of all leases.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// How long a call is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);

/// How much later than it must something can happen on a machine that has other things to do.
pub(crate) const SLACK: Duration = Duration::from_secs(2);

/// How long an episode goes on at least before all is to be well.
const TROUBLE: Duration = Duration::from_millis(2_500);

/// More than it takes until all jobs are done when nothing goes wrong any more.
const CALM: Duration = Duration::from_secs(45);

/// The times of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Trouble,
    /// Nothing fails any more, and all hold what they hold.
    Still,
    /// All jobs are to be done.
    Calm,
    /// All jobs are done.
    Over,
}

/// What all share.
pub(crate) struct World {
    pub(crate) plan: Plan,
    /// Held by who takes members away, one after the other.
    pub(crate) cluster: AsyncMutex<Cluster>,
    /// The version of etcd.
    version: String,
    /// The way to etcd that nothing is done to.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) auditor: Auditor,
    pub(crate) log: Log,
    pub(crate) phase: watch::Sender<Phase>,
    /// Who holds something when the faults are over.
    holding: watch::Sender<Holding>,
    /// When writes ended well, if that is measured.
    pub(crate) writes: Mutex<Vec<Instant>>,
    pub(crate) times: Mutex<Times>,
    pub(crate) runs: Mutex<Vec<Run>>,
    /// When a leader was killed or stopped.
    pub(crate) struck: Mutex<Option<Instant>>,
    /// The ways of the first user, of the first hand and of the first conductor.
    pub(crate) ways: [Ways; 3],
    pub(crate) link: Result<Link, String>,
    endpoints: Vec<String>,
}

/// What those hold who have ended what they were about when the faults were over.
#[derive(Debug, Default)]
struct Holding {
    owners: Vec<String>,
    /// How many have said so.
    told: usize,
}

/// How many those are: users, hands and conductors.
const WORKERS: usize = 6;

/// Plays the episode of this seed. Gives what came of it, and all that happened.
pub(crate) fn play(seed: u64) -> (Result<Ran, String>, String) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let plan = Plan::of(seed);
    runtime.block_on(async {
        let world = Arc::new(Box::pin(World::begin(plan)).await);
        let played = Box::pin(Arc::clone(&world).live()).await;
        let trace = format!("{:#?}\n{}", world.plan, world.auditor.trace());
        (played, trace)
    })
}

impl World {
    async fn begin(plan: Plan) -> Self {
        let binary = LocalEtcd::binaries().unwrap().swap_remove(plan.version);
        let cluster = Cluster::of(plan.members, &binary).await;
        let version = cluster.version().to_owned();
        let mut settings = Settings::new();
        if plan.has(Kind::AuthChanged) {
            auth::enable(&cluster).await;
            settings = auth::root();
        }
        let store: Arc<dyn Store> = Arc::new(cluster.connect_with(&settings).await);
        let auditor = Auditor::start(&store, NAMESPACE, BOARD).await.unwrap();
        let log = auditor.log();
        if plan.faults.iter().any(|fault| fault.kind.is_of_leaders()) {
            log.excuse_beliefs();
        }
        let link = if plan.has(Kind::LinkDown) {
            Link::lay().await
        } else {
            Err("there is no need of a link".to_owned())
        };
        let endpoints = cluster.endpoints();
        let of_user = Ways::to(&endpoints, None).await;
        let of_hand = Ways::to(&endpoints, link.as_ref().ok()).await;
        let of_conductor = Ways::to(&endpoints, None).await;
        Self {
            plan,
            cluster: AsyncMutex::new(cluster),
            version,
            store,
            auditor,
            log,
            phase: watch::Sender::new(Phase::Trouble),
            holding: watch::Sender::default(),
            writes: Mutex::default(),
            times: Mutex::default(),
            runs: Mutex::default(),
            struck: Mutex::default(),
            ways: [of_user, of_hand, of_conductor],
            link,
            endpoints,
        }
    }

    async fn live(self: Arc<Self>) -> Result<Ran, String> {
        let mut workers = JoinSet::new();
        for number in 0..2 {
            let user = User::begin(Arc::clone(&self), number).await;
            workers.spawn(user.work());
        }
        if self.plan.is_of_one_leader() {
            workers.spawn(pulse(Arc::clone(&self)));
        }
        let mut victims = Vec::new();
        for number in 0..2 {
            let (hand, victim) = Hand::begin(Arc::clone(&self), number).await;
            workers.spawn(hand.work());
            let (crew, other) = Crew::begin(Arc::clone(&self), number).await;
            workers.spawn(crew.work());
            victims.extend([victim, other]);
        }
        let faults = self.trouble(&victims).await;
        self.phase.send_replace(Phase::Still);
        self.recover().await?;
        self.phase.send_replace(Phase::Calm);
        let ended = async {
            while let Some(ended) = workers.join_next().await {
                ended.map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        let done = async {
            while !self.auditor.on_board().is_empty() {
                self.see_more().await?;
            }
            self.phase.send_replace(Phase::Over);
            Ok::<(), String>(())
        };
        let ended = timeout(CALM, async { tokio::try_join!(ended, done) }).await;
        let left = self.auditor.on_board();
        match ended {
            Err(_) => Err(format!(
                "it does not end, and these jobs are left: {left:?}"
            )),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) if !left.is_empty() => Err(format!("these jobs are left: {left:?}")),
            Ok(Ok(_)) => self.judge(faults).await,
        }
    }

    /// Lets all go wrong that is to. Gives what came of it.
    async fn trouble(&self, victims: &[Victim]) -> Vec<(Done, Kind)> {
        let begin = Instant::now();
        let faults = self.plan.faults.iter().map(async |fault| {
            sleep_until(begin + fault.at).await;
            let done = Box::pin(self.suffer(*fault, victims)).await;
            (done, fault.kind)
        });
        tokio::join!(future::join_all(faults), sleep(TROUBLE)).0
    }

    /// Waits until each job has no owner, or one that lives.
    async fn recover(&self) -> Result<(), String> {
        let faults = &self.plan.faults;
        let measure = if faults.iter().any(|fault| fault.kind.is_of_leaders()) {
            Measure::RecoveredFromLeader
        } else {
            Measure::Recovered
        };
        let began = Instant::now();
        let mut holding = self.holding.subscribe();
        let all_well = async {
            self.catch_up().await;
            while self.recovered().is_err() {
                tokio::select! {
                    biased;
                    seen = self.see_more() => seen?,
                    _ = holding.changed() => {}
                }
            }
            Ok::<(), String>(())
        };
        let late = |_| {
            let time = began.elapsed();
            let stuck = self.recovered().err().map(|broken| broken.to_string());
            let stuck = stuck.as_deref().unwrap_or("it was so a moment too late");
            format!("{time:?} after the faults: {stuck}")
        };
        timeout(measure.latest(), all_well).await.map_err(late)??;
        let time = began.elapsed();
        self.times.lock().unwrap().note(measure, time);
        // A call that began amid the faults can post a job after all others are done.
        let all_told = holding.wait_for(|holding| holding.told == WORKERS);
        if timeout(3 * (DEADLINE + SLACK), all_told).await.is_err() {
            return Err("somebody does not end what he is about".to_owned());
        }
        self.catch_up().await;
        Ok(())
    }

    /// Whether each job that has an owner has one that knows of it.
    fn recovered(&self) -> Result<(), Violation> {
        let holding = self.holding.borrow();
        let lives = |owner: &str| holding.owners.iter().any(|it| it == owner);
        self.auditor.recovered(lives)
    }

    async fn judge(&self, faults: Vec<(Done, Kind)>) -> Result<Ran, String> {
        self.catch_up().await;
        let audit = self.auditor.audit().map_err(|broken| broken.to_string())?;
        let mut times = self.times.lock().unwrap().clone();
        self.without_leader(&mut times);
        if let Some(late) = times.too_long() {
            return Err(late);
        }
        let runs = self.runs.lock().unwrap();
        each_once(&runs)?;
        Ok(Ran {
            plan: self.plan.clone(),
            version: self.version.clone(),
            audit,
            times,
            runs: runs.len(),
            faults,
        })
    }

    /// Notes how long writes stopped, if all that happened to etcd is that one of several members died or stood
    /// still that led.
    fn without_leader(&self, times: &mut Times) {
        let Some(struck) = *self.struck.lock().unwrap() else {
            return;
        };
        if !self.plan.is_of_one_leader() {
            return;
        }
        let writes = self.writes.lock().unwrap();
        let after = writes.iter().copied().filter(|write| *write > struck);
        let mut moments: Vec<_> = after.chain([struck]).collect();
        moments.sort();
        // What comes later than the longest that is waited for has another cause.
        let longest = Measure::LeaderStill.latest();
        moments.retain(|moment| *moment < struck + longest);
        let gaps = moments.windows(2).map(|two| two[1] - two[0]);
        let gap = gaps.max().unwrap_or_else(|| struck.elapsed());
        let measure = if self.plan.has(Kind::LeaderKilled) {
            Measure::WithoutLeader
        } else {
            Measure::LeaderStill
        };
        times.note(measure, gap);
    }

    /// Waits until the auditor has seen more than now. Cancel safe.
    pub(crate) async fn see_more(&self) -> Result<(), String> {
        let next = self.auditor.revision().next();
        let is_seen = self.auditor.caught_up(next).await;
        is_seen
            .then_some(())
            .ok_or_else(|| "the auditor sees no more".to_owned())
    }

    /// Waits until the auditor has seen all that happened.
    async fn catch_up(&self) {
        let now = self.now().await;
        let caught_up = timeout(SLACK * 5, self.auditor.caught_up(now)).await;
        assert_eq!(
            caught_up,
            Ok(true),
            "the auditor does not see revision {now}"
        );
    }

    /// The revision of etcd now.
    pub(crate) async fn now(&self) -> Revision {
        loop {
            let any = RangeRequest::new(Key::new(format!("{NAMESPACE}/")).unwrap());
            if let Ok(read) = self.store.range(any).await {
                return read.header.revision;
            }
        }
    }

    /// How somebody gets to the board: by the ways of that number, or directly.
    pub(crate) fn setup(&self, ways: Option<usize>) -> Setup {
        let endpoints = match ways {
            Some(number) => self.ways[number].endpoints(),
            None => self.endpoints.clone(),
        };
        Setup {
            endpoints,
            auth: self.plan.has(Kind::AuthChanged),
            group_commit: self.plan.group_commit,
        }
    }

    /// A generator of somebody's own.
    pub(crate) fn chance(&self, whose: u64) -> Random {
        Random::seeded(self.plan.seed.wrapping_mul(1_000).wrapping_add(whose))
    }

    /// Waits until the faults are over. Cancel safe.
    pub(crate) async fn still(&self) {
        self.until(|phase| phase != Phase::Trouble).await;
    }

    /// Waits until all jobs are to be done, or are done. Cancel safe.
    pub(crate) async fn calm(&self) {
        self.until(|phase| matches!(phase, Phase::Calm | Phase::Over))
            .await;
    }

    /// Waits until all jobs are done. Cancel safe.
    pub(crate) async fn over(&self) {
        self.until(|phase| phase == Phase::Over).await;
    }

    /// Whether all jobs are done.
    pub(crate) fn is_over(&self) -> bool {
        *self.phase.borrow() == Phase::Over
    }

    async fn until(&self, is_it: impl Fn(Phase) -> bool + Send + Sync) {
        let mut phase = self.phase.subscribe();
        phase.wait_for(|phase| is_it(*phase)).await.unwrap();
    }

    /// Notes that these hold what they hold when the faults are over.
    pub(crate) fn hold(&self, owners: impl IntoIterator<Item = String>) {
        self.holding.send_modify(|holding| {
            holding.owners.extend(owners);
            holding.told += 1;
        });
    }
}

/// No conductor did what another had begun, unless that one was killed or stood still, or told that it
/// lost the job.
fn each_once(runs: &[Run]) -> Result<(), String> {
    let mut jobs = BTreeMap::<Uuid, Vec<&Run>>::new();
    for run in runs {
        jobs.entry(run.job).or_default().push(run);
    }
    for (job, mut runs) in jobs {
        runs.sort_by_key(|run| run.token);
        for two in runs.windows(2) {
            if two[0].token == two[1].token || !two[0].is_over {
                return Err(format!("{job} was done again: {runs:?}"));
            }
        }
    }
    Ok(())
}
