//! Conductors in processes of their own, which do the jobs that are left to them.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use jobboard::{Conductor, ConductorEvent, Context, HandlerError, Outcome, Step};
use serde::Deserialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    beside::{orders, say},
    hand::{Blow, Blown, Victim},
    process::{ENDPOINT, Process},
    user::LEFT,
    world::World,
};

const TEST: &str = "conductor::process_that_conducts";

/// That a conductor did a job.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) job: Uuid,
    pub(crate) token: u64,
    attempt: u32,
    by: String,
    /// Whether others may do the job since: its owner was killed or stood still, or told that it lost it.
    pub(crate) is_over: bool,
}

/// A conductor, and those that take its place.
pub(crate) struct Crew {
    world: Arc<World>,
    number: usize,
    process: Process,
    name: String,
    /// Whether it ever stood still.
    stood_still: bool,
    blows: mpsc::Receiver<Blown>,
}

impl Crew {
    /// The first goes by a way that can be cut.
    pub(crate) async fn begin(world: Arc<World>, number: usize) -> (Self, Victim) {
        let (victim, blows) = Victim::new();
        let (process, name) = start(&world, number).await;
        let crew = Self {
            world,
            number,
            process,
            name,
            stood_still: false,
            blows,
        };
        (crew, victim)
    }

    /// Works until all is done.
    pub(crate) async fn work(mut self) {
        let world = Arc::clone(&self.world);
        let mut is_still = false;
        loop {
            tokio::select! {
                biased;
                blown = self.blows.recv() => self.suffer(blown.unwrap()).await,
                said = self.process.says() => { self.hear(&said); }
                () = world.still(), if !is_still => {
                    is_still = true;
                    world.hold([self.name.clone()]);
                }
                () = world.over() => break,
            }
        }
        self.process.terminate();
        while !self.hear_next().await {}
        let ended = self.process.ended().await;
        assert!(ended.success(), "{ended}");
    }

    async fn hear_next(&mut self) -> bool {
        let said = self.process.says().await;
        self.hear(&said)
    }

    /// Takes in what it says; whether it has ended.
    fn hear(&self, said: &str) -> bool {
        let words: Vec<_> = said.split(' ').collect();
        let mut runs = self.world.runs.lock().unwrap();
        match words[..] {
            ["runs", job, attempt, token] => runs.push(Run {
                job: job.parse().unwrap(),
                token: token.parse().unwrap(),
                attempt: attempt.parse().unwrap(),
                by: self.name.clone(),
                is_over: self.stood_still,
            }),
            ["lost", job, attempt] => {
                let (job, attempt): (Uuid, u32) = (job.parse().unwrap(), attempt.parse().unwrap());
                for run in runs.iter_mut() {
                    run.is_over |= run.job == job && run.attempt == attempt && run.by == self.name;
                }
            }
            ["over"] => return true,
            _ => panic!("{said}"),
        }
        false
    }

    async fn suffer(&mut self, (blow, over): Blown) {
        match blow {
            Blow::Kill => {
                let killed = Instant::now();
                self.process.strike();
                while let Some(said) = self.process.may_say().await {
                    self.hear(&said);
                }
                _ = self.process.ended().await;
                self.others_may();
                self.world.free_after(killed, vec![self.name.clone()]);
                let (process, name) = start(&self.world, self.number).await;
                (self.process, self.name, self.stood_still) = (process, name, false);
            }
            Blow::Pause(time) => {
                self.process.pause();
                sleep(time).await;
                self.process.resume();
                self.others_may();
                self.stood_still = true;
            }
        }
        _ = over.send(());
    }

    /// Others may do what it did.
    fn others_may(&self) {
        let mut runs = self.world.runs.lock().unwrap();
        let own = runs.iter_mut().filter(|run| run.by == self.name);
        own.for_each(|run| run.is_over = true);
    }
}

/// Starts a conductor, and waits until it is ready. Gives what it calls itself.
async fn start(world: &World, number: usize) -> (Process, String) {
    let setup = world.setup((number == 0).then_some(2));
    setup.start(&[], TEST).await
}

/// What a job is about.
#[derive(Deserialize)]
struct Work {
    /// How long it takes.
    millis: u64,
}

#[tokio::test]
#[ignore = "the process that episodes have conduct"]
async fn process_that_conducts() {
    if std::env::var(ENDPOINT).is_err() {
        return;
    }
    let (setup, _orders) = orders().await;
    let board = setup.board().await;
    // Here, as no conductor hears what comes between two of them.
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut named = false;
    loop {
        let conductor = Conductor::builder(&board, "conductor")
            .jobs_where(|job| job.name().starts_with(LEFT))
            .concurrency(4)
            .with(run)
            .unwrap();
        if !named {
            say(&format!("ready {}", conductor.name()));
            named = true;
        }
        let telling = tokio::spawn(conductor.events().for_each(async |event| tell(&event)));
        // Where etcd could not be reached as it began, it begins again.
        let mut running = pin!(conductor.run());
        let ran = tokio::select! {
            ran = &mut running => ran,
            _ = terminate.recv() => {
                conductor.stop();
                running.await
            }
        };
        telling.abort();
        if ran.is_ok() {
            break;
        }
        // A signal that comes now waits for the next.
        sleep(Duration::from_millis(50)).await;
    }
    board.close().await;
    say("over");
}

async fn run(context: Context, work: Work) -> Result<Outcome, HandlerError> {
    let (job, attempt, token) = (context.job().uuid(), context.attempt(), context.token());
    say(&format!("runs {job} {attempt} {token}"));
    sleep(Duration::from_millis(work.millis)).await;
    Ok(Outcome::Consume)
}

fn tell(event: &ConductorEvent) {
    if let (Step::Lost | Step::Unsettled(_), Some(job), Some(attempt)) =
        (&event.step, &event.job, event.attempt)
    {
        say(&format!("lost {} {attempt}", job.uuid()));
    }
}
