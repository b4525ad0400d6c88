//! The conductors of a process of the simulation, one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use jobboard::{
    Conductor, ConductorEvent, Context, ErrorKind, Handler, HandlerError, JobBoard, Outcome, Retry,
    Step,
    random::Random,
    testing::{Calling, Held, Log},
};
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chance::{below, up_to};

/// The longest that a conductor runs before another takes its place, in milliseconds.
const LONGEST: u64 = 15_000;

/// The longest that a job takes, in milliseconds.
const WORK: u64 = 3_000;

/// How long a conductor that is to stop waits for what runs, and then for what was asked to stop.
const DRAIN: Duration = Duration::from_millis(500);

/// A process's conductors, which do any jobs of its board.
pub(crate) struct Conducting {
    stop: CancellationToken,
    works: Arc<Works>,
    conducts: JoinHandle<()>,
}

impl Conducting {
    pub(crate) fn begin(board: &JobBoard, client: &str, log: &Log, chance: Random) -> Self {
        let (stop, works) = (
            CancellationToken::new(),
            Works {
                client: client.to_owned(),
                log: log.clone(),
                chance,
                at_work: Mutex::new(Some(BTreeMap::new())),
            },
        );
        let works = Arc::new(works);
        let conducting = conduct(board.clone(), Arc::clone(&works), stop.clone());
        Self {
            stop,
            works,
            conducts: tokio::spawn(conducting),
        }
    }

    /// Stops it as a service that is told to end does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.conducts.await.unwrap();
    }

    /// Whatever it still does is of no consequence: its process crashed.
    pub(crate) fn crash(&self) {
        let at_work = self.works.at_work.lock().unwrap().take();
        for (held, _) in at_work.unwrap_or_default().into_values() {
            self.works.log.disbelieve(held);
        }
    }
}

/// Runs conductors, one after the other.
async fn conduct(board: JobBoard, works: Arc<Works>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let conductor = Conductor::builder(&board, &works.client)
            .concurrency(2)
            .drain(DRAIN)
            .grace(DRAIN)
            .handler(Arc::clone(&works))
            .unwrap();
        let events = conductor.events();
        let hearing = tokio::spawn(hear(events, Arc::clone(&works)));
        let run = conductor.clone();
        let running = tokio::spawn(async move { run.run().await });
        _ = timeout(up_to(&works.chance, LONGEST), async {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = conductor.wait(None) => {}
            }
        })
        .await;
        conductor.stop();
        // It can have failed, as when etcd can not be reached when it begins.
        _ = running.await.unwrap();
        drop(conductor);
        hearing.await.unwrap();
        sleep(up_to(&works.chance, 100)).await;
    }
}

/// Notes what becomes of the jobs, as it is told.
async fn hear(events: impl futures::Stream<Item = ConductorEvent>, works: Arc<Works>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let (Some(job), Some(attempt)) = (event.job, event.attempt) else {
            continue;
        };
        let told = match event.step {
            Step::Consumed | Step::Abandoned(_) | Step::Snoozed(_) | Step::Trashed(_) => Ok(None),
            Step::Lost => Err(ErrorKind::Lost),
            Step::Unsettled(_) => Err(ErrorKind::Unknown),
            _ => continue,
        };
        if let Some(calling) = works.ended(&(job.uuid(), attempt)) {
            calling.told(told);
        }
    }
}

/// Does jobs.
struct Works {
    client: String,
    log: Log,
    chance: Random,
    /// What is being done, and how it is being settled once it is done; nothing after a crash.
    at_work: Mutex<Option<AtWork>>,
}

/// Each try of a job, with its claim.
type AtWork = BTreeMap<Try, (Held, Option<Calling>)>;

/// A job, and which try of it.
type Try = (Uuid, u32);

impl Works {
    /// Begins to believe that the job is its own, unless its process crashed.
    fn begin(&self, context: &Context) -> Option<Belief<'_>> {
        let held = Held::from(context);
        let this = (context.job().uuid(), context.attempt());
        let mut at_work = self.at_work.lock().unwrap();
        at_work.as_mut()?.insert(this, (held, None));
        self.log.believe(&self.client, held);
        Some(Belief { works: self, held })
    }

    async fn work(&self, context: &Context) {
        sleep(up_to(&self.chance, WORK)).await;
        if below(&self.chance, 4) == 0 {
            _ = context.progress(0.5, None).await;
        }
    }

    /// Notes how the job is going to be settled.
    fn settle(&self, context: &Context, calling: impl FnOnce(Held) -> Calling) {
        let this = (context.job().uuid(), context.attempt());
        if let Some(at_work) = self.at_work.lock().unwrap().as_mut()
            && let Some((held, settling)) = at_work.get_mut(&this)
        {
            *settling = Some(calling(*held));
        }
    }

    fn ended(&self, this: &Try) -> Option<Calling> {
        self.at_work.lock().unwrap().as_mut()?.remove(this)?.1
    }
}

/// That a job is one's own, until this is dropped.
struct Belief<'a> {
    works: &'a Works,
    held: Held,
}

impl Drop for Belief<'_> {
    fn drop(&mut self) {
        self.works.log.disbelieve(self.held);
    }
}

impl Handler for Works {
    async fn handle(&self, context: Context) -> Result<Outcome, HandlerError> {
        let belief = self.begin(&context);
        let stop = context.cancellation().clone();
        _ = stop.run_until_cancelled(self.work(&context)).await;
        drop(belief);
        let (client, log) = (&self.client, &self.log);
        let retry = Retry::after(up_to(&self.chance, WORK));
        let outcome = match below(&self.chance, 10) {
            0..4 => Outcome::Consume,
            4 | 5 => Outcome::ConsumeWith(result_of(context.job().uuid())),
            6 => Outcome::Trash("no good".to_owned()),
            7 => Outcome::Abandon(retry),
            8 => Outcome::Snooze(up_to(&self.chance, WORK)),
            _ => return Err("no luck".into()),
        };
        match outcome {
            Outcome::Trash(_) => self.settle(&context, |held| log.trashing(client, held)),
            Outcome::Abandon(_) | Outcome::Snooze(_) => {
                self.settle(&context, |held| log.abandoning(client, held));
            }
            _ => self.settle(&context, |held| log.consuming(client, held)),
        }
        Ok(outcome)
    }
}

/// The result that a job is consumed with, if it is with any.
pub(crate) fn result_of(job: Uuid) -> serde_json::Value {
    json!({ "of": job })
}
