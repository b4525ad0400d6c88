//! A process that claims and settles as it is ordered to: what it does is chosen, and noted, on this side.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jobboard::{
    Claim, ErrorKind, Job, JobBoard,
    random::Random,
    store::Revision,
    testing::{Calling, Held},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    beside::{kind, orders, say},
    chance::{below, up_to},
    plan::Kind,
    process::{ENDPOINT, Process},
    times::Measure,
    user::is_for_users,
    world::World,
};

const TEST: &str = "hand::process_that_does_as_it_is_told";

/// How long it rests between two orders, at most.
const REST: u64 = 60;

/// What happens to a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// It is killed, and another takes its place.
    Kill,
    /// It stands still for so long.
    Pause(Duration),
}

/// A process to which something can happen.
pub(crate) struct Victim(mpsc::Sender<Blown>);

/// What happens, and who waits until it is over.
pub(crate) type Blown = (Blow, oneshot::Sender<()>);

impl Victim {
    /// A process, and what happens to it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Blown>) {
        let (blows, suffers) = mpsc::channel(4);
        (Self(blows), suffers)
    }

    /// Lets it happen, and waits until it is over.
    pub(crate) async fn suffer(&self, blow: Blow) {
        let (over, is_over) = oneshot::channel();
        self.0.send((blow, over)).await.unwrap();
        is_over.await.unwrap();
    }
}

/// What a process told that it holds.
#[derive(Clone, Debug)]
struct Holding {
    owner: String,
    claim: Held,
}

pub(crate) struct Hand {
    world: Arc<World>,
    name: String,
    number: usize,
    process: Process,
    /// What it holds, as far as it told.
    held: Vec<Holding>,
    /// How the jobs are seen from which it is to choose.
    eyes: JobBoard,
    chance: Random,
    blows: mpsc::Receiver<Blown>,
    /// How many owners there were.
    owners: u64,
}

impl Hand {
    /// The first goes by a way that can be cut, and lies behind the link if there is one.
    pub(crate) async fn begin(world: Arc<World>, number: usize) -> (Self, Victim) {
        let eyes = world.setup(None).board().await;
        let process = start(&world, number).await;
        let chance = world.chance(10 + u64::try_from(number).unwrap());
        let (victim, blows) = Victim::new();
        let hand = Self {
            world,
            name: format!("hand-{number}"),
            number,
            process,
            held: Vec::new(),
            eyes,
            chance,
            blows,
            owners: 0,
        };
        (hand, victim)
    }

    /// Works until all is done.
    pub(crate) async fn work(mut self) {
        let world = Arc::clone(&self.world);
        loop {
            let rest = sleep(up_to(&self.chance, REST));
            tokio::select! {
                biased;
                blown = self.blows.recv() => self.suffer(blown.unwrap()).await,
                said = self.process.says() => self.hear(&said),
                () = world.still() => break,
                () = rest => self.step().await,
            }
        }
        world.hold(self.held.iter().map(|held| held.owner.clone()));
        world.calm().await;
        while let Some(held) = self.held.pop() {
            self.settle(held, "consume").await;
        }
        self.process.order("end").await;
        let ended = self.process.ended().await;
        assert!(ended.success(), "{ended}");
        self.eyes.close().await;
    }

    async fn step(&mut self) {
        if self.held.len() < 4 && below(&self.chance, 2) == 0 {
            self.claim().await;
        } else if !self.held.is_empty() {
            let place = below(&self.chance, self.held.len() as u64);
            let held = self.held.swap_remove(usize::try_from(place).unwrap());
            let how = ["consume", "consume", "consume", "abandon", "trash"];
            let how = how[usize::try_from(below(&self.chance, 5)).unwrap()];
            self.settle(held, how).await;
        }
    }

    /// Has it claim some job.
    async fn claim(&mut self) {
        let free = self.eyes.jobs().only_unclaimed();
        let jobs: Vec<_> = free.filter(is_for_users).take(16).collect();
        if jobs.is_empty() {
            return;
        }
        let job = &jobs[usize::try_from(below(&self.chance, jobs.len() as u64)).unwrap()];
        self.owners += 1;
        let who = format!("owner-{}-{}", self.name, self.owners);
        let calling = self.world.log.claiming(&self.name, &who);
        let order = format!("claim {} {who}", job.uuid());
        let Some(answer) = self.ask(&order).await else {
            return;
        };
        if let Ok(token) = answer {
            let claim = Held::new(job.uuid(), token);
            self.world.log.believe(&self.name, claim);
            self.held.push(Holding { owner: who, claim });
        }
        calling.told(answer.map(Some));
    }

    async fn settle(&mut self, held: Holding, how: &str) {
        let calling = self.noted(held.claim, how);
        let order = format!("{how} {}", held.owner);
        if let Some(answer) = self.ask(&order).await {
            calling.told(answer.map(Some));
        }
    }

    fn noted(&self, held: Held, how: &str) -> Calling {
        let (log, client) = (&self.world.log, &self.name);
        match how {
            "consume" => log.consuming(client, held),
            "abandon" => log.abandoning(client, held),
            _ => log.trashing(client, held),
        }
    }

