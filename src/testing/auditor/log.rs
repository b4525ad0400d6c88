//! Where clients note what they ask for, what they are told, and what they believe.

use std::{
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use uuid::Uuid;

use super::noted::{Answer, Asked, Belief, Call, Held, News, Noted, Told, ToldEnd, View};
use crate::{
    Cancelled, Claim, Ended, Error, ErrorKind, Event, EventKind, Job, JobBoard, Result, TrashedJob,
    store::Revision,
};

/// Where the clients of an audited board note what they do. Clones note to the same place.
///
/// Each call is noted before it is made and when it has ended; one that never ends is noted as that.
/// The name of each job that is posted, of each owner that claims, and of each operator that trashes what
/// nobody holds, is to be used once: it is by these that the calls are found again in what happened.
#[derive(Clone, Debug)]
pub struct Log {
    noted: Arc<Mutex<Noted>>,
    /// When the time of who notes here began.
    begun: Instant,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            noted: Arc::default(),
            begun: Instant::now(),
        }
    }
}

/// A call that was noted and has not ended.
#[derive(Debug)]
#[must_use = "a call that never ends can have happened or not"]
pub struct Calling {
    log: Log,
    client: String,
    index: usize,
}

impl Log {
    /// The same log, for who has a time of its own that begins now.
    #[must_use]
    pub fn from_now(&self) -> Self {
        Self {
            begun: Instant::now(),
            ..self.clone()
        }
    }

    /// A job of this name is about to be posted.
    pub fn posting(&self, client: &str, name: &str) -> Calling {
        self.begin(client, Asked::Post(name.to_owned()))
    }

    /// Some job is about to be claimed by this owner.
    pub fn claiming(&self, client: &str, who: &str) -> Calling {
        self.begin(client, Asked::Claim(who.to_owned()))
    }

    /// A claim is about to be consumed. Its owner believes in it no longer.
    pub fn consuming(&self, client: &str, claim: impl Into<Held>) -> Calling {
        let held = claim.into();
        self.disbelieve(held);
        self.begin(client, Asked::Consume(held))
    }

    /// A claim is about to be given back. Its owner believes in it no longer.
    pub fn abandoning(&self, client: &str, claim: impl Into<Held>) -> Calling {
        let held = claim.into();
        self.disbelieve(held);
        self.begin(client, Asked::Abandon(held))
    }

    /// The job of a claim is about to be trashed. Its owner believes in it no longer.
    pub fn trashing(&self, client: &str, claim: impl Into<Held>) -> Calling {
        let held = claim.into();
        self.disbelieve(held);
        self.begin(client, Asked::Trash(held))
    }

    /// A job is about to be restored from the trash.
    pub fn restoring(&self, client: &str, job: &TrashedJob) -> Calling {
        let (job, trashed) = (job.uuid(), job.revision());
        self.begin(client, Asked::Restore { job, trashed })
    }

    /// A job is about to be taken from its owner, who does not believe in it any longer: whoever takes it
    /// makes sure of that.
    pub fn releasing(&self, client: &str, claim: impl Into<Held>) -> Calling {
        let held = claim.into();
        self.disbelieve(held);
        self.begin(client, Asked::Release(held))
    }

    /// A job is about to be trashed by this operator, if nobody holds it.
    pub fn trashing_unclaimed(&self, client: &str, by: &str) -> Calling {
        self.begin(client, Asked::TrashUnclaimed(by.to_owned()))
    }

    /// An owner begins to believe that it owns a job: this client does.
    pub fn believe(&self, client: &str, claim: impl Into<Held>) {
        let (held, from) = (claim.into(), self.begun.elapsed());
        let mut noted = self.lock();
        if !noted.disbelieved.contains(&held) {
            noted.beliefs.push(Belief {
                client: client.to_owned(),
                held,
                from,
                until: None,
            });
        }
    }

    /// An owner does not believe that it owns a job, from now on for good: it was told that the claim is
    /// lost, gives it up, or has crashed; or somebody who takes the job from it makes sure of that.
    pub fn disbelieve(&self, claim: impl Into<Held>) {
        let (held, now) = (claim.into(), self.begun.elapsed());
        let mut noted = self.lock();
        noted.disbelieved.insert(held);
        let beliefs = noted.beliefs.iter_mut().rev();
        for belief in beliefs.filter(|belief| belief.held == held) {
            belief.until.get_or_insert(now);
        }
    }

    /// What a board shows to this client at this revision: its jobs in any order, each with its owner.
    /// Both are to be read without an await in between.
    pub fn saw(&self, client: &str, revision: Revision, jobs: impl IntoIterator<Item = Job>) {
        let jobs = jobs.into_iter().map(|job| {
            let owner = job.board().find_owner(&job);
            (job.uuid(), owner)
        });
        let view = View {
            client: client.to_owned(),
            revision,
            jobs: jobs.collect(),
        };
        self.lock().views.push(view);
    }

