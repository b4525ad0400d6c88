//! Users of the board in the process of the test: they post, claim and settle.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use jobboard::{Claim, Error, Job, JobBoard, NewJob, random::Random, testing::Held};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    chance::{below, up_to},
    times::Measure,
    world::World,
};

/// The jobs that are left to conductors have a name that begins so.
pub(crate) const LEFT: &str = "left-";

/// How much a user thinks between two steps, at most.
const THOUGHT: u64 = 60;

/// How many claims a user holds at most.
const HANDS_FULL: usize = 8;

pub(crate) struct User {
    world: Arc<World>,
    name: String,
    board: JobBoard,
    chance: Random,
    claims: Vec<Claim>,
    /// How many names were given.
    names: u64,
    listening: JoinSet<()>,
}

impl User {
    /// The first goes by a way that can be cut.
    pub(crate) async fn begin(world: Arc<World>, number: usize) -> Self {
        let board = world.setup((number == 0).then_some(0)).board().await;
        let chance = world.chance(u64::try_from(number).unwrap());
        let mut user = Self {
            world,
            name: format!("user-{number}"),
            board,
            chance,
            claims: Vec::new(),
            names: 0,
            listening: JoinSet::new(),
        };
        let listening = user.world.log.listening(&user.name, &user.board);
        user.listening.spawn(listening.unwrap());
        user
    }

    /// Uses the board until all is done.
    pub(crate) async fn work(mut self) {
        let world = Arc::clone(&self.world);
        loop {
            let thought = sleep(up_to(&self.chance, THOUGHT));
            tokio::select! {
                biased;
                () = world.still() => break,
                () = thought => {}
            }
            self.step().await;
        }
        let held = self.claims.iter().filter(|claim| claim.is_held());
        world.hold(held.map(|claim| claim.owner().to_owned()));
        world.calm().await;
        self.finish().await;
    }

    async fn step(&mut self) {
        match below(&self.chance, 36) {
            0..10 => self.post().await,
            10..20 if self.claims.len() < HANDS_FULL => self.claim().await,
            10..28 => self.settle().await,
            28..30 => self.look(),
            30 => self.report().await,
            31 => self.restore().await,
            32..34 => self.release().await,
            _ => self.give_back(),
        }
    }

    async fn post(&mut self) {
        let count = below(&self.chance, 3);
        let jobs: Vec<_> = (0..=count).map(|_| self.job()).collect();
        let posts = jobs.into_iter().map(async |(name, job)| {
            let calling = self.world.log.posting(&self.name, &name);
            calling.posted(&self.call(self.board.post(job)).await);
        });
        join_all(posts).await;
    }

    fn job(&mut self) -> (String, NewJob) {
        let for_conductors = below(&self.chance, 3) == 0;
        let name = self.named(if for_conductors { LEFT } else { "job-" });
        let takes = below(&self.chance, 150);
        let mut job = NewJob::new(name.clone()).details(json!({"millis": takes}));
        if below(&self.chance, 4) == 0 {
            job = job.unique(below(&self.chance, 3).to_string());
        }
        (name, job)
    }

    async fn claim(&mut self) {
        let free = self.board.jobs().only_unclaimed();
        let mut jobs: Vec<_> = free.filter(is_for_users).take(16).collect();
        for _ in 0..=below(&self.chance, 3) {
            if jobs.is_empty() {
                return;
            }
            let place = below(&self.chance, jobs.len() as u64);
            let job = jobs.swap_remove(usize::try_from(place).unwrap());
            self.claim_one(&job).await;
        }
    }

    async fn claim_one(&mut self, job: &Job) {
        let (who, log) = (self.named("owner-"), self.world.log.clone());
        let calling = log.claiming(&self.name, &who);
        let claimed = self.call(self.board.claim(job, &who)).await;
        calling.claimed(&claimed);
        if let Ok(claim) = claimed {
            let (lost, held) = (claim.cancellation(), Held::from(&claim));
            // Ends with the claim.
            tokio::spawn(async move {
                lost.cancelled().await;
                log.disbelieve(held);
            });
            self.claims.push(claim);
        }
    }