    /// Gives it an order, and waits for its answer. There is none if it dies meanwhile.
    async fn ask(&mut self, order: &str) -> Option<Result<Revision, ErrorKind>> {
        let mut began = Instant::now();
        self.process.order(order).await;
        loop {
            tokio::select! {
                biased;
                blown = self.blows.recv() => {
                    let (blow, over) = blown.unwrap();
                    match blow {
                        Blow::Kill => self.die().await,
                        Blow::Pause(time) => {
                            self.stand_still(time).await;
                            began += time;
                        }
                    }
                    _ = over.send(());
                    if matches!(blow, Blow::Kill) {
                        return None;
                    }
                }
                said = timeout_at(began + Measure::LongestCall.latest(), self.process.says()) => {
                    let said = said.expect("a call ends by its deadline");
                    match said.split_once(' ') {
                        Some(("done", revision)) => {
                            self.world.took(began.elapsed());
                            return Some(Ok(Revision::new(revision.parse().unwrap())));
                        }
                        Some(("failed", named)) => return Some(Err(kind(named))),
                        _ => self.hear(&said),
                    }
                }
            }
        }
    }

    /// Takes in what it says by itself.
    fn hear(&mut self, said: &str) {
        let owner = said.strip_prefix("lost ").unwrap();
        let lost = self.held.extract_if(.., |held| held.owner == owner);
        lost.for_each(|held| self.world.log.disbelieve(held.claim));
    }

    async fn suffer(&mut self, (blow, over): Blown) {
        if self.held.is_empty() {
            self.claim().await;
        }
        match blow {
            Blow::Kill => self.die().await,
            // In the midst of a call, if it holds anything.
            Blow::Pause(time) => match self.held.pop() {
                Some(held) => {
                    let calling = self.noted(held.claim, "consume");
                    self.process.order(&format!("consume {}", held.owner)).await;
                    self.stand_still(time).await;
                    if let Some(answer) = self.ask("nothing").await {
                        calling.told(answer.map(Some));
                    }
                }
                None => self.stand_still(time).await,
            },
        }
        _ = over.send(());
    }

    async fn die(&mut self) {
        for held in &self.held {
            self.world.log.disbelieve(held.claim);
        }
        let killed = Instant::now();
        self.process.strike();
        _ = self.process.ended().await;
        let held = std::mem::take(&mut self.held);
        let owners = held.into_iter().map(|held| held.owner).collect();
        self.world.free_after(killed, owners);
        self.process = start(&self.world, self.number).await;
    }

    async fn stand_still(&self, time: Duration) {
        self.world.log.excuse(&self.name);
        self.process.pause();
        sleep(time).await;
        self.process.resume();
    }
}

/// Starts a hand, and waits until it is ready.
async fn start(world: &World, number: usize) -> Process {
    let setup = world.setup((number == 0).then_some(1));
    let link = world.link.as_ref().ok().filter(|_| number == 0);
    let program = link.map(crate::link::Link::program).unwrap_or_default();
    setup.start(&program, TEST).await.0
}

#[tokio::test]
#[ignore = "the process that episodes give orders"]
async fn process_that_does_as_it_is_told() {
    if std::env::var(ENDPOINT).is_err() {
        return;
    }
    let (setup, mut orders) = orders().await;
    let board = setup.board().await;
    say("ready hand");
    let mut claims = BTreeMap::new();
    while let Ok(Some(order)) = orders.next_line().await {
        let mut words = order.split(' ');
        let (verb, name) = (words.next().unwrap(), words.next().unwrap_or_default());
        let done = match verb {
            "claim" => {
                let Some(job) = board.find(name.parse().unwrap()) else {
                    // Others saw it first.
                    say("failed NotFound");
                    continue;
                };
                claim(&board, &job, words.next().unwrap(), &mut claims).await
            }
            "consume" => claims.remove(name).unwrap().consume().await,
            "abandon" => claims.remove(name).unwrap().abandon().await,
            "trash" => claims.remove(name).unwrap().trash("no good").await,
            "nothing" => continue,
            _ => break,
        };
        match done {
            Ok(revision) => say(&format!("done {revision}")),
            Err(error) => say(&format!("failed {:?}", error.kind())),
        }
    }
    board.close().await;
}

async fn claim(
    board: &JobBoard,
    job: &Job,
    who: &str,
    claims: &mut BTreeMap<String, Claim>,
) -> jobboard::Result<Revision> {
    let claim = board.claim(job, who).await?;
    let (token, lost, who) = (claim.token(), claim.cancellation(), who.to_owned());
    claims.insert(who.clone(), claim);
    tokio::spawn(async move {
        lost.cancelled().await;
        say(&format!("lost {who}"));
    });
    Ok(token)
}

impl World {
    /// Notes in how much time a process that was killed owns nothing any more, if it owned anything.
    pub(crate) fn free_after(self: &Arc<Self>, killed: Instant, owners: Vec<String>) {
        if !self.own(&owners) {
            return;
        }
        let world = Arc::clone(self);
        tokio::spawn(async move {
            while world.own(&owners) {
                if world.see_more().await.is_err() {
                    return;
                }
            }
            let plan = &world.plan;
            // What it asked before it died can arrive later.
            let is_slow = plan.has(Kind::RequestsHeld) || plan.has(Kind::LinkDown);
            let measure = if plan.of_etcd() == 0 && !is_slow {
                Measure::Freed
            } else {
                Measure::FreedInTrouble
            };
            let mut times = world.times.lock().unwrap();
            times.note(measure, killed.elapsed());
        });
    }

    /// Whether any of these owns a job.
    fn own(&self, owners: &[String]) -> bool {
        let mut all = self.auditor.on_board().into_values().flatten();
        all.any(|owner| owners.contains(&owner))
    }
}
