//! An auditor of boards, which trusts nothing that the library says of itself.
//!
//! It watches all keys of a board from the first revision on, replays them through a small model of its
//! own ([`history`]), and holds what clients were told ([`log`]) against it ([`judge`]). It shares no code
//! with the protocol but the names of the keys.

mod history;
mod judge;
mod log;
mod noted;
mod shortest;
mod story;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use uuid::Uuid;

use self::{
    history::{History, Names},
    judge::Judge,
};
pub use self::{
    log::{Calling, Log},
    noted::Held,
    story::{Promise, Violation},
};
use crate::store::{
    self, ErrorKind, Event, Key, KeyRange, Revision, Store, WatchRequest, WatchStream,
};

/// How long it waits before it looks again whether the store is back.
const AGAIN: Duration = Duration::from_millis(50);

/// Watches over a board, and says whether its promises were kept.
///
/// It is to be started before anything is on the board, on the store itself and not on what fails by
/// chance before it; and the store must not forget what it has not [seen](Self::caught_up). A store that
/// was away, or refused it for a while, is looked at again from where it was left.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jobboard::{JobBoard, NewJob, store::Memory, testing::Auditor};
///
/// let store = Memory::new();
/// let auditor = Auditor::start(&store, "/taskflow", "images").await?;
/// let board = JobBoard::builder("images").store(store).connect().await?;
///
/// let posting = auditor.log().posting("poster", "thumbnail of a.png");
/// let posted = board.post(NewJob::new("thumbnail of a.png")).await;
/// posting.posted(&posted);
///
/// let jobs = board.fresh_jobs().await?;
/// auditor.log().saw("poster", board.revision(), jobs);
/// assert!(auditor.caught_up(board.revision()).await);
/// assert_eq!(auditor.audit()?.changes, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Auditor {
    log: Log,
    seen: Arc<Mutex<Seen>>,
    revision: watch::Receiver<Revision>,
    tail: JoinHandle<()>,
}

#[derive(Debug)]
struct Seen {
    history: History,
    broken: Option<Violation>,
}

/// What an auditor found where every promise was kept: how much there was to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Changes of jobs.
    pub changes: usize,
    /// Calls that were noted.
    pub calls: usize,
    /// Calls whose answer was that nobody can tell, or that the claim is lost.
    pub unsure: usize,
    /// Views that were compared.
    pub views: usize,
}

impl Auditor {
    /// Begins to watch over the board of this name in this namespace, on a store on which nothing has
    /// happened yet.
    ///
    /// # Errors
    /// Those of [`Store::watch`].
    pub async fn start(
        store: &(impl Store + Clone),
        namespace: &str,
        board: &str,
    ) -> store::Result<Self> {
        let all = KeyRange::prefix(Key::new(format!("{namespace}/"))?);
        let first = WatchRequest::new(all.clone(), Revision::new(1));
        let events = store.watch(first).await?;
        let history = History::new(Names::new(namespace, board));
        let broken = None;
        let seen = Arc::new(Mutex::new(Seen { history, broken }));
        let (told, revision) = watch::channel(Revision::ZERO);
        let tail = Tail {
            store: store.clone(),
            all,
            seen: Arc::clone(&seen),
            told,
        };
        let tail = tokio::spawn(tail.follow(events));
        let log = Log::default();
        Ok(Self {
            log,
            seen,
            revision,
            tail,
        })
    }

    /// Bears with what TaskFlow's own clients do on the board beside those of this library, which is to be
    /// said before they do: they claim what is no job any more for a moment, put a job into the trash before
    /// they take it off the board, and note nothing of what they ask for.
    ///
    /// What they do to a job that is not theirs is found: that they consume, trash or claim it while
    /// another owns it, or consume or trash it when nobody does; of a trash, also that it began while the
    /// job was theirs. Claims of conductors are to be [believed in](Log::believe) for that.
    #[must_use]
    pub fn beside_taskflow(self) -> Self {
        lock(&self.seen).history.beside_taskflow = true;
        self
    }

    /// Bears with jobs that are purged from the trash, which is to be said before they are: otherwise a job
    /// that went into the trash must stay there until it is restored.
    #[must_use]
    pub fn with_purging(self) -> Self {
        lock(&self.seen).history.purging = true;
        self
    }

    /// Where clients note what they do.
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    /// Waits until it has seen what happened up to this revision, as far as it concerns boards; false if it
    /// can see no more. Cancel safe.
    pub async fn caught_up(&self, revision: Revision) -> bool {
        let mut seen = self.revision.clone();
        seen.wait_for(|seen| *seen >= revision).await.is_ok()
    }

