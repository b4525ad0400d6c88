//! What is true of conductors whose processes are killed, stopped, felled by a job, or blocked by
//! one: on every version of etcd that is tested.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use futures::{StreamExt, future};
use jobboard::{
    Conductor, Context, Entities, EventKind, Events, Handler, HandlerError, JobBoard, JobId,
    NewJob, Outcome, random::Random, testing::LocalEtcd,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{RwLock, watch},
    time::{Instant, sleep, timeout_at},
};

use self::support::{
    LATE, TTL, board, brief_board, on_each, on_each_within,
    process::{ENDPOINT, Process, SAYS},
    way::Way,
};

/// Held by who needs the whole machine to be in time, and shared by the others.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Replays the moments of killing that a test printed.
const SEED: &str = "JOBBOARD_TEST_SEED";

#[tokio::test]
async fn jobs_of_killed_conductors_run_elsewhere_in_time_and_each_is_consumed_once() {
    const ROUNDS: usize = 10;
    let _machine = MACHINE.read().await;
    let seed = env::var(SEED).map(|seed| seed.parse().unwrap());
    let seed = seed.unwrap_or_else(|_| Random::from_system().number());
    println!("{SEED}={seed}");
    on_each_within(Duration::from_mins(5), |etcd| async move {
        let chance = Random::seeded(seed);
        let mut scene = Scene::on(etcd).await;
        let mut crew = start_crew(&scene.endpoint, 4, 8).await;
        let (mut killed, mut recovered) = (BTreeSet::new(), 0);
        for _ in 0..ROUNDS {
            recovered += kill_and_recover(&mut scene, &mut crew, &mut killed, &chance).await;
        }
        println!("{recovered} jobs ran elsewhere");
        assert!(recovered >= ROUNDS, "{recovered}");
        stop_all(crew, &scene.conductors).await;
        scene.check(&killed, &[]).await;
    })
    .await;
}

/// Kills one or two of the crew at some moment, and sees that the others run their jobs in time, and
/// that all jobs end; then others take their place. Gives how many jobs they held.
async fn kill_and_recover(
    scene: &mut Scene,
    crew: &mut Vec<Process>,
    killed: &mut BTreeSet<u32>,
    chance: &Random,
) -> usize {
    let work = |_| Does::Work(50 + chance.number() % 1_450);
    scene.post((0..40).map(work)).await;
    // Nothing is waited for: it is the moment that counts.
    sleep(Duration::from_millis(chance.number() % 1_500)).await;
    let (at, mut victims) = (Instant::now(), BTreeSet::new());
    for _ in 0..=chance.number() % 2 {
        let victim = chance.number() % crew.len() as u64;
        let victim = crew.swap_remove(usize::try_from(victim).unwrap());
        victims.insert(victim.id());
        victim.kill().await;
    }
    let held = held_by(&victims, &scene.board).await;
    run_in_time(crew, &held, at).await;
    crew.extend(start_crew(&scene.endpoint, victims.len(), 8).await);
    killed.append(&mut victims);
    scene.until_all_removed().await;
    held.len()
}

#[tokio::test]
async fn rolling_restart_under_load_burns_no_attempt_and_runs_no_job_twice() {
    let _machine = MACHINE.read().await;
    on_each(|etcd| async move {
        let mut scene = Scene::on(etcd).await;
        let (endpoint, conductors) = (scene.endpoint.clone(), scene.conductors.clone());
        let mut crew = start_crew(&scene.endpoint, 4, 2).await;
        let work = |number: u64| Does::Work(50 + number * 7 % 50);
        scene.post((0..40).map(work)).await;
        let rolled = AtomicBool::new(false);
        let roll = async {
            // Each has work when it is told to stop.
            future::join_all(crew.iter_mut().map(Process::says)).await;
            for one in &mut crew {
                let successor = start(&endpoint, 2).await;
                until_listed(&conductors, successor.id()).await;
                stop(std::mem::replace(one, successor), &conductors).await;
            }
            rolled.store(true, SeqCst);
        };
        let load = async {
            for number in 40.. {
                scene.one_removed().await;
                if rolled.load(SeqCst) {
                    return;
                }
                scene.post([work(number)]).await;
            }
        };
        tokio::join!(roll, load);
        scene.until_all_removed().await;
        stop_all(crew, &scene.conductors).await;
        let runs = scene.runs();
        assert!(runs.iter().all(|run| run.attempt == 1), "{runs:?}");
        scene.check(&BTreeSet::new(), &[]).await;
    })
    .await;
}

