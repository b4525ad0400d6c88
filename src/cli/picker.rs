//! Which job this process claims next.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::{Job, JobBoard, JobState, random::Random, store::Revision};

/// How long a job is left alone that somebody else claimed: longer than the view takes to show it.
const TAKEN: Duration = Duration::from_millis(50);

/// How long a job is left alone after its first refusal; twice that after the next, and so on.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest time that a job is left alone.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// From how many jobs one is picked, at most, when others pick too.
const WIDEST: usize = 64;

/// Picks jobs from the live view of a board, in its order, and leaves alone what was refused.
///
/// When others pick from the same board and come first, the next job is picked by chance among the
/// first few of its priority, so that a crowd does not run into one another over each job.
#[derive(Debug)]
pub(super) struct Picker {
    board: JobBoard,
    /// The revision of the view that was looked at last.
    seen: Revision,
    random: Random,
    busy: HashSet<Uuid>,
    rests: HashMap<Uuid, Rest>,
    window: usize,
}

#[derive(Debug)]
struct Rest {
    job: Job,
    until: Instant,
    /// How long the job rests after the next refusal.
    next: Duration,
}

impl Picker {
    pub(super) fn new(board: JobBoard, random: Random) -> Self {
        Self {
            board,
            seen: Revision::ZERO,
            random,
            busy: HashSet::new(),
            rests: HashMap::new(),
            window: 1,
        }
    }

    /// A job to claim now. It is not picked again before one of the other calls says what became
    /// of it.
    pub(super) fn pick(&mut self) -> Option<Job> {
        self.seen = self.board.revision();
        let now = Instant::now();
        let mut found: Vec<Job> = Vec::new();
        for job in self.board.jobs().only_unclaimed() {
            let uuid = job.uuid();
            if self.busy.contains(&uuid) || self.rests.get(&uuid).is_some_and(|it| it.until > now) {
                continue;
            }
            let first = found.first().unwrap_or(&job);
            if first.priority() != job.priority() {
                break;
            }
            found.push(job);
            if found.len() >= self.window {
                break;
            }
        }
        let last = found.len().checked_sub(1)?;
        let any = usize::try_from(self.random.number()).unwrap_or(usize::MAX);
        let job = found.swap_remove(any % (last + 1));
        self.busy.insert(job.uuid());
        Some(job)
    }

    /// The job was tried: it is off the board, or the board says when it is to be tried again.
    pub(super) fn tried(&mut self, job: &Job) {
        self.free(job);
        self.rests.remove(&job.uuid());
    }

    /// Somebody else came first.
    pub(super) fn taken(&mut self, job: Job) {
        self.busy.remove(&job.uuid());
        self.window = (self.window * 2).min(WIDEST);
        let next = self.rests.get(&job.uuid()).map_or(FIRST_REST, |it| it.next);
        self.rest(job, TAKEN, next);
    }

    /// The job could not be claimed: leaves it alone for a while.
    pub(super) fn refused(&mut self, job: Job) {
        self.free(&job);
        let rest = self.rests.get(&job.uuid()).map_or(FIRST_REST, |it| it.next);
        self.rest(job, rest, (rest * 2).min(LONGEST_REST));
    }

    /// Waits until there may be something else to pick: the view changed, a job fell due, or a rest
    /// is over.
    /// Cancel safe.
    pub(super) async fn changed(&mut self) {
        let now = Instant::now();
        self.rests
            .retain(|_, rest| rest.job.state() != JobState::Complete);
        let rests = self.rests.values().map(|rest| rest.until);
        let rests = rests.filter(|until| *until > now);
        match rests.chain(self.board.next_due()).min() {
            Some(until) => tokio::select! {
                biased;
                () = view_changed(&self.board, self.seen) => {}
                () = sleep_until(until) => {}
            },
            None => view_changed(&self.board, self.seen).await,
        }
    }

    fn free(&mut self, job: &Job) {
        self.busy.remove(&job.uuid());
        self.window = (self.window / 2).max(1);
    }

    fn rest(&mut self, job: Job, rest: Duration, next: Duration) {
        let until = Instant::now() + rest;
        self.rests.insert(job.uuid(), Rest { job, until, next });
    }
}

/// Waits until the view shows something new; for ever if the board is closed, for then whoever
/// closed it stops.
async fn view_changed(board: &JobBoard, seen: Revision) {
    if board.changed(seen).await.is_err() {
        std::future::pending::<()>().await;
    }
}