    /// Listens to what comes onto a board and goes off it, what is there now included, as this subscriber:
    /// the future that is given notes what it is told, until the board is closed. It is to run on the
    /// thread on which the board was connected.
    ///
    /// # Errors
    /// Those of [`JobBoard::events`].
    ///
    /// # Panics
    /// The future does, if it is told anything else, as that it lags behind.
    pub fn listening(
        &self,
        subscriber: &str,
        board: &JobBoard,
    ) -> Result<impl Future<Output = ()> + Send + use<>> {
        let mut events = board.events([EventKind::Posted, EventKind::Removal])?;
        if let Some(lists) = lists(board) {
            let there = board.jobs().map(|job| News::Came(job.uuid()));
            for news in iter::once(News::Listens).chain(there) {
                self.told(subscriber, board.revision(), news, Some(lists));
            }
        }
        let (log, subscriber, board) = (self.clone(), subscriber.to_owned(), board.clone());
        Ok(async move {
            while let Some(told) = events.next().await {
                let news = match told.event {
                    Event::Posted(job) => News::Came(job.uuid()),
                    Event::Removal(job) => News::Went(job.uuid()),
                    #[expect(clippy::panic, reason = "a test is to fail")]
                    other => panic!("{subscriber} was told {other:?}"),
                };
                log.told(&subscriber, told.revision, news, lists(&board));
            }
        })
    }

    /// A subscriber was told that a job came onto the board, at this revision.
    pub fn told_of_post(&self, subscriber: &str, revision: Revision, job: Uuid) {
        self.told(subscriber, revision, News::Came(job), None);
    }

    /// A subscriber was told that a job went off the board, at this revision.
    pub fn told_of_removal(&self, subscriber: &str, revision: Revision, job: Uuid) {
        self.told(subscriber, revision, News::Went(job), None);
    }

    /// One who waited for a job was told how it ended, unless that it was not in time.
    pub fn told_of_end(&self, client: &str, job: Uuid, ended: &Ended) {
        let trashed = match ended {
            Ended::Consumed(_) => false,
            Ended::Trashed(_) => true,
            Ended::TimedOut => return,
        };
        self.lock().ends.push(ToldEnd {
            client: client.to_owned(),
            job,
            trashed,
        });
    }

    /// The store ends leases that live, whosever they are, so that owners can believe on for a moment.
    pub fn excuse_beliefs(&self) {
        self.lock().beliefs_excused = true;
    }

    /// This client stood still, or a lease of its own ended while it lived: it can believe on for a moment
    /// when others own what it owned.
    pub fn excuse(&self, client: &str) {
        self.lock().excused.insert(client.to_owned());
    }

    /// A subscriber crashed, and is told no more.
    pub fn deaf(&self, subscriber: &str) {
        self.lock().deaf.insert(subscriber.to_owned());
    }

    pub(super) fn told(
        &self,
        subscriber: &str,
        revision: Revision,
        news: News,
        lists: Option<u64>,
    ) {
        self.lock().told.push(Told {
            client: subscriber.to_owned(),
            revision,
            news,
            lists,
        });
    }

    fn begin(&self, client: &str, asked: Asked) -> Calling {
        let mut noted = self.lock();
        let begun = noted.moment();
        let index = noted.calls.len();
        noted.calls.push(Call {
            client: client.to_owned(),
            asked,
            begun,
            ended: None,
        });
        drop(noted);
        Calling {
            log: self.clone(),
            client: client.to_owned(),
            index,
        }
    }

    /// Held for a few instructions only, never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the view was listed again, while there is one.
fn lists(board: &JobBoard) -> Option<u64> {
    (board.revision() > Revision::ZERO).then(|| board.counts().relists)
}

impl Calling {
    /// The job was posted, or restored, or was not.
    pub fn posted(self, answer: &Result<Job>) {
        match answer {
            Ok(job) if job.existed() => self.note(Answer::NotNeeded),
            answer => self.told(answer.as_ref().map(|_| None).map_err(Error::kind)),
        }
    }

    /// The job was claimed, or was not. Who claimed it believes so from now on.
    pub fn claimed(self, answer: &Result<Claim>) {
        if let Ok(claim) = answer
            && claim.is_held()
        {
            self.log.believe(&self.client, claim);
        }
        let told = answer.as_ref().map(|claim| Some(claim.token()));
        self.told(told.map_err(Error::kind));
    }

    /// The job was trashed or is to be stopped, or neither.
    pub fn cancelled(self, answer: &Result<Cancelled>) {
        match answer {
            Ok(Cancelled::Requested) => self.note(Answer::NotNeeded),
            answer => self.told(answer.as_ref().map(|_| None).map_err(Error::kind)),
        }
    }

    /// The claim was settled or the job taken from it, or it was not.
    pub fn settled(self, answer: &Result<Revision>) {
        let told = answer.as_ref().map(|revision| Some(*revision));
        self.told(told.map_err(Error::kind));
    }

    /// It was done, at this revision if that is known, or was not, with an error of this kind: where
    /// no more than that is known of the answer.
    pub fn told(self, answer: std::result::Result<Option<Revision>, ErrorKind>) {
        self.note(match answer {
            Ok(revision) => Answer::Done(revision),
            Err(kind @ (ErrorKind::Unknown | ErrorKind::Lost)) => Answer::Unsure(kind),
            Err(kind) => Answer::Failed(kind),
        });
    }

    fn note(self, answer: Answer) {
        let mut noted = self.log.lock();
        let moment = noted.moment();
        if let Some(call) = noted.calls.get_mut(self.index) {
            call.ended = Some((moment, answer));
        }
    }
}
