//! The loop of a conductor: picks jobs as long as it has room, and waits for what changes that.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Conducting, ConductorEvent, Step,
    attempt::Verdict,
    picker::{Pick, Picker},
    register::KIND,
};
use crate::{
    Entities, Entity, Error, ErrorKind, Job, JobBoard, JobId, Result, alarm, cache::PauseReader,
    store::Revision,
};

const DOING: &str = "run jobs";

/// How long no job is tried after etcd refused the user. Each try is an entry in somebody's log.
const DENIED: Duration = Duration::from_secs(5);

/// What runs, and what may.
struct Dispatch {
    conducting: Arc<Conducting>,
    /// Fires when the connection of the board is closed with which it began.
    closed: CancellationToken,
    conductors: Entities,
    pauses: PauseReader,
    picker: Picker,
    running: JoinSet<(JobId, Verdict, Duration)>,
    /// Whether what runs is a job that is to run alone.
    alone: bool,
    /// How many jobs were claimed so far.
    dispatched: u64,
    /// The revision of the view that was looked at last.
    seen: Revision,
    /// Until when no job is tried, as etcd refuses the user.
    denied_until: Option<Instant>,
}

/// What is waited for.
enum Next {
    /// It may have room for another job, or see another.
    Look,
    /// No further job is claimed.
    Drain,
}

impl Conducting {
    /// Runs jobs until it is told to stop.
    pub(super) async fn dispatch(self: Arc<Self>) -> Result<()> {
        let entity = self.entity();
        let begun = tokio::select! {
            biased;
            () = self.stopping.drain().cancelled() => None,
            begun = self.begin(&entity) => Some(begun),
        };
        let ran = if let Some(begun) = begun {
            let mut dispatch = begun?;
            let ran = dispatch.claim_and_run().await;
            dispatch.drain().await;
            ran
        } else {
            Ok(())
        };
        self.deregister(&entity).await;
        self.tell(ConductorEvent::of_conductor(Step::Stopped));
        ran
    }

    /// Registers it, and sees who else is there.
    async fn begin(self: &Arc<Self>, entity: &Entity) -> Result<Dispatch> {
        let closed = self.board.closed(DOING)?;
        self.board.register_entity(entity).await?;
        let begun = self.look(closed).await;
        if begun.is_err() {
            self.deregister(entity).await;
        }
        begun
    }

    async fn deregister(&self, entity: &Entity) {
        if let Err(error) = self.board.deregister_this(entity).await {
            tracing::debug!(%error, "the conductor is listed until its session ends");
        }
    }

    async fn look(self: &Arc<Self>, closed: CancellationToken) -> Result<Dispatch> {
        Ok(Dispatch {
            closed,
            conductors: self.board.entities().await?,
            pauses: self.board.pause_view().await?,
            picker: Picker::new(self.instance),
            running: JoinSet::new(),
            alone: false,
            dispatched: 0,
            seen: Revision::ZERO,
            denied_until: None,
            conducting: Arc::clone(self),
        })
    }
}

impl Dispatch {
    /// Claims jobs and has them done, until it is told to stop, has done as many as it was to, or can
    /// not go on.
    async fn claim_and_run(&mut self) -> Result<()> {
        let conducting = Arc::clone(&self.conducting);
        while !conducting.stopping.drain().is_cancelled() {
            let later = self.fill();
            if self.is_enough() {
                break;
            }
            match self.next(later).await? {
                Next::Look => {}
                Next::Drain => break,
            }
        }
        Ok(())
    }

    /// Claims as many jobs as there is room for. Gives when to look again, if nothing changes before.
    fn fill(&mut self) -> Option<Instant> {
        self.seen = self.conducting.board.revision();
        if self.pauses.is_paused() {
            return None;
        }
        let denied_until = self.denied_until.filter(|until| *until > Instant::now());
        if denied_until.is_some() {
            return denied_until;
        }
        let others = self.others();
        // Asked before the jobs are looked at: what falls due in between is seen, or wakes at once.
        let due = self.conducting.board.next_due();
        // What is picked stays in view until its claim is: to pass over it for each further pick would
        // take a time that grows with the square of the concurrency.
        let mut from = self.conducting.board.jobs().only_unclaimed();
        while self.has_room() {
            self.picker.pass_over_busy(&mut from);
            let wanted = &self.conducting.wanted;
            let jobs = from.clone().filter(|job| wanted(job));
            match self.picker.pick(jobs, self.seen, &others, Instant::now()) {
                Pick::Job(job) => self.start(job),
                Pick::MakeRoom => return None,
                Pick::Nothing(later) => return later.into_iter().chain(due).min(),
            }
        }
        None
    }