#[tokio::test]
async fn job_that_fells_its_process_is_run_alone_and_trashed_and_the_innocent_are_done() {
    let _machine = MACHINE.read().await;
    on_each(|etcd| async move {
        let mut scene = Scene::on(etcd).await;
        scene.post([Does::Abort]).await;
        scene.post([Does::NotYet; 7]).await;
        let (endpoint, mut felled) = (scene.endpoint.clone(), Vec::new());
        let mut conductor = start(&endpoint, 8).await;
        loop {
            let pid = conductor.id();
            tokio::select! {
                biased;
                () = scene.until_all_removed() => break,
                ended = conductor.ended() => {
                    assert!(!ended.success(), "{ended}");
                    felled.push(pid);
                    conductor = start(&endpoint, 8).await;
                }
            }
        }
        stop(conductor, &scene.conductors).await;
        let fatal = scene.posted[0];
        let runs = scene.runs();
        let position = |pid| {
            runs.iter()
                .position(|run| run.pid == pid && run.job == fatal)
        };
        let fatal_runs = felled.iter().map(|pid| position(*pid).unwrap());
        for (number, at) in fatal_runs.enumerate() {
            let run = &runs[at];
            assert_eq!(usize::try_from(run.attempt).unwrap(), number + 1);
            let later = runs[at + 1..].iter().filter(|later| later.pid == run.pid);
            let beside = run.beside + later.count();
            assert_eq!(beside, if number < 2 { 7 } else { 0 }, "{runs:?}");
        }
        assert_eq!(felled.len(), 4);
        let of_innocent = runs.iter().filter(|run| run.job != fatal);
        assert_eq!(of_innocent.map(|run| run.attempt).max(), Some(3));
        scene.check(&felled.into_iter().collect(), &[fatal]).await;
    })
    .await;
}

#[tokio::test]
async fn thousand_claims_of_a_killed_process_end_at_once_and_run_elsewhere_in_time() {
    const CLAIMS: usize = 1_000;
    let _machine = MACHINE.write().await;
    on_each(|etcd| async move {
        let mut scene = Scene::on(etcd).await;
        let mut owner = [start(&scene.endpoint, CLAIMS).await];
        scene.post(vec![Does::Work(3_600_000); CLAIMS]).await;
        for _ in 0..CLAIMS {
            next_run(&mut owner).await;
        }
        // If it claimed the jobs one after the other, it would take 5 s.
        let way = Way::long(&scene.endpoint, Duration::from_millis(5)).await;
        let mut heir = [start(way.endpoint(), CLAIMS).await];
        until_listed(&scene.conductors, heir[0].id()).await;
        let released = scene.board.events([EventKind::Released]).unwrap();

        let (at, [owner]) = (Instant::now(), owner);
        let pid = owner.id();
        owner.kill().await;
        let held = held_by(&[pid].into(), &scene.board).await;
        assert_eq!(held.len(), CLAIMS);
        let runs = run_in_time(&mut heir, &held, at).await;
        assert!(runs.iter().all(|run| run.attempt == 2));
        let ended = released.take(CLAIMS).map(|told| told.revision);
        assert_eq!(ended.collect::<BTreeSet<_>>().await.len(), 1);
        let [heir] = heir;
        heir.kill().await;
    })
    .await;
}

#[tokio::test]
async fn handlers_that_block_every_thread_of_their_runtime_keep_their_claims() {
    let _machine = MACHINE.read().await;
    on_each(|etcd| async move {
        let mut scene = Scene::on(etcd).await;
        let mut blocked = [start(&scene.endpoint, 2).await];
        scene.post([Does::Block(TTL * 3); THREADS]).await;
        for _ in 0..THREADS {
            next_run(&mut blocked).await;
        }
        let other = start(&scene.endpoint, 2).await;
        until_listed(&scene.conductors, other.id()).await;
        scene.until_all_removed().await;
        let by = blocked[0].id();
        assert!(
            scene
                .runs()
                .iter()
                .all(|run| (run.attempt, run.pid) == (1, by))
        );
        stop_all(blocked.into_iter().chain([other]), &scene.conductors).await;
        scene.check(&BTreeSet::new(), &[]).await;
    })
    .await;
}

/// A board, what was done on it, and a folder for the journal of its conductors.
struct Scene {
    board: JobBoard,
    conductors: Entities,
    removals: Events,
    posted: Vec<JobId>,
    removed: Vec<JobId>,
    folder: TempDir,
    endpoint: String,
    _etcd: LocalEtcd,
}

