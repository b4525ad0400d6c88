//! People and services that use a board all the time, and how each of their calls ended.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jobboard::{Conductor, Context, Ended, Error, Job, JobBoard, NewJob, Outcome, testing::Log};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// How many post, claim and consume at the same time.
const USERS: usize = 8;
/// How many post jobs for the conductor, and wait until they are done.
const PATRONS: usize = 2;
/// What a user does between two jobs: so that a burst of writes does not slow down an old etcd.
const THOUGHT: Duration = Duration::from_millis(5);

/// What all of them are called by the auditor, who tells them apart by jobs and owners.
const USER: &str = "user";

/// The jobs that are left to the conductor have a name that begins so.
const LEFT: &str = "left-";

/// What the users of a board were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) calls: Vec<Call>,
}

/// A call that ended.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) doing: &'static str,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) error: Option<Error>,
}

impl Told {
    /// The calls that failed.
    pub(crate) fn failed(&self) -> Vec<&Call> {
        self.calls
            .iter()
            .filter(|call| call.error.is_some())
            .collect()
    }

    /// The longest time in which no write ended well.
    pub(crate) fn longest_gap(&self) -> Duration {
        let writes = self.calls.iter().filter(|call| call.doing != "wait");
        let begin = self.calls.iter().map(|call| call.began).min().unwrap();
        let good = writes.filter(|call| call.error.is_none());
        let mut ends: Vec<_> = good.map(|call| call.ended).collect();
        ends.push(begin);
        ends.sort();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap()
    }

    /// The longest that a call took.
    pub(crate) fn longest_call(&self) -> Duration {
        let took = self.calls.iter().map(|call| call.ended - call.began);
        took.max().unwrap()
    }

    /// Fails if a call failed.
    pub(crate) fn assert_none_failed(&self) {
        let failed = self.failed();
        assert!(failed.is_empty(), "{}: {failed:#?}", failed.len());
    }
}

/// Lets users post, claim and consume on `board`, and others wait for what a conductor on
/// `services` does, until `trouble` is over and each has ended what it was about. What they were
/// told is noted for the auditor, and given with what the trouble gave.
pub(crate) async fn under_load<T>(
    board: &JobBoard,
    services: &JobBoard,
    log: &Log,
    trouble: impl Future<Output = T>,
) -> (T, Told) {
    let (stop, told) = (CancellationToken::new(), Arc::<Mutex<Told>>::default());
    let conductor = conductor(services);
    let conducting = tokio::spawn({
        let conductor = conductor.clone();
        async move { conductor.run().await }
    });
    let mut users = JoinSet::new();
    for number in 0..USERS + PATRONS {
        let user = User {
            board: board.clone(),
            log: log.clone(),
            told: Arc::clone(&told),
        };
        let stop = stop.clone();
        users.spawn(async move {
            for turn in 0.. {
                if stop.is_cancelled() {
                    return;
                }
                if number < USERS {
                    user.does(&format!("own-{number}-{turn}")).await;
                } else {
                    user.has_done(&format!("{LEFT}{number}-{turn}")).await;
                }
                sleep(THOUGHT).await;
            }
        });
    }
    let given = trouble.await;
    stop.cancel();
    users.join_all().await;
    conductor.stop();
    conducting.await.unwrap().unwrap();
    let told = Arc::into_inner(told).unwrap();
    (given, told.into_inner().unwrap())
}

fn conductor(services: &JobBoard) -> Conductor {
    let conductor = Conductor::builder(services, "service")
        .jobs_where(|job| job.name().starts_with(LEFT))
        .concurrency(4);
    let run = |_: Context, _: serde_json::Value| async { Ok(Outcome::Consume) };
    conductor.with(run).unwrap()
}

/// One who uses the board.
struct User {
    board: JobBoard,
    log: Log,
    told: Arc<Mutex<Told>>,
}

impl User {
    /// Posts a job, claims it and consumes it.
    async fn does(&self, name: &str) {
        let Some(job) = self.posts(name).await else {
            return;
        };
        let claiming = async {
            let who = format!("user-{name}");
            let calling = self.log.claiming(USER, &who);
            let claimed = self.board.claim(&job, &who).await;
            calling.claimed(&claimed);
            claimed
        };
        let Some(claim) = self.call("claim", claiming).await else {
            return;
        };
        let consuming = async {
            let calling = self.log.consuming(USER, &claim);
            let consumed = claim.consume().await;
            calling.settled(&consumed);
            consumed
        };
        self.call("consume", consuming).await;
    }

    /// Posts a job, and waits until a conductor has done it.
    async fn has_done(&self, name: &str) {
        let Some(job) = self.posts(name).await else {
            return;
        };
        if let Some(ended) = self.call("wait", job.wait(None)).await {
            self.log.told_of_end(USER, job.uuid(), &ended);
            assert_eq!(ended, Ended::Consumed(None));
        }
    }

    async fn posts(&self, name: &str) -> Option<Job> {
        let posting = async {
            let calling = self.log.posting(USER, name);
            let posted = self.board.post(NewJob::new(name)).await;
            calling.posted(&posted);
            posted
        };
        self.call("post", posting).await
    }

    async fn call<T>(
        &self,
        doing: &'static str,
        call: impl Future<Output = jobboard::Result<T>>,
    ) -> Option<T> {
        let began = Instant::now();
        let (given, error) = match call.await {
            Ok(given) => (Some(given), None),
            Err(error) => (None, Some(error)),
        };
        let call = Call {
            doing,
            began,
            ended: Instant::now(),
            error,
        };
        self.told.lock().unwrap().calls.push(call);
        given
    }
}
