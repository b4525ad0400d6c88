//! A process of the simulation: it does by chance what users of a board do, and crashes now and then.

use std::{future::Future, pin::pin, time::Duration};

use futures::future::join_all;
use jobboard::{
    Claim, ClaimOptions, Ended, Error, Job, JobBoard, NewJob, Result, Retry,
    random::Random,
    testing::{Held, Log},
};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    chance::{below, up_to},
    conducting::{Conducting, result_of},
    world::{DEADLINE, TTL, Times, World},
};

/// How often a process does something.
const EACH: u64 = 700;

/// The longest that a job rests, or is waited for, in milliseconds.
const WHILE: u64 = 5_000;

/// How much longer than its deadline a call takes at most.
const SLACK: Duration = Duration::from_secs(1);

/// A step in which a call is waited for.
const STEP: Duration = Duration::from_millis(250);

pub(crate) struct Worker {
    world: World,
    number: u64,
    chance: Random,
    log: Log,
    /// How many names were given.
    names: u64,
    life: Life,
    /// What crashed: it stays as it was, cut off from the world.
    crashed: Vec<Life>,
}

/// One incarnation of the process.
struct Life {
    name: String,
    board: JobBoard,
    claims: Vec<Claim>,
    /// What listens to the board.
    listening: JoinSet<()>,
    conducting: Option<Conducting>,
}

impl Worker {
    pub(crate) fn new(world: World, number: u64) -> Self {
        let (chance, log) = (world.chance(), world.auditor.log().from_now());
        let life = Life::begin(&world, number, 0);
        Self {
            world,
            number,
            chance,
            log,
            names: 0,
            life,
            crashed: Vec::new(),
        }
    }

    /// Works until all is done.
    pub(crate) async fn work(mut self) {
        let mut times = self.world.times.clone();
        self.connect().await;
        while *times.borrow() == Times::Trouble {
            self.step().await;
            let pause = sleep(up_to(&self.chance, EACH));
            tokio::select! {
                biased;
                _ = times.wait_for(|now| *now != Times::Trouble) => {}
                () = pause => {}
            }
        }
        if let Some(conducting) = self.life.conducting.take() {
            conducting.stop().await;
        }
        let owners = self
            .life
            .claims
            .iter()
            .filter(|claim| claim.is_held())
            .map(|claim| claim.owner().to_owned());
        self.world.holding.lock().unwrap().extend(owners);
        _ = times.wait_for(|now| *now == Times::Calm).await;
        self.finish().await;
    }

    /// Connects, however long it takes.
    async fn connect(&mut self) {
        while ended(self.life.board.connect()).await.is_err() {
            sleep(up_to(&self.chance, EACH)).await;
        }
        let listening = self.log.listening(&self.life.name, &self.life.board);
        self.life.listening.spawn(listening.unwrap());
        if below(&self.chance, 2) == 0 {
            let (board, client) = (&self.life.board, &self.life.name);
            let chance = self.world.chance();
            let conducting = Conducting::begin(board, client, &self.log, chance);
            self.life.conducting = Some(conducting);
        }
    }

    async fn step(&mut self) {
        match below(&self.chance, 42) {
            0..8 => self.post().await,
            8..20 => self.claim().await,
            20..31 => self.settle().await,
            31..33 => self.look(),
            33 => self.give_back(),
            34 => self.report().await,
            35 => self.restore().await,
            36 => self.release().await,
            37 => self.pause().await,
            38 | 39 => self.resume().await,
            40 => self.cancel().await,
            _ => self.crash().await,
        }
    }

    async fn post(&mut self) {
        let names: Vec<_> = (0..=below(&self.chance, 3))
            .map(|_| self.name("job"))
            .collect();
        let (board, client, log) = (&self.life.board, &self.life.name, &self.log);
        let posts = names.into_iter().map(|name| {
            let mut job = NewJob::new(&name).details(json!({"some": "details"}));
            if below(&self.chance, 3) == 0 {
                job = job.unique(below(&self.chance, 2).to_string());
            }
            if below(&self.chance, 4) == 0 {
                job = job.delay(up_to(&self.chance, WHILE));
            }
            async move {
                let calling = log.posting(client, &name);
                let posted = ended(board.post(job)).await;
                calling.posted(&posted);
                posted
            }
        });
        for job in join_all(posts).await.into_iter().flatten() {
            self.wait_for(job);
        }
    }