impl Scene {
    async fn on(etcd: LocalEtcd) -> Self {
        let board = board(&etcd.endpoint()).await;
        Self {
            conductors: board.entities().await.unwrap(),
            removals: board.events([EventKind::Removal]).unwrap(),
            board,
            posted: Vec::new(),
            removed: Vec::new(),
            folder: TempDir::new().unwrap(),
            endpoint: etcd.endpoint(),
            _etcd: etcd,
        }
    }

    /// Posts jobs, in the order in which they are to be done.
    async fn post(&mut self, jobs: impl IntoIterator<Item = Does>) {
        let journal = self.journal();
        let job = |does| {
            let work = Work {
                journal: journal.clone(),
                does,
            };
            NewJob::new("job").details(json!(work)).max_attempts(4)
        };
        for posted in self.board.post_many(jobs.into_iter().map(job)).await {
            self.posted.push(posted.unwrap().id());
        }
    }

    /// Waits until one job more is off the board. Cancel safe.
    async fn one_removed(&mut self) {
        let told = self.removals.next().await.unwrap();
        self.removed.push(told.job().unwrap().id());
    }

    /// Waits until so many are as were posted. Cancel safe.
    async fn until_all_removed(&mut self) {
        while self.removed.len() < self.posted.len() {
            self.one_removed().await;
        }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    /// All that the conductors began to do, in order.
    fn runs(&self) -> Vec<Run> {
        let journal = std::fs::read_to_string(self.journal()).unwrap();
        let runs = journal.lines().map(serde_json::from_str);
        runs.collect::<Result<_, _>>().unwrap()
    }

    /// Checks that each job went off the board once, that only these went into the trash, and that
    /// none was run again but those whose owner was killed.
    async fn check(self, killed: &BTreeSet<u32>, trashed: &[JobId]) {
        let sorted = |jobs: &[JobId]| {
            let mut jobs = jobs.to_vec();
            jobs.sort();
            jobs
        };
        assert_eq!(sorted(&self.removed), sorted(&self.posted));
        assert_eq!(self.board.fresh_jobs().await.unwrap().count(), 0);
        let trash = self.board.trash_review().list().await.unwrap();
        let trash: Vec<_> = trash.jobs.iter().map(jobboard::TrashedJob::id).collect();
        assert_eq!(trash, trashed);
        let mut runs = BTreeMap::<_, Vec<_>>::new();
        for run in self.runs() {
            runs.entry(run.job).or_default().push(run);
        }
        assert_eq!(
            runs.keys().copied().collect::<Vec<_>>(),
            sorted(&self.posted)
        );
        for (_, runs) in runs {
            let again = runs
                .windows(2)
                .all(|two| killed.contains(&two[0].pid) && two[0].attempt < two[1].attempt);
            assert!(again, "{runs:?}");
        }
    }
}

/// Starts conductors that do so many jobs at a time, each.
async fn start_crew(endpoint: &str, count: usize, concurrency: usize) -> Vec<Process> {
    future::join_all((0..count).map(|_| start(endpoint, concurrency))).await
}

/// Starts a conductor that does so many jobs at a time.
async fn start(endpoint: &str, concurrency: usize) -> Process {
    let mut process = Process::start("conductor_that_others_stop_and_kill", endpoint);
    process.order(&concurrency.to_string()).await;
    process
}

/// Has a conductor stop, in good order.
async fn stop(mut conductor: Process, conductors: &Entities) {
    until_listed(conductors, conductor.id()).await;
    conductor.terminate();
    let ended = conductor.ended().await;
    assert!(ended.success(), "{ended}");
}

/// Has conductors stop, in good order.
async fn stop_all(crew: impl IntoIterator<Item = Process>, conductors: &Entities) {
    let stopping = crew.into_iter().map(|one| stop(one, conductors));
    future::join_all(stopping).await;
}

/// Waits until the conductor of a process is listed: from then on it stops at a signal.
async fn until_listed(conductors: &Entities, pid: u32) {
    let mut seen = conductors.revision();
    loop {
        let listed = conductors.of_kind("conductor");
        let mut pids = listed.iter().map(|one| &one.entity.metadata()["pid"]);
        if pids.any(|listed| *listed == pid) {
            return;
        }
        seen = conductors.changed(seen).await.unwrap();
    }
}

/// The jobs that these processes hold.
async fn held_by(pids: &BTreeSet<u32>, board: &JobBoard) -> BTreeSet<JobId> {
    let jobs = board.fresh_jobs().await.unwrap();
    let is_theirs = |owner: String| pids.iter().any(|pid| owner.ends_with(&format!(":{pid}")));
    let held = jobs.filter(|job| board.find_owner(job).is_some_and(is_theirs));
    held.map(|job| job.id()).collect()
}

/// Waits until any of these conductors begins to do a job.
async fn next_run(conductors: &mut [Process]) -> Run {
    let says = conductors.iter_mut().map(|one| Box::pin(one.says()));
    let (said, ..) = future::select_all(says).await;
    serde_json::from_str(&said).unwrap()
}

/// Sees that these conductors do the jobs of some that were killed, and began in time. Gives how
/// they began.
async fn run_in_time(
    conductors: &mut [Process],
    jobs: &BTreeSet<JobId>,
    killed: Instant,
) -> Vec<Run> {
    let (mut waiting, mut runs) = (jobs.clone(), Vec::new());
    let all_run = async {
        while !waiting.is_empty() {
            let run = next_run(conductors).await;
            if waiting.remove(&run.job) {
                runs.push(run);
            }
        }
    };
    let in_time = timeout_at(killed + TTL + LATE, all_run).await;
    assert!(in_time.is_ok(), "these do not run yet: {waiting:?}");
    println!(
        "{} jobs ran elsewhere after {:?}",
        runs.len(),
        killed.elapsed()
    );
    runs
}

/// How many threads the runtime of a conductor has.
const THREADS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that other tests stop and kill"]
async fn conductor_that_others_stop_and_kill() {
    let Ok(endpoint) = env::var(ENDPOINT) else {
        return;
    };
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let concurrency = orders.next_line().await.unwrap().unwrap().parse().unwrap();
    let board = brief_board(&endpoint).await;
    let conductor = Conductor::builder(&board, "conductor")
        .concurrency(concurrency)
        .stop_on_signals()
        .handler(Worker::default())
        .unwrap();
    conductor.run().await.unwrap();
    board.close().await;
}

/// What a job is about.
#[derive(Deserialize, Serialize)]
struct Work {
    /// The file in which each run is noted.
    journal: PathBuf,
    does: Does,
}

/// What is done for a job.
#[derive(Clone, Copy, Deserialize, Serialize)]
enum Does {
    /// It takes so many milliseconds.
    Work(u64),
    /// It blocks its thread for so long.
    Block(Duration),
    /// It ends its process: the first two times once there are seven others that are felled with it.
    Abort,
    /// It does not end the first two times.
    NotYet,
}

/// That a job was begun.
#[derive(Debug, Deserialize, Serialize)]
struct Run {
    job: JobId,
    attempt: u32,
    pid: u32,
    /// How many others its process was doing then.
    beside: usize,
}

/// Does what the jobs are about.
#[derive(Default)]
struct Worker {
    running: watch::Sender<usize>,
}

impl Handler for Worker {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        let Work { journal, does } = context.job().details_as()?;
        let mut begun = Ok(());
        // The journal tells in which order they began.
        self.running.send_modify(|running| {
            begun = begin(&context, *running, &journal);
            *running += 1;
        });
        begun?;
        self.work(does, context.attempt()).await;
        self.running.send_modify(|running| *running -= 1);
        Ok(Outcome::Consume)
    }
}