    /// The last revision that it has seen of what concerns boards.
    pub fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// The jobs that are on the board, each with its owner: by number, as seen so far.
    pub fn on_board(&self) -> BTreeMap<u64, Option<String>> {
        let seen = lock(&self.seen);
        let jobs = seen.history.jobs().iter();
        let owner = |job: &history::OnBoard| Some(job.owner.as_ref()?.who.clone());
        jobs.map(|(number, job)| (*number, owner(job))).collect()
    }

    /// Whether the job was consumed or lies in the trash, as seen so far.
    pub fn has_ended(&self, job: Uuid) -> bool {
        lock(&self.seen).history.has_ended(job)
    }

    /// Judges, when the time is over in which that is promised after all trouble, that each job on the board
    /// has no owner or one that lives and knows of it: of which this is true.
    ///
    /// # Errors
    /// The first job of which that is not so, with what led to it.
    pub fn recovered(&self, lives: impl Fn(&str) -> bool) -> Result<(), Violation> {
        let seen = lock(&self.seen);
        for (number, job) in seen.history.jobs() {
            if let Some(owner) = job.owner.as_ref().filter(|owner| !lives(&owner.who)) {
                let why = format!("it is still held by {}", owner.who);
                let broken = Violation::new(Promise::Recovered, Some(*number), why);
                return Err(shortest::told(&seen.history, &self.log.lock(), broken));
            }
        }
        Ok(())
    }

    /// All that happened and was noted so far, a line each.
    pub fn trace(&self) -> String {
        let seen = lock(&self.seen);
        let noted = self.log.lock();
        let changes = seen
            .history
            .changes
            .iter()
            .map(|change| format!("{change:?}"));
        let calls = noted.calls.iter().map(ToString::to_string);
        let told = noted.told.iter().map(|told| format!("{told:?}"));
        let ends = noted.ends.iter().map(|told| format!("{told:?}"));
        let views = noted.views.iter().map(|view| format!("{view:?}"));
        let beliefs = noted.beliefs.iter().map(|belief| format!("{belief:?}"));
        let noted = calls.chain(told).chain(ends).chain(views).chain(beliefs);
        let lines: Vec<_> = changes.chain(noted).collect();
        lines.join("\n")
    }

    /// Judges what happened so far, of which it has seen all: subscribers must have been told of all of it.
    ///
    /// # Errors
    /// The first promise that was found broken, with what led to it.
    pub fn audit(&self) -> Result<Audit, Violation> {
        let seen = lock(&self.seen);
        let noted = self.log.lock();
        let judged = match &seen.broken {
            Some(broken) => Err(broken.clone()),
            None => Judge::new(&seen.history).judge(&noted),
        };
        judged.map_err(|broken| shortest::told(&seen.history, &noted, broken))?;
        let unsure = noted
            .calls
            .iter()
            .filter(|call| matches!(call.ended, Some((_, noted::Answer::Unsure(_)))));
        Ok(Audit {
            changes: seen.history.changes.len(),
            calls: noted.calls.len(),
            unsure: unsure.count(),
            views: noted.views.len(),
        })
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.tail.abort();
    }
}

/// What takes in all that happens.
struct Tail<S> {
    store: S,
    all: KeyRange,
    seen: Arc<Mutex<Seen>>,
    told: watch::Sender<Revision>,
}

impl<S: Store> Tail<S> {
    /// Ends when the store can not tell any more what happened.
    async fn follow(self, events: WatchStream) {
        let mut watching = Some(events);
        while let Some(mut events) = watching {
            let error = loop {
                match events.next().await {
                    Some(Ok(batch)) => self.take(&batch.events),
                    Some(Err(error)) => break error,
                    None => return,
                }
            };
            watching = self.again(error).await;
        }
    }

    fn take(&self, events: &[Event]) {
        let mut seen = lock(&self.seen);
        if seen.broken.is_none() {
            seen.broken = seen.history.take(events).err();
        }
        drop(seen);
        let last = events.last().map(Event::revision).unwrap_or_default();
        self.told.send_modify(|told| *told = last.max(*told));
    }

    /// Goes on after what it has seen, unless what comes then can not be told, however often it is asked for.
    async fn again(&self, mut error: store::Error) -> Option<WatchStream> {
        while !matches!(
            error.kind(),
            ErrorKind::Compacted | ErrorKind::TooLarge | ErrorKind::Invalid
        ) {
            let next = WatchRequest::new(self.all.clone(), self.told.borrow().next());
            match self.store.watch(next).await {
                Ok(events) => return Some(events),
                Err(still) => error = still,
            }
            sleep(AGAIN).await;
        }
        None
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