    /// Waits for a job, for a while.
    fn wait_for(&mut self, job: Job) {
        let (client, log) = (self.life.name.clone(), self.log.clone());
        let at_most = up_to(&self.chance, WHILE);
        self.life.listening.spawn(async move {
            if let Ok(end) = job.wait(Some(at_most)).await {
                log.told_of_end(&client, job.uuid(), &end);
                if let Ended::Consumed(Some(result)) = end {
                    assert_eq!(result, result_of(job.uuid()));
                }
            }
        });
    }

    async fn claim(&mut self) {
        let mut jobs: Vec<_> = self.life.board.jobs().only_unclaimed().collect();
        if below(&self.chance, 8) == 0 {
            jobs = self.life.board.jobs().collect();
        }
        let mut claims = Vec::new();
        for _ in 0..=below(&self.chance, 3) {
            if jobs.is_empty() {
                break;
            }
            let place = below(&self.chance, jobs.len() as u64);
            let job = jobs.swap_remove(usize::try_from(place).unwrap());
            claims.push(self.claim_one(job));
        }
        let claimed = join_all(claims).await;
        self.life.claims.extend(claimed.into_iter().flatten());
    }

    fn claim_one(&mut self, job: Job) -> impl Future<Output = Option<Claim>> + use<> {
        let who = self.name("owner");
        let (board, client, log) = (
            self.life.board.clone(),
            self.life.name.clone(),
            self.log.clone(),
        );
        let mut options = ClaimOptions::new();
        if below(&self.chance, 5) == 0 {
            // No longer than the others' leases live.
            options = options.ttl(TTL / 2 + up_to(&self.chance, 2_000));
            if below(&self.chance, 2) == 0 {
                options = options.manual_renewal();
            }
        }
        async move {
            let calling = log.claiming(&client, &who);
            let claimed = ended(board.claim_with(&job, &who, options)).await;
            calling.claimed(&claimed);
            let claim = claimed.ok()?;
            let (lost, held) = (claim.cancellation(), Held::from(&claim));
            // Ends with the claim.
            tokio::spawn(async move {
                lost.cancelled().await;
                log.disbelieve(held);
            });
            Some(claim)
        }
    }

    /// Settles a claim; one that could not be is given back.
    async fn settle(&mut self) {
        let Some(claim) = self.life.any(&self.chance) else {
            return;
        };
        let (client, log) = (&self.life.name, &self.log);
        match below(&self.chance, 10) {
            0..4 => {
                let calling = log.consuming(client, &claim);
                calling.settled(&ended(claim.consume()).await);
            }
            4 | 5 => {
                let calling = log.consuming(client, &claim);
                let result = result_of(claim.job().uuid());
                calling.settled(&ended(claim.consume_with(result)).await);
            }
            6 => {
                let calling = log.abandoning(client, &claim);
                calling.settled(&ended(claim.abandon()).await);
            }
            7 => {
                let calling = log.abandoning(client, &claim);
                let retry = Retry::after(up_to(&self.chance, WHILE));
                calling.settled(&ended(claim.abandon_with(retry)).await);
            }
            _ => {
                let calling = log.trashing(client, &claim);
                calling.settled(&ended(claim.trash("no good")).await);
            }
        }
    }

    /// Drops a claim: it is given back whenever that can be done, and nothing is told of it.
    fn give_back(&mut self) {
        if let Some(claim) = self.life.any(&self.chance) {
            self.log.disbelieve(&claim);
        }
    }

    fn look(&self) {
        let board = &self.life.board;
        if board.connected() {
            self.log
                .saw(&self.life.name, board.revision(), board.jobs());
        }
    }

    async fn report(&mut self) {
        if let Some(claim) = self.life.claims.first() {
            _ = ended(claim.progress(0.5, Some("half"))).await;
            _ = ended(claim.renew()).await;
        }
    }