/// Notes in the journal that a job is begun, and says so.
fn begin(context: &Context, beside: usize, journal: &Path) -> Result<(), HandlerError> {
    let run = Run {
        job: context.job().id(),
        attempt: context.attempt(),
        pid: process::id(),
        beside,
    };
    let line = serde_json::to_string(&run)?;
    let mut journal = OpenOptions::new().create(true).append(true).open(journal)?;
    journal.write_all(format!("{line}\n").as_bytes())?;
    println!("{SAYS}{line}");
    Ok(())
}

impl Worker {
    async fn work(&self, does: Does, attempt: u32) {
        match does {
            Does::Work(millis) => sleep(Duration::from_millis(millis)).await,
            #[expect(
                clippy::disallowed_methods,
                reason = "to block the thread is the point"
            )]
            Does::Block(time) => std::thread::sleep(time),
            Does::Abort => {
                if attempt <= 2 {
                    let mut running = self.running.subscribe();
                    running.wait_for(|running| *running == 8).await.unwrap();
                } else {
                    // Long enough for others to be begun beside it.
                    sleep(Duration::from_millis(300)).await;
                }
                process::abort();
            }
            Does::NotYet if attempt <= 2 => future::pending().await,
            Does::NotYet => sleep(Duration::from_millis(100)).await,
        }
    }
}
