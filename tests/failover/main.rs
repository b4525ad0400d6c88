//! What is true of a board on a cluster of three members when members are killed, stopped and
//! started again, and the lead changes: on every version of etcd that is tested. A member that would not come
//! back with all that it answered is stopped in good order, or does not come back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test did not expect fails it, and what it prints is shown then"
)]

#[path = "../support/cluster.rs"]
mod cluster;
mod load;
#[path = "../support/process.rs"]
mod process;

use std::{sync::Arc, time::Duration};

use futures::future;
use jobboard::{
    Claim, ErrorKind, Job, JobBoard, JobState, NewJob,
    store::{Key, RangeRequest, Store},
    testing::{Auditor, LocalEtcd, Log},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use self::{
    cluster::Cluster,
    load::{Told, under_load},
    process::{ENDPOINT, Process, SAYS},
};

/// Held by the story that is told: each measures times, and needs the whole machine for that.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// More than any story takes; one that takes so long has failed.
const BOUND: Duration = Duration::from_mins(2);

/// How long the load goes on before the trouble, and after it: an ordinary time between two of
/// them, of which nothing depends but that calls are under way.
const WHILE: Duration = Duration::from_millis(700);

/// How long writes may stop when a leader dies, by the design.
const WRITES_ARE_BACK: Duration = Duration::from_secs(3);

const NAMESPACE: &str = "/taskflow";

const BOARD: &str = "failover";

/// How much later than it must something can happen: an election takes up to two seconds, and another up to
/// one where two members stand at the same time; and the machine can have other things to do.
const SLACK: Duration = Duration::from_secs(1);

/// In how much time a member that stands still is noticed.
const NOTICED: Duration = Duration::from_secs(8);

/// How long the lease of a process that dies lives without word of it.
const TTL: Duration = Duration::from_secs(3);

/// The deadline of calls while the quorum is lost.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long after that writes may still wait: twice as long as the writer waits at most between two
/// tries, before its fence and after it; plus a second.
const GOES_ON: Duration = Duration::from_secs(5);

/// Tells `story` with each version of etcd.
async fn on_each<F>(story: impl Fn(Cluster) -> F + Send + Sync)
where
    F: Future<Output = ()> + Send,
{
    let _machine = MACHINE.lock().await;
    for binary in LocalEtcd::binaries().unwrap() {
        println!("{}", binary.display());
        let cluster = Cluster::start(&binary).await;
        let told = timeout(BOUND, story(cluster)).await;
        told.unwrap_or_else(|_| panic!("it does not end with {}", binary.display()));
    }
}

/// Tells whether it was in time, and fails only if it was not by far.
fn assert_in_time(what: &str, took: Duration, bound: Duration) {
    let kept = if took <= bound { "within" } else { "over" };
    println!("  {what} after {took:?}, {kept} the bound of {bound:?}");
    assert!(took <= bound + SLACK, "{what} after {took:?}");
}

/// A board in use on a cluster.
struct Scene {
    cluster: Cluster,
    board: JobBoard,
    /// The same board, by a connection of its own.
    services: JobBoard,
    /// The member that the board talks to.
    talks_to: usize,
    auditor: Auditor,
    log: Log,
}

impl Scene {
    async fn on(cluster: Cluster) -> Self {
        Self::with(cluster, Duration::from_secs(10), Duration::from_secs(10)).await
    }

    /// With a time to live and a deadline other than the default ones.
    async fn with(cluster: Cluster, ttl: Duration, deadline: Duration) -> Self {
        let connect = async || {
            let store = cluster.connect().await;
            let board = JobBoard::builder(BOARD).store(store).ttl(ttl);
            board.deadline(deadline).connect().await.unwrap()
        };
        let board = connect().await;
        // So that its session is open, and all its connections are made.
        let first = board.post(NewJob::new("first")).await.unwrap();
        board
            .claim(&first, "user")
            .await
            .unwrap()
            .consume()
            .await
            .unwrap();
        let talks_to = cluster.talked_to();
        let services = connect().await;
        // Its connections are not to be counted among those of the board. etcd still knows all that happened.
        let store: Arc<dyn Store> = Arc::new(cluster.connect().await);
        let auditor = Auditor::start(&store, NAMESPACE, BOARD).await.unwrap();
        let log = auditor.log();
        // A new leader can end a lease that lives.
        log.excuse_beliefs();
        Self {
            cluster,
            board,
            services,
            talks_to,
            auditor,
            log,
        }
    }

    /// Jobs that are held during the trouble.
    async fn held(&self) -> Vec<Claim> {
        let held = (0..3).map(async |number| {
            let job = self.post(&format!("held-{number}")).await;
            self.board.claim(&job, "holder").await.unwrap()
        });
        future::join_all(held).await
    }

    async fn post(&self, name: &str) -> Job {
        self.board.post(NewJob::new(name)).await.unwrap()
    }

    /// Ends a story in which no call failed, and what was held still is.
    async fn end_without_failure(self, held: Vec<Claim>, told: &Told) {
        told.assert_none_failed();
        consume(held).await;
        self.end(told).await;
    }

    /// Ends the story: all jobs have ended, each once, and what was told is true.
    async fn end(self, told: &Told) {
        println!(
            "  {} calls, {} failed; longest gap between writes {:?}, longest call {:?}",
            told.calls.len(),
            told.failed().len(),
            told.longest_gap(),
            told.longest_call(),
        );
        let left: Vec<_> = self.services.fresh_jobs().await.unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        self.board.close().await;
        self.services.close().await;
        self.audit().await;
    }

    /// Fails unless all promises were kept, and all jobs have ended.
    async fn audit(&self) {
        let any = RangeRequest::new(Key::new(format!("{NAMESPACE}/")).unwrap());
        let now = self.cluster.connect().await.range(any).await.unwrap();
        assert!(self.auditor.caught_up(now.header.revision).await);
        match self.auditor.audit() {
            Ok(audit) => println!("  {audit:?}"),
            Err(broken) => panic!("{broken}"),
        }
        let left = self.auditor.on_board();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Takes these members away in the midst of the load, and has them back after a while.
async fn away_for_a_while(cluster: &mut Cluster, members: &[usize]) {
    sleep(WHILE).await;
    cluster.take_away(members).await;
    sleep(3 * WHILE).await;
    cluster.restart(members).await;
    sleep(WHILE).await;
}

/// Consumes what was held all the time, and still is.
async fn consume(held: Vec<Claim>) {
    for claim in held {
        assert!(claim.is_held());
        claim.consume().await.unwrap();
    }
}

#[tokio::test]
async fn no_call_fails_when_a_follower_is_killed() {
    on_each(|cluster| async {
        let mut scene = Scene::on(cluster).await;
        let mut followers = scene.cluster.followers().await;
        followers.retain(|place| *place != scene.talks_to);
        let trouble = away_for_a_while(&mut scene.cluster, &followers[..1]);
        let ((), told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
        told.assert_none_failed();
        scene.end(&told).await;
    })
    .await;
}

#[tokio::test]
async fn no_call_fails_when_the_member_that_is_talked_to_is_killed() {
    on_each(|cluster| async {
        let mut scene = Scene::on(cluster).await;
        let held = scene.held().await;
        let talks_to = [scene.talks_to];
        println!(
            "  it leads: {}",
            scene.cluster.leader().await == scene.talks_to
        );
        let trouble = away_for_a_while(&mut scene.cluster, &talks_to);
        let ((), told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
        scene.end_without_failure(held, &told).await;
    })
    .await;
}

#[tokio::test]
async fn writes_go_on_in_time_when_the_leader_that_is_talked_to_is_killed() {
    on_each(|cluster| async {
        let scene = Scene::on(cluster).await;
        let leader = scene.talks_to;
        kill_leader(scene, leader).await;
    })
    .await;
}

#[tokio::test]
async fn writes_go_on_in_time_when_a_leader_that_is_not_talked_to_is_killed() {
    on_each(|cluster| async {
        let scene = Scene::on(cluster).await;
        let leader = (scene.talks_to + 1) % 3;
        kill_leader(scene, leader).await;
    })
    .await;
}

/// A process dies together with the leader: its jobs come back, those of the living stay theirs.
async fn kill_leader(mut scene: Scene, leader: usize) {
    let held = scene.held().await;
    let endpoints = scene.cluster.endpoints().join(",");
    let orphans = [scene.post("orphan-1").await, scene.post("orphan-2").await];
    let mut owner = Process::start("owner_that_dies_with_the_leader", &endpoints);
    assert_eq!(owner.says().await, "holds 2");
    scene.cluster.move_leader(leader).await;
    let cluster = &mut scene.cluster;
    let trouble = async {
        sleep(WHILE).await;
        cluster.kill(&[leader]);
        owner.kill().await;
        let killed = Instant::now();
        future::join_all(orphans.iter().map(until_free)).await;
        let back = killed.elapsed();
        println!("  the jobs of the dead are back after {back:?}");
        assert!(back <= 2 * TTL + Duration::from_secs(4), "{back:?}");
        if !cluster.is_fragile() {
            cluster.restart(&[leader]).await;
        }
        sleep(WHILE).await;
    };
    let ((), told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
    told.assert_none_failed();
    let gap = told.longest_gap();
    consume(held).await;
    for orphan in &orphans {
        consume(vec![scene.board.claim(orphan, "heir").await.unwrap()]).await;
    }
    scene.end(&told).await;
    assert_in_time("writes are back", gap, WRITES_ARE_BACK);
}

async fn until_free(job: &Job) {
    while job.state() != JobState::Unclaimed {
        let board = job.board();
        board.changed(board.revision()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "the process that another test kills"]
async fn owner_that_dies_with_the_leader() {
    let Ok(endpoints) = std::env::var(ENDPOINT) else {
        return;
    };
    let store = jobboard::store::etcd::Etcd::connect(endpoints.split(','));
    let board = JobBoard::builder(BOARD).store(store.await.unwrap());
    let board = board.ttl(TTL).connect().await.unwrap();
    let jobs = board.jobs().filter(|job| job.name().starts_with("orphan"));
    let claims = jobs.collect::<Vec<_>>();
    let claims = claims.iter().map(|job| board.claim(job, "mortal"));
    let claims = future::try_join_all(claims).await.unwrap();
    println!("{SAYS}holds {}", claims.len());
    future::pending::<()>().await;
}

#[tokio::test]
async fn member_that_stands_still_is_noticed_in_time_and_no_call_fails() {
    on_each(|cluster| async {
        let scene = Scene::on(cluster).await;
        let leader = (scene.talks_to + 1) % 3;
        pause_talked_to(scene, leader).await;
    })
    .await;
}

#[tokio::test]
async fn leader_that_stands_still_is_noticed_in_time_and_no_call_fails() {
    on_each(|cluster| async {
        let scene = Scene::on(cluster).await;
        let leader = scene.talks_to;
        pause_talked_to(scene, leader).await;
    })
    .await;
}

async fn pause_talked_to(scene: Scene, leader: usize) {
    let held = scene.held().await;
    scene.cluster.move_leader(leader).await;
    let trouble = async {
        sleep(WHILE).await;
        pause_and_notice(&scene).await;
        sleep(WHILE).await;
    };
    let ((), told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
    let gap = told.longest_gap();
    scene.end_without_failure(held, &told).await;
    assert_in_time("writes go on", gap, NOTICED);
}

#[tokio::test]
async fn view_of_a_board_at_rest_goes_on_in_time_when_its_member_stands_still() {
    on_each(|cluster| async {
        let scene = Scene::on(cluster).await;
        scene.cluster.move_leader((scene.talks_to + 1) % 3).await;
        pause_and_notice(&scene).await;
        scene.audit().await;
    })
    .await;
}

/// Pauses the member that the board talks to, until the board sees what another has posted since.
async fn pause_and_notice(scene: &Scene) {
    scene.cluster.pause(scene.talks_to);
    let paused = Instant::now();
    let another = JobBoard::builder(BOARD).store(scene.cluster.connect().await);
    let another = another.connect().await.unwrap();
    let sign = another.post(NewJob::new("sign")).await.unwrap();
    println!("  another has posted after {:?}", paused.elapsed());
    until_seen(&scene.board, &sign).await;
    let noticed = paused.elapsed();
    scene.cluster.resume(scene.talks_to);
    let sign = another.claim(&sign, "user").await.unwrap();
    sign.consume().await.unwrap();
    another.close().await;
    assert_in_time("the view goes on", noticed, NOTICED);
}

async fn until_seen(board: &JobBoard, job: &Job) {
    while board.find(job.uuid()).is_none() {
        board.changed(board.revision()).await.unwrap();
    }
}

#[tokio::test]
async fn lost_quorum_fails_calls_in_time_and_everything_goes_on_when_it_is_back() {
    on_each(|cluster| async {
        let scene = Scene::with(cluster, Duration::from_secs(10), DEADLINE).await;
        lose_quorum(scene).await;
    })
    .await;
}

#[tokio::test]
async fn sessions_that_end_while_the_quorum_is_lost_are_followed_by_others() {
    on_each(|cluster| async {
        lose_quorum(Scene::with(cluster, TTL, DEADLINE).await).await;
    })
    .await;
}

async fn lose_quorum(mut scene: Scene) {
    let away = [(scene.talks_to + 1) % 3, scene.talks_to];
    let (cluster, board) = (&mut scene.cluster, &scene.board);
    let trouble = async {
        sleep(WHILE).await;
        cluster.take_away(&away).await;
        // Twice as long as calls may take.
        sleep(2 * DEADLINE).await;
        cluster.restart(&away).await;
        let back = Instant::now();
        let mut number = 0..;
        let mut post = async || {
            let name = format!("back-{}", number.next().unwrap());
            board.post(NewJob::new(&name)).await
        };
        while post().await.is_err() {}
        sleep(WHILE).await;
        back
    };
    let (back, told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
    let failed = told.failed();
    assert!(!failed.is_empty());
    for call in failed {
        let (error, took) = (call.error.as_ref().unwrap(), call.ended - call.began);
        // What was held may be lost with the session, and not be said to be settled.
        let is_lost = error.kind() == ErrorKind::Lost && call.doing != "post";
        let is_away = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unknown);
        assert!(is_lost || is_away, "{call:?}");
        assert!(took <= DEADLINE + Duration::from_secs(1), "{call:?}");
    }
    let good = told
        .calls
        .iter()
        .filter(|call| call.error.is_none() && call.doing != "wait");
    let first = good
        .map(|call| call.ended)
        .filter(|ended| *ended > back)
        .min();
    let first = first.unwrap() - back;
    println!("  the load goes on {first:?} after the quorum");
    assert!(first <= GOES_ON, "{first:?}");
    take_what_is_left(&scene.services).await;
    scene.end(&told).await;
}

/// Consumes what calls left behind that could not say whether they went through.
async fn take_what_is_left(board: &JobBoard) {
    loop {
        let left: Vec<_> = board.fresh_jobs().await.unwrap().collect();
        if left.is_empty() {
            return;
        }
        for job in left {
            until_free(&job).await;
            board
                .claim(&job, "heir")
                .await
                .unwrap()
                .consume()
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn no_call_fails_when_the_lead_moves() {
    on_each(|cluster| async {
        let scene = Scene::on(cluster).await;
        let held = scene.held().await;
        let trouble = async {
            for to in [0, 1, 2, 0, 1, 2] {
                sleep(WHILE).await;
                scene.cluster.move_leader(to).await;
            }
            sleep(WHILE).await;
        };
        let ((), told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
        scene.end_without_failure(held, &told).await;
    })
    .await;
}

#[tokio::test]
async fn board_goes_on_by_itself_when_all_members_were_killed_and_are_back() {
    on_each(|cluster| async {
        let mut scene = Scene::on(cluster).await;
        let held = scene.held().await;
        let (cluster, all) = (&mut scene.cluster, [0, 1, 2]);
        let trouble = async {
            sleep(WHILE).await;
            // All at once they take seconds to stop in good order, each looking for who would lead after it.
            let (at_once, singly) = ([&all[..]], all.each_ref().map(std::slice::from_ref));
            let together = if cluster.is_fragile() {
                &singly[..]
            } else {
                &at_once[..]
            };
            for members in together {
                cluster.take_away(members).await;
                let gone = Instant::now();
                cluster.restart(members).await;
                println!("  {members:?} are back after {:?}", gone.elapsed());
            }
            sleep(3 * WHILE).await;
        };
        let ((), told) = under_load(&scene.board, &scene.services, &scene.log, trouble).await;
        scene.end_without_failure(held, &told).await;
    })
    .await;
}
