//! An hour, minute by minute, on etcd.

use std::{env, fs, path::Path, sync::Arc, time::Duration};

use etcd_client::Client;
use jobboard::{store::Etcd, testing::LocalEtcd};
use tokio::runtime::{Builder, Handle};

use super::service::Service;

/// How long it is, in minutes, if nobody says otherwise.
const MINUTES: u32 = 60;

/// The least of which four parts can be made: a look at the table. The first part is when all is set
/// up, the second is held against the last.
const FEWEST: u32 = 4;

/// How many minutes such a part must have for it to be judged: so often etcd compacts, and in between
/// its database grows.
const JUDGED: usize = 5;

/// How long leases live.
const TTL: Duration = Duration::from_secs(10);

/// How often a job is posted.
const EVERY: Duration = Duration::from_millis(25);

/// What there is at the end of a minute.
struct Minute {
    jobs: u64,
    /// Resident memory of this process, in KiB.
    own_memory: u64,
    /// The same of etcd.
    etcd_memory: u64,
    tasks: usize,
    keys: usize,
    leases: usize,
    /// Bytes of etcd's database that are in use.
    database: i64,
    post: Duration,
}

#[test]
#[ignore = "it takes as long as it says: make long-run"]
fn nothing_grows_in_an_hour() {
    let minutes = env::var("MINUTES").map_or(MINUTES, |minutes| minutes.parse().unwrap());
    assert!(minutes >= FEWEST, "MINUTES={minutes}: {FEWEST} at least");
    for binary in LocalEtcd::binaries().unwrap() {
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(pass(&binary, minutes));
    }
}

async fn pass(binary: &Path, minutes: u32) {
    let etcd = LocalEtcd::builder()
        .binary(binary)
        .flag("--auto-compaction-mode=revision")
        .flag("--auto-compaction-retention=1000")
        // etcd keeps so many entries of its log in memory; it would be hours until 100,000 are reached.
        .flag("--snapshot-count=5000");
    let etcd = etcd.start().await.unwrap();
    println!("etcd {}", etcd.version().await.unwrap());
    println!(
        "| minute | jobs | memory | etcd's memory | tasks | keys | leases | database | a post |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
    let mut service = Service::start(Arc::new(store), TTL).await;
    let mut past = Vec::new();
    for number in 1..=minutes {
        service.work(Duration::from_secs(38), EVERY).await;
        service.visit(number % 2 == 0).await;
        service.rest().await;
        let post = service.post_time().await;
        let minute = look(&etcd, &service, post).await;
        println!("| {number} | {minute} |");
        past.push(minute);
    }
    service.end().await;
    let grown = grown(&past);
    if past.len() / 4 >= JUDGED {
        assert!(grown.is_empty(), "it grows: {grown:?}");
    } else {
        println!("too few minutes to judge by: {} at least", 4 * JUDGED);
    }
}

/// Something that is measured each minute: what it is, where it is noted, and how much of it is not too much
/// where there was so much before.
type Measured = (&'static str, fn(&Minute) -> u64, fn(u64) -> u64);

/// What is more in the last quarter of the minutes than in the second.
fn grown(past: &[Minute]) -> Vec<&'static str> {
    let part = past.len() / 4;
    let (early, late) = (&past[part..2 * part], &past[past.len() - part..]);
    // What is under way as it is looked at is not always as much.
    let few = |early: u64| 2 * early + 20;
    // Memory that is given back is not always given back to the system.
    let fifth = |early: u64| early + early / 5;
    // What each past revision adds is to be seen, and not what else the machine has to do.
    let double = |early: u64| 2 * early + 1_000;
    let all: [Measured; 7] = [
        ("memory", |it| it.own_memory, fifth),
        ("etcd's memory", |it| it.etcd_memory, fifth),
        ("tasks", |it| it.tasks as u64, few),
        ("keys", |it| it.keys as u64, few),
        ("leases", |it| it.leases as u64, few),
        ("the database", |it| it.database.unsigned_abs(), fifth),
        (
            "µs for a post",
            |it| it.post.as_micros().try_into().unwrap(),
            double,
        ),
    ];
    let grows = |(what, of, bound): Measured| {
        let (early, late) = (median(early, of), median(late, of));
        println!("{what}: {early}, and later {late}");
        (late > bound(early)).then_some(what)
    };
    all.into_iter().filter_map(grows).collect()
}

#[test]
fn posts_that_take_ever_longer_are_found_and_a_slow_minute_is_not() {
    let post = |milliseconds| Minute {
        jobs: 0,
        own_memory: 20_000,
        etcd_memory: 50_000,
        tasks: 37,
        keys: 17,
        leases: 3,
        database: 7_000_000,
        post: Duration::from_millis(milliseconds),
    };
    let mut past: Vec<_> = (0..20).map(|_| post(2)).collect();
    past[18] = post(50);
    assert!(grown(&past).is_empty());
    let past: Vec<_> = (0..20).map(post).collect();
    assert_eq!(grown(&past), ["µs for a post"]);
    // Some are under way as the last are looked at; or what ends leaves one behind, of a hundred.
    for (left, growing) in [(0, &[][..]), (8, &["keys"][..])] {
        let mut past: Vec<_> = (0..20).map(|_| post(2)).collect();
        for (minute, it) in past.iter_mut().enumerate() {
            it.keys += minute * left + minute / 15 * 20;
        }
        assert_eq!(grown(&past), growing);
    }
}

async fn look(etcd: &LocalEtcd, service: &Service, post: Duration) -> Minute {
    let mut client = Client::connect([etcd.endpoint()], None).await.unwrap();
    let status = client.status().await.unwrap();
    Minute {
        jobs: service.posted,
        own_memory: resident("self"),
        etcd_memory: resident(&etcd.pid().unwrap().to_string()),
        tasks: Handle::current().metrics().num_alive_tasks(),
        keys: service.keys().await,
        leases: client.leases().await.unwrap().leases().len(),
        database: status.raft_used_db_size(),
        post,
    }
}

/// The resident memory of a process, in KiB.
fn resident(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let size = line.unwrap().split_ascii_whitespace().nth(1).unwrap();
    size.parse().unwrap()
}

fn median(minutes: &[Minute], of: fn(&Minute) -> u64) -> u64 {
    let mut all: Vec<_> = minutes.iter().map(of).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

impl std::fmt::Display for Minute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} | {} KiB | {} KiB | {} | {} | {} | {} KiB | {:?}",
            self.jobs,
            self.own_memory,
            self.etcd_memory,
            self.tasks,
            self.keys,
            self.leases,
            self.database / 1024,
            self.post,
        )
    }
}
