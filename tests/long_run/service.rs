//! A service that has jobs done on a board, day in, day out, with others that come and go.

use std::{sync::Arc, time::Duration};

use jobboard::{
    Conductor, Context, Ended, EventKinds, Handler, HandlerError, JobBoard, JobBoardBuilder,
    NewJob, Outcome, Retry,
    random::Random,
    store::{Faults, Faulty, Key, KeyRange, RangeRequest, Store},
};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

/// How long the result of a job is kept.
pub(crate) const RETENTION: Duration = Duration::from_secs(5);

/// One who posts, a conductor, and one who listens: each a process with a board of its own.
pub(crate) struct Service {
    store: Arc<dyn Store>,
    random: Random,
    /// How long the leases of all live.
    ttl: Duration,
    poster: JobBoard,
    worker: JobBoard,
    conductor: Conductor,
    conducting: JoinHandle<jobboard::Result<()>>,
    listening: JoinHandle<u64>,
    /// How many jobs were posted.
    pub(crate) posted: u64,
}

impl Service {
    pub(crate) async fn start(store: Arc<dyn Store>, ttl: Duration) -> Self {
        let random = Random::seeded(7);
        let poster = board(&store, &random, ttl).connect().await.unwrap();
        let worker = board(&store, &random, ttl).connect().await.unwrap();
        let works = Works(random.clone());
        let conductor = Conductor::builder(&worker, "service").concurrency(4);
        let conductor = conductor.handler(works).unwrap();
        let conducts = conductor.clone();
        let conducting = tokio::spawn(async move { conducts.run().await });
        let mut events = poster.events(EventKinds::ANY).unwrap();
        let listening = tokio::spawn(async move {
            let mut heard = 0;
            while events.next().await.is_some() {
                heard += 1;
            }
            heard
        });
        Self {
            store,
            random,
            ttl,
            poster,
            worker,
            conductor,
            conducting,
            listening,
            posted: 0,
        }
    }

    /// Posts a job every so often, for a while; one in ten is waited for.
    pub(crate) async fn work(&mut self, time: Duration, every: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let details = json!({"file": "a/picture.png", "size": self.posted});
            let job = self.poster.post(NewJob::new("thumbnail").details(details));
            let job = job.await.unwrap();
            self.posted += 1;
            if self.posted.is_multiple_of(10) {
                tokio::spawn(async move { job.wait(Some(Duration::from_mins(1))).await });
            }
            sleep(every).await;
        }
    }

    /// Waits until all jobs are done and no result is kept any more, and empties the trash.
    pub(crate) async fn rest(&self) {
        while self.poster.fresh_jobs().await.unwrap().count() > 0 {
            sleep(Duration::from_millis(100)).await;
        }
        let review = self.poster.trash_review();
        review.purge_older_than(Duration::ZERO).await.unwrap();
        // Who waits for a job that is done hears of it, and results and the leases of those who crashed end.
        sleep(RETENTION + self.ttl + Duration::from_secs(5)).await;
    }

    /// Another process comes, has a job done, and goes, or crashes.
    pub(crate) async fn visit(&self, crashes: bool) {
        let store = Faulty::new(
            Arc::clone(&self.store),
            self.random.clone(),
            quick_to_give_up(),
        );
        let visitor = board(&store, &self.random, self.ttl)
            .connect()
            .await
            .unwrap();
        let entity = jobboard::Entity::new("visitor", "visitor");
        visitor.register_entity(&entity).await.unwrap();
        let job = visitor.post(NewJob::new("thumbnail")).await.unwrap();
        let claim = visitor.claim(&job, "visitor").await;
        if crashes {
            store.cut_off(true);
            return;
        }
        drop(claim);
        let ended = job.wait(None).await.unwrap();
        assert_ne!(ended, Ended::TimedOut);
        visitor.close().await;
    }

    /// How many keys there are of all boards.
    pub(crate) async fn keys(&self) -> usize {
        let all = KeyRange::prefix(Key::new("/taskflow/").unwrap());
        let count = RangeRequest::new(all).count_only();
        self.store.range(count).await.unwrap().count
    }

    /// How long a lone post takes.
    pub(crate) async fn post_time(&mut self) -> Duration {
        let mut times = Vec::new();
        for _ in 0..21 {
            let begun = Instant::now();
            let posted = self.poster.post(NewJob::new("thumbnail")).await;
            times.push(begun.elapsed());
            posted.unwrap();
            self.posted += 1;
        }
        times.sort();
        times[times.len() / 2]
    }

    /// Ends all of it.
    pub(crate) async fn end(self) {
        self.conductor.stop();
        self.conducting.await.unwrap().unwrap();
        self.worker.close().await;
        self.poster.close().await;
        // Each job came and went, at least.
        assert!(self.listening.await.unwrap() >= 2 * self.posted);
    }
}

fn board(store: &(impl Store + Clone), random: &Random, ttl: Duration) -> JobBoardBuilder {
    let board = JobBoard::builder("long-run").store(store.clone()).ttl(ttl);
    board.retention(RETENTION).random(random.clone())
}

/// No faults; who is cut off gives up soon.
fn quick_to_give_up() -> Faults {
    let mut faults = Faults::NONE;
    faults.patience = Duration::from_secs(1);
    faults
}

/// Does jobs, with mixed success.
struct Works(Random);

impl Handler for Works {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        let soon = Duration::from_millis(50);
        match self.0.number() % 100 {
            0..60 => {}
            60..80 => return Ok(Outcome::ConsumeWith(json!({"bytes": 128}))),
            80..85 => return Ok(Outcome::Abandon(Retry::after(soon))),
            85..88 => return Ok(Outcome::Snooze(soon)),
            88..90 => return Err("no luck".into()),
            90 => return Ok(Outcome::Trash("no good".to_owned())),
            _ => context.progress(0.5, Some("half")).await?,
        }
        Ok(Outcome::Consume)
    }
}
