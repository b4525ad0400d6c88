//! How much slower is a board than etcd itself?
//!
//! Each figure of the board stands beside raw calls of the etcd client that do the same work on the
//! same server, taken in turn in the same run: one verb on an idle board against one transaction of
//! the verb's shape, without guard and receipt; opening a board against reading its keys in pages
//! of the same size. Medians; the ratio is what counts, for machines are shared and noisy.
//!
//! `make bench` runs it on both versions of etcd.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::{path::PathBuf, time::Duration};

use etcd_client::{Client, Compare, CompareOp, DeleteOptions, GetOptions, Txn, TxnOp};
use futures::{StreamExt, stream};
use jobboard::{JobBoard, NewJob, store::etcd::Etcd, testing::LocalEtcd};
use serde_json::json;
use tokio::time::Instant;

/// How often each verb is done.
const VERBS: usize = 1_000;

/// Not counted, before.
const WARM_UP: usize = 100;

/// How many jobs the board that is opened has.
const JOBS: usize = 10_000;

/// How often it is opened.
const OPENINGS: usize = 11;

/// How many keys the board reads at once; the raw read does the same.
const PAGE: i64 = 500;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for binary in LocalEtcd::binaries().unwrap() {
        // In a task, as services do their work: waking the thread that blocks on it costs both
        // sides the same, and hides the difference.
        runtime.block_on(async { tokio::spawn(compare(binary)).await.unwrap() });
    }
}

async fn compare(binary: PathBuf) {
    let cores = std::thread::available_parallelism().unwrap();
    let verbs = LocalEtcd::builder().binary(&binary).start().await.unwrap();
    println!("\netcd {}, {cores} cores", verbs.version().await.unwrap());
    println!(
        "{:24} {:>12} {:>12} {:>8}",
        "median of", "raw", "board", "ratio"
    );
    compare_verbs(&verbs).await;
    // Etcd before 3.4.24 stays slow after a burst of writes: another server.
    let opening = LocalEtcd::builder().binary(&binary).start().await.unwrap();
    compare_opening(&opening).await;
}

/// Times of the same thing, done raw and by the board.
#[derive(Default)]
struct Pair {
    raw: Vec<Duration>,
    board: Vec<Duration>,
}

impl Pair {
    fn print(&mut self, what: &str) {
        let median = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (raw, board) = (median(&mut self.raw), median(&mut self.board));
        let ratio = board.as_secs_f64() / raw.as_secs_f64();
        println!("{what:24} {raw:>12.1?} {board:>12.1?} {ratio:>8.2}");
    }
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let done = work.await;
    (start.elapsed(), done)
}

async fn board(etcd: &LocalEtcd) -> JobBoard {
    let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
    JobBoard::builder("bench")
        .store(store)
        .connect()
        .await
        .unwrap()
}

fn new_job() -> NewJob {
    NewJob::new("thumbnail").details(json!({"file": "a/picture/of/some/length.png", "size": 128}))
}

async fn compare_verbs(etcd: &LocalEtcd) {
    let mut raw = Raw::connect(etcd).await;
    let board = board(etcd).await;
    let (mut post, mut claim, mut consume) = (Pair::default(), Pair::default(), Pair::default());
    for round in 0..WARM_UP + VERBS {
        let raw_times = raw.job(round).await;
        let (posted, job) = timed(board.post(new_job())).await;
        let job = job.unwrap();
        let (claimed, held) = timed(board.claim(&job, "bench")).await;
        let (consumed, done) = timed(held.unwrap().consume()).await;
        done.unwrap();
        if round >= WARM_UP {
            let times = [posted, claimed, consumed];
            for ((pair, raw), board) in [&mut post, &mut claim, &mut consume]
                .into_iter()
                .zip(raw_times)
                .zip(times)
            {
                pair.raw.push(raw);
                pair.board.push(board);
            }
        }
    }
    post.print("post");
    claim.print("claim");
    consume.print("consume");
    board.close().await;
}

/// The verbs by hand.
struct Raw {
    client: Client,
    lease: i64,
}

impl Raw {
    async fn connect(etcd: &LocalEtcd) -> Self {
        let mut client = Client::connect([etcd.endpoint()], None).await.unwrap();
        let lease = client.lease_grant(600, None).await.unwrap().id();
        Self { client, lease }
    }