    fn has_room(&self) -> bool {
        let begun = self.dispatched + self.running.len() as u64;
        let max = self.conducting.settings.max_dispatches;
        self.running.len() < self.conducting.settings.concurrency
            && !self.alone
            && max.is_none_or(|max| begun < max)
    }

    fn is_enough(&self) -> bool {
        let max = self.conducting.settings.max_dispatches;
        max.is_some_and(|max| self.dispatched >= max)
    }

    fn start(&mut self, job: Job) {
        self.alone = job.is_suspect();
        let conducting = Arc::clone(&self.conducting);
        let id = job.id();
        self.running.spawn(async move {
            let (verdict, took) = conducting.attempt(job).await;
            (id, verdict, took)
        });
    }

    /// The live conductors, by their instances.
    fn others(&self) -> Vec<Uuid> {
        let conductors = self.conductors.of_kind(KIND);
        let instance = |one: &crate::Registered| {
            let instance = one.entity.metadata().get("instance")?;
            instance.as_str()?.parse().ok()
        };
        conductors
            .iter()
            .map(|one| instance(one).unwrap_or(one.session))
            .collect()
    }

    /// Waits until there may be something to do.
    async fn next(&mut self, later: Option<Instant>) -> Result<Next> {
        let conducting = Arc::clone(&self.conducting);
        let has_room = self.has_room();
        tokio::select! {
            biased;
            () = conducting.stopping.drain().cancelled() => Ok(Next::Drain),
            () = self.closed.cancelled() => {
                Err(Error::new(ErrorKind::Closed, DOING, "the board is closed"))
            }
            Some(ended) = self.running.join_next() => {
                self.ended(ended)?;
                // All that have ended make room at once.
                while let Some(ended) = self.running.join_next().now_or_never().flatten() {
                    self.ended(ended)?;
                }
                Ok(Next::Look)
            }
            looked = changed(&conducting.board, &self.pauses, self.seen), if has_room => {
                looked?;
                Ok(Next::Look)
            }
            () = alarm::at(later), if has_room => Ok(Next::Look),
        }
    }

    fn ended(&mut self, ended: Result<(JobId, Verdict, Duration), JoinError>) -> Result<()> {
        // A handler's panic is caught; nothing else here panics or is aborted.
        let (job, verdict, took) = ended
            .map_err(|error| Error::new(ErrorKind::Unknown, "run a job", error.to_string()))?;
        self.alone = false;
        let now = Instant::now();
        match verdict {
            Verdict::Tried(claimed) => {
                self.dispatched += 1;
                self.picker.claimed(took);
                self.picker.tried(job, claimed);
            }
            Verdict::Taken => {
                self.picker.claimed(took);
                self.picker.taken(job, now);
            }
            Verdict::Refused => self.picker.refused(job, now),
            Verdict::Unfit => self.picker.unfit(job, now),
            Verdict::Paused => {
                self.conducting
                    .tell(ConductorEvent::of_conductor(Step::Paused));
                self.picker.untried(job);
            }
            Verdict::Denied => {
                self.denied_until = Some(now + DENIED);
                self.picker.untried(job);
            }
            Verdict::Failed(error) => {
                self.picker.untried(job);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits for what runs, for as long as it is given, and then ends it.
    async fn drain(&mut self) {
        let conducting = Arc::clone(&self.conducting);
        conducting.tell(ConductorEvent::of_conductor(Step::Draining));
        let stopping = &conducting.stopping;
        let patience = conducting.settings.drain;
        if timeout(patience, self.all_ended()).await.is_err() {
            stopping.shutdown().cancel();
            self.all_ended().await;
        }
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = self.ended(ended) {
                tracing::warn!(%error, "while stopping");
            }
        }
    }
}

/// Waits until the view of the board shows something new, or the board is paused no longer.
async fn changed(board: &JobBoard, pauses: &PauseReader, seen: Revision) -> Result<()> {
    if pauses.is_paused() {
        let resumed = pauses.until(false).await;
        return resumed.map_err(|closed| closed.while_doing(DOING));
    }
    board.changed(seen).await.map(drop)
}