    /// Brings a job back from the trash, as an operator does.
    async fn restore(&self) {
        let review = self.life.board.trash_review();
        let Ok(trash) = ended(review.list()).await else {
            return;
        };
        if let Some(job) = trash.jobs.first() {
            let calling = self.log.restoring(&self.life.name, job);
            calling.posted(&ended(review.restore(job)).await);
        }
    }

    /// Takes a job from its owner, as an operator does: he makes sure that the owner stops.
    async fn release(&self) {
        let board = &self.life.board;
        let held = board
            .jobs()
            .find_map(|job| Some((board.holder(job.id())?, job)));
        if let Some((holder, job)) = held {
            let claim = Held::new(job.uuid(), holder.token);
            let calling = self.log.releasing(&self.life.name, claim);
            calling.settled(&ended(board.release(job.id(), holder.token, None)).await);
        }
    }

    /// Asks for a job to be stopped: one that nobody holds goes into the trash.
    async fn cancel(&mut self) {
        let operator = self.name("operator");
        let board = &self.life.board;
        if let Some(job) = board.jobs().next() {
            let calling = self.log.trashing_unclaimed(&self.life.name, &operator);
            calling.cancelled(&ended(board.cancel(&job, &operator, None)).await);
        }
    }

    async fn pause(&self) {
        _ = ended(self.life.board.pause("operator", None)).await;
    }

    async fn resume(&self) {
        _ = ended(self.life.board.resume()).await;
    }

    /// Nothing comes from this life any more, and another begins.
    async fn crash(&mut self) {
        for claim in &self.life.claims {
            self.log.disbelieve(claim);
        }
        if let Some(conducting) = &self.life.conducting {
            conducting.crash();
        }
        self.log.deaf(&self.life.name);
        let number = self.crashed.len() + 1;
        let next = Life::begin(&self.world, self.number, number);
        self.crashed.push(std::mem::replace(&mut self.life, next));
        sleep(up_to(&self.chance, EACH)).await;
        self.connect().await;
    }

    /// Does all that is left, with all others.
    async fn finish(mut self) {
        let board = self.life.board.clone();
        self.look();
        while !ended(board.fresh_jobs())
            .await
            .is_ok_and(|mut jobs| jobs.next().is_none())
        {
            // A pause can have come late.
            _ = ended(board.resume()).await;
            let jobs: Vec<_> = board.jobs().only_unclaimed().take(3).collect();
            let claims: Vec<_> = jobs.into_iter().map(|job| self.claim_one(job)).collect();
            let claimed = join_all(claims).await.into_iter().flatten();
            self.life.claims.extend(claimed);
            while let Some(claim) = self.life.claims.pop() {
                let calling = self.log.consuming(&self.life.name, &claim);
                calling.settled(&ended(claim.consume()).await);
            }
            // Somebody holds what is left, or it is not due yet.
            sleep(up_to(&self.chance, EACH)).await;
        }
        self.look();
        board.close().await;
        // Each who listens has heard of all that the board saw.
        while let Some(listened) = self.life.listening.join_next().await {
            listened.unwrap();
        }
    }

    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}-{}-{}", self.number, self.names)
    }
}

impl Life {
    fn begin(world: &World, number: u64, life: usize) -> Self {
        let name = format!("process-{number}-{life}");
        let board = world.board(number, &name);
        Self {
            name,
            board,
            claims: Vec::new(),
            listening: JoinSet::new(),
            conducting: None,
        }
    }

    fn any(&mut self, chance: &Random) -> Option<Claim> {
        if self.claims.is_empty() {
            return None;
        }
        let place = below(chance, self.claims.len() as u64);
        Some(self.claims.swap_remove(usize::try_from(place).unwrap()))
    }
}

/// What a call comes to: each ends in time. That is counted in steps, so that the time for which its process
/// stands still is not.
async fn ended<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut call = pin!(call);
    let mut left = DEADLINE + SLACK;
    while !left.is_zero() {
        if let Ok(ended) = timeout(STEP, &mut call).await {
            return ended;
        }
        left = left.saturating_sub(STEP);
    }
    panic!("a call does not end by its deadline");
}