    /// Posts, claims and consumes one job.
    async fn job(&mut self, round: usize) -> [Duration; 3] {
        let record = json!({
            "uuid": "00000000-0000-4000-8000-000000000000", "name": "thumbnail",
            "priority": "NORMAL", "created_on": "2026-01-31T12:00:00.000000",
            "details": {"file": "a/picture/of/some/length.png", "size": 128},
            "sequence": round, "jobboard": {"v": 1},
        });
        let owner = json!({
            "owner": "bench", "lease_id": self.lease, "jobboard": {
                "session": "00000000-0000-4000-8000-000000000000",
                "claim": "00000000-0000-4000-8000-000000000000",
            },
        });
        let state = json!({
            "attempts": 1, "unsettled": 1, "last_owner": "bench",
            "claim": "00000000-0000-4000-8000-000000000000",
        });
        let modified = json!({"last_modified": "2026-01-31T12:00:00.000000"});
        let key = |part: &str| format!("/raw/jobs/job{round}.{part}");
        let leased = etcd_client::PutOptions::new().with_lease(self.lease);

        let post = Txn::new()
            .when([Compare::create_revision(key(""), CompareOp::Equal, 0)
                .with_range(format!("/raw/jobs/job{round}/"))])
            .and_then([TxnOp::put(key("data"), record.to_string(), None)]);
        let (posted, answer) = timed(self.client.txn(post)).await;
        let revision = answer.unwrap().header().unwrap().revision();

        let claim = Txn::new()
            .when([
                Compare::create_revision(key("data"), CompareOp::Equal, revision),
                Compare::create_revision(key("lock"), CompareOp::Equal, 0),
                Compare::mod_revision(key("state"), CompareOp::Equal, 0),
                Compare::create_revision("/raw/paused", CompareOp::Equal, 0),
            ])
            .and_then([
                TxnOp::put(key("lock"), owner.to_string(), Some(leased)),
                TxnOp::put(key("last_modified"), modified.to_string(), None),
                TxnOp::put(key("state"), state.to_string(), None),
            ]);
        let (claimed, answer) = timed(self.client.txn(claim)).await;
        let token = answer.unwrap().header().unwrap().revision();

        let all = DeleteOptions::new().with_range(format!("/raw/jobs/job{round}/"));
        let consume = Txn::new()
            .when([Compare::create_revision(
                key("lock"),
                CompareOp::Equal,
                token,
            )])
            .and_then([TxnOp::delete(key(""), Some(all))]);
        let (consumed, answer) = timed(self.client.txn(consume)).await;
        assert!(answer.unwrap().succeeded());
        [posted, claimed, consumed]
    }

    /// Reads all jobs of the board in pages, at one revision.
    async fn read_all(&mut self) -> usize {
        let mut from = b"/taskflow/jobs/bench/job0".to_vec();
        let (mut revision, mut keys) = (0, 0);
        loop {
            let page = GetOptions::new()
                .with_range("/taskflow/jobs/bench/job:")
                .with_limit(PAGE)
                .with_revision(revision);
            let page = self.client.get(from, Some(page)).await.unwrap();
            revision = page.header().unwrap().revision();
            keys += page.kvs().len();
            if !page.more() {
                return keys;
            }
            from = [page.kvs().last().unwrap().key(), &[0]].concat();
        }
    }
}

async fn compare_opening(etcd: &LocalEtcd) {
    let poster = board(etcd).await;
    let posts = stream::iter(0..JOBS)
        .map(|_| poster.post(new_job()))
        .buffer_unordered(32);
    posts.for_each(|posted| async { _ = posted.unwrap() }).await;
    poster.close().await;

    let mut raw = Raw::connect(etcd).await;
    let mut opening = Pair::default();
    let mut iterating = Vec::new();
    for _ in 0..OPENINGS {
        let (read, keys) = timed(raw.read_all()).await;
        assert!(keys >= JOBS);
        opening.raw.push(read);
        // What is compared is the list, not how a connection is made.
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let opened = JobBoard::builder("bench").store(store).read_only(true);
        let (opened, board) = timed(opened.connect()).await;
        opening.board.push(opened);
        let board = board.unwrap();
        let (iterated, last) = timed(async { board.jobs().map(|job| job.id()).max() }).await;
        assert!(last.is_some());
        iterating.push(iterated);
        board.close().await;
    }
    opening.print("opening 10,000 jobs");
    iterating.sort_unstable();
    let median = iterating[OPENINGS / 2];
    println!(
        "{:24} {:>12} {median:>12.1?} {:>6.1} M jobs/s, no request",
        "iterating 10,000 jobs",
        "-",
        10_000.0 / median.as_secs_f64() / 1e6,
    );
}