    /// Settles some claims at the same time; what could not be settled is given back.
    async fn settle(&mut self) {
        let mut settled = Vec::new();
        for _ in 0..=below(&self.chance, 3) {
            if !self.claims.is_empty() {
                let place = below(&self.chance, self.claims.len() as u64);
                let claim = self.claims.swap_remove(usize::try_from(place).unwrap());
                settled.push((claim, below(&self.chance, 10)));
            }
        }
        let (client, log) = (&self.name, &self.world.log);
        let settling = settled.iter().map(async |(claim, how)| match how {
            0..6 => {
                let calling = log.consuming(client, claim);
                calling.settled(&self.call(claim.consume()).await);
            }
            6..8 => {
                let calling = log.abandoning(client, claim);
                calling.settled(&self.call(claim.abandon()).await);
            }
            _ => {
                let calling = log.trashing(client, claim);
                calling.settled(&self.call(claim.trash("no good")).await);
            }
        });
        join_all(settling).await;
    }

    fn look(&self) {
        if self.board.connected() {
            let (revision, jobs) = (self.board.revision(), self.board.jobs());
            self.world.log.saw(&self.name, revision, jobs);
        }
    }

    /// Drops a claim: it is given back whenever that can be done.
    fn give_back(&mut self) {
        if let Some(claim) = self.claims.pop() {
            self.world.log.disbelieve(&claim);
        }
    }

    async fn report(&self) {
        if let Some(claim) = self.claims.first() {
            _ = self.call(claim.progress(0.5, Some("half"))).await;
        }
    }

    /// Brings a job back from the trash, as an operator does.
    async fn restore(&self) {
        let review = self.board.trash_review();
        let Ok(trash) = self.call(review.list()).await else {
            return;
        };
        if let Some(job) = trash.jobs.first() {
            let calling = self.world.log.restoring(&self.name, job);
            calling.posted(&self.call(review.restore(job)).await);
        }
    }

    /// Takes a job from its owner, as an operator does: he makes sure that the owner stops.
    async fn release(&self) {
        let jobs = self.board.jobs();
        let held = jobs.filter_map(|job| Some((self.board.holder(job.id())?, job)));
        let held: Vec<_> = held.take(16).collect();
        if held.is_empty() {
            return;
        }
        let (holder, job) = &held[usize::try_from(below(&self.chance, held.len() as u64)).unwrap()];
        let claim = Held::new(job.uuid(), holder.token);
        let calling = self.world.log.releasing(&self.name, claim);
        let releasing = self.board.release(job.id(), holder.token, None);
        calling.settled(&self.call(releasing).await);
    }

    /// Does all that is left for users, with the others.
    async fn finish(mut self) {
        loop {
            while let Some(claim) = self.claims.pop() {
                let calling = self.world.log.consuming(&self.name, &claim);
                calling.settled(&self.call(claim.consume()).await);
            }
            let fresh = self.call(self.board.fresh_jobs()).await;
            if fresh.is_ok_and(|mut jobs| !jobs.any(|job| is_for_users(&job))) {
                break;
            }
            let free = self.board.jobs().only_unclaimed();
            let jobs: Vec<_> = free.filter(is_for_users).take(8).collect();
            for job in &jobs {
                self.claim_one(job).await;
            }
            if self.claims.is_empty() {
                // Somebody holds what is left, or it is not due yet.
                sleep(up_to(&self.chance, THOUGHT)).await;
            }
        }
        self.world.over().await;
        let fresh = self.call(self.board.fresh_jobs()).await;
        assert_eq!(fresh.unwrap().count(), 0);
        self.look();
        self.board.close().await;
        // Who listens has heard of all that the board saw.
        while let Some(listened) = self.listening.join_next().await {
            listened.unwrap();
        }
    }

    /// What a call comes to: each ends by its deadline.
    async fn call<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let began = Instant::now();
        let ended = timeout(Measure::LongestCall.latest(), call).await;
        let ended = ended.expect("a call ends by its deadline");
        self.world.took(began.elapsed());
        ended
    }

    fn named(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}-{}", self.name, self.names)
    }
}

/// Whether a job is not left to conductors.
pub(crate) fn is_for_users(job: &Job) -> bool {
    !job.name().starts_with(LEFT)
}

impl World {
    /// Notes how long a call took.
    pub(crate) fn took(&self, time: Duration) {
        self.times.lock().unwrap().note_call(time);
    }
}
