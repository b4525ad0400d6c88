//! The board: post jobs, look at them, claim them.

mod claim;
mod failure;
mod iterate;
mod job;
mod numbers;
mod post;
mod settle;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use self::numbers::Numbers;
pub use self::{claim::Claim, iterate::Jobs, job::Job, post::NewJob};
use crate::{
    cache::{Applied, Cache, Origin, Reader},
    clock::Clock,
    error::{Error, ErrorKind, Result},
    protocol::{
        barrier::Barrier,
        claim::ClaimRefusal,
        keys::{BoardName, JobId, Keyspace, Namespace},
        limits::check_name,
        post::Post,
    },
    random::Random,
    session::{ClaimRequest, Loss, Parts, Pool, Settings, Sighting, WriteError},
    store::{Revision, Store},
};

/// A board of jobs. Clones are handles to the same connection.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use std::sync::Arc;
///
/// use jobboard::{JobBoard, NewJob, store::Memory};
///
/// let board = JobBoard::new(Arc::new(Memory::new()), "images")?;
/// board.connect().await?;
/// let job = board.post(NewJob::new("thumbnail")).await?;
///
/// let claim = board.claim(&job, "worker-7").await?;
/// claim.consume().await?;
/// board.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JobBoard(Arc<Shared>);

struct Shared {
    name: BoardName,
    keys: Keyspace,
    store: Arc<dyn Store>,
    settings: Settings,
    random: Random,
    clock: Clock,
    connection: Mutex<Option<Arc<Connection>>>,
}

struct Connection {
    cache: Cache,
    pool: Arc<Pool>,
    numbers: tokio::sync::Mutex<Numbers>,
}

impl JobBoard {
    /// A handle to the board of that name in `store`, in the namespace `/taskflow`; not connected
    /// yet.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if that is no [name of a board](BoardName).
    pub fn new(store: Arc<dyn Store>, name: &str) -> Result<Self> {
        Self::in_namespace(store, &Namespace::default(), name)
    }

    /// As [`new`](Self::new), in a namespace.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn in_namespace(store: Arc<dyn Store>, ns: &Namespace, name: &str) -> Result<Self> {
        let name: BoardName = name.parse()?;
        Ok(Self(Arc::new(Shared {
            keys: Keyspace::new(ns, &name),
            name,
            store,
            settings: Settings::default(),
            random: Random::from_system(),
            clock: Clock::system(),
            connection: Mutex::new(None),
        })))
    }

    /// Lists the board and keeps a live view of it from then on. Connecting again is harmless.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) if etcd refuses the user,
    /// [`Unavailable`](ErrorKind::Unavailable) if the board could not be listed within 10 s.
    pub async fn connect(&self) -> Result<()> {
        let doing = || format!("connect to board {}", self.name());
        let reader = self.start();
        match timeout_at(self.deadline(), reader.ready()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.close().await;
                Err(failure::of_store(doing(), error))
            }
            Err(_late) => {
                self.close().await;
                Err(Error::new(
                    ErrorKind::Unavailable,
                    doing(),
                    "the board could not be listed",
                ))
            }
        }
    }

    /// Gives back what this handle and its clones hold, and ends the connection. The handle can
    /// connect again. Closing again is harmless.
    pub async fn close(&self) {
        let connection = self.lock().take();
        if let Some(connection) = connection {
            connection.pool.close(self.deadline()).await;
            connection.cache.close().await;
        }
    }

    /// Whether the board is connected.
    pub fn connected(&self) -> bool {
        self.lock().is_some()
    }

    /// The name of the board.
    pub fn name(&self) -> &str {
        self.0.name.as_str()
    }

    /// Posts a job.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if a limit is passed, [`Closed`](ErrorKind::Closed),
    /// [`Denied`](ErrorKind::Denied), [`Unavailable`](ErrorKind::Unavailable), and
    /// [`Unknown`](ErrorKind::Unknown) if etcd stayed out of reach past the deadline.
    pub async fn post(&self, new: NewJob) -> Result<Job> {
        let doing = format!("post {:?}", new.name());
        let connection = self.connection(&doing)?;
        let deadline = self.deadline();
        let posting = new.posting(self.0.random.uuid(), self.0.clock.now())?;
        loop {
            let job = Numbers::next(
                &connection.numbers,
                &connection.pool,
                &self.0.keys,
                deadline,
            )
            .await?;
            let post = Post::new(&self.0.keys, job, &posting);
            let record = post.record().clone();
            let posted = connection.pool.write(post, deadline).await;
            if let Ok(posted) = posted.map_err(|error| failure::of_write(&doing, error))? {
                return self
                    .posted(&connection, job, posted, record, &doing, deadline)
                    .await;
            }
        }
    }

    /// Claims `job` for `who`.
    ///
    /// # Guarantees
    /// At most one owner holds a job. If this returns, the claim was in etcd.
    ///
    /// # Errors
    /// [`Claimed`](ErrorKind::Claimed) if another owner holds it, [`NotFound`](ErrorKind::NotFound)
    /// if it is gone, [`Paused`](ErrorKind::Paused), [`Invalid`](ErrorKind::Invalid) for an empty
    /// or over-long name, [`Corrupt`](ErrorKind::Corrupt) if its state can not be read, and those
    /// of [`post`](Self::post).
    pub async fn claim(&self, job: &Job, who: &str) -> Result<Claim> {
        let doing = format!("claim job {}", job.id());
        check_name(&doing, "the owner", who)?;
        let connection = self.connection(&doing)?;
        let deadline = self.deadline();
        let entry = job.now().unwrap_or_else(|| Arc::clone(&job.entry));
        let mut seen = entry.state().cloned().unwrap_or_default();
        loop {
            let session = connection.pool.session_to_claim(deadline).await;
            let session = session.map_err(|error| failure::of_write(&doing, error))?;
            let (id, posted, now) = (job.id(), entry.posted, self.0.clock.now());
            let request = ClaimRequest {
                job: id,
                posted,
                seen: &seen,
                who,
                now,
            };
            match session.claim(&request, deadline).await {
                Ok(Ok(held)) => {
                    return Ok(Claim {
                        job: job.clone(),
                        who: who.to_owned(),
                        held,
                    });
                }
                Ok(Err(ClaimRefusal::StateMoved(state))) => seen = state,
                Ok(Err(refusal)) => return Err(refused(doing, refusal)),
                Err(WriteError::NotSent) => {}
                Err(error) => return Err(failure::of_write(doing, error)),
            }
        }
    }

    /// The jobs of the board as it is seen now, the most urgent first, then in the order in which
    /// they were posted. Live: makes no request.
    pub fn jobs(&self) -> Jobs {
        Jobs::of(self.clone())
    }

    /// As [`jobs`](Self::jobs), once every job is seen whose post returned before this call began.
    ///
    /// # Errors
    /// Those of [`post`](Self::post): it writes a key to learn how far the view must have come.
    pub async fn fresh_jobs(&self) -> Result<Jobs> {
        let doing = "ask for a fresh view of the board";
        let connection = self.connection(doing)?;
        let deadline = self.deadline();
        let barrier = connection
            .pool
            .write(Barrier::new(&self.0.keys), deadline)
            .await;
        let revision = barrier.map_err(|error| failure::of_write(doing, error))?;
        wait_applied(connection.cache.reader(), revision, doing, deadline).await?;
        Ok(self.jobs())
    }

    /// How many jobs the board has, as it is seen now.
    pub fn job_count(&self) -> usize {
        self.reader().map_or(0, |reader| reader.len())
    }

    /// Who holds `job`, as it is seen now.
    pub fn find_owner(&self, job: &Job) -> Option<String> {
        let entry = job.now()?;
        Some(entry.holder()?.record.as_ref()?.owner.clone())
    }

    /// Waits until there is any job on the board, at most for `timeout`, for ever if there is
    /// none. Gives the jobs then, and `None` if time ran out. By push: it makes no request.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub async fn wait(&self, timeout: Option<Duration>) -> Result<Option<Jobs>> {
        let doing = "wait for a job";
        let mut reader = self.connection(doing)?.cache.reader().clone();
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while reader.len() == 0 {
            let changed = match until {
                Some(until) => match timeout_at(until, reader.changed()).await {
                    Ok(changed) => changed,
                    Err(_late) => return Ok(None),
                },
                None => reader.changed().await,
            };
            changed.map_err(|closed| Error::new(ErrorKind::Closed, doing, closed.to_string()))?;
        }
        Ok(Some(self.jobs()))
    }

    /// Waits until the view shows what was posted, so that the poster sees its own job.
    async fn posted(
        &self,
        connection: &Connection,
        job: JobId,
        posted: Revision,
        record: bytes::Bytes,
        doing: &str,
        deadline: Instant,
    ) -> Result<Job> {
        let entry = crate::cache::Entry::posted(job, posted, record)
            .map_err(|why| Error::new(ErrorKind::Corrupt, doing, why.to_string()))?;
        // The job is posted, whether or not the view shows it in time.
        _ = wait_applied(connection.cache.reader(), posted, doing, deadline).await;
        Ok(Job {
            board: self.clone(),
            entry: Arc::new(entry),
        })
    }

    fn start(&self) -> Reader {
        let mut connection = self.lock();
        let made = connection.get_or_insert_with(|| {
            let Shared {
                store,
                keys,
                random,
                settings,
                ..
            } = &*self.0;
            let (store, keys, random) = (Arc::clone(store), keys.clone(), random.clone());
            let parts = Parts {
                store: Arc::clone(&store),
                keys: keys.clone(),
                random: random.clone(),
                settings: *settings,
            };
            let pool = Arc::new(Pool::new(parts));
            let sessions = Arc::clone(&pool);
            let observer = move |applied: &Applied<'_>| tell_sessions(&sessions, applied);
            let cache = Cache::start(store, keys, random, observer);
            Arc::new(Connection {
                cache,
                pool,
                numbers: tokio::sync::Mutex::default(),
            })
        });
        made.cache.reader().clone()
    }

    fn connection(&self, doing: &str) -> Result<Arc<Connection>> {
        let connection = self.lock().clone();
        connection.ok_or_else(|| Error::new(ErrorKind::Closed, doing, "the board is closed"))
    }

    fn reader(&self) -> Option<Reader> {
        self.lock()
            .as_ref()
            .map(|connection| connection.cache.reader().clone())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.0.settings.deadline
    }

    /// Held for a few instructions only, never across an await.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Connection>>> {
        self.0
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for JobBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobBoard({})", self.name())
    }
}

/// Hands what the view shows of owner keys to the sessions, who hold the claims.
fn tell_sessions(pool: &Pool, applied: &Applied<'_>) {
    if applied.origin == Origin::OtherHistory {
        return pool.lose(Loss::OtherStore);
    }
    for session in pool.all() {
        for change in applied.owners {
            let owner = change.holder.as_ref().map(|holder| {
                (
                    holder.token,
                    holder.record.as_ref().and_then(|record| record.mark),
                )
            });
            let sighting = Sighting {
                at: change.revision,
                owner,
            };
            session.see(change.job, Revision::ZERO, sighting, None);
        }
        if applied.origin == Origin::Relisted {
            let named = |job: &JobId| applied.owners.iter().any(|change| change.job == *job);
            for job in session.jobs().into_iter().filter(|job| !named(job)) {
                let nobody = Sighting {
                    at: applied.revision,
                    owner: None,
                };
                session.see(job, Revision::ZERO, nobody, None);
            }
        }
    }
}

async fn wait_applied(
    reader: &Reader,
    revision: Revision,
    doing: &str,
    deadline: Instant,
) -> Result<()> {
    match timeout_at(deadline, reader.wait_applied(revision)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(closed)) => Err(Error::new(ErrorKind::Closed, doing, closed.to_string())),
        Err(_late) => {
            let why = "the view of the board did not come up to date in time";
            Err(Error::new(ErrorKind::Unavailable, doing, why))
        }
    }
}

fn refused(doing: String, refusal: ClaimRefusal) -> Error {
    match refusal {
        ClaimRefusal::Gone | ClaimRefusal::StateMoved(_) => {
            Error::new(ErrorKind::NotFound, doing, "there is no such job any more")
        }
        ClaimRefusal::Owned(Some(owner)) => {
            let why = format!("held by {}", owner.owner);
            Error::new(ErrorKind::Claimed, doing, why).with_owner(owner.owner)
        }
        ClaimRefusal::Owned(None) => Error::new(ErrorKind::Claimed, doing, "held by somebody"),
        ClaimRefusal::Unreadable(why) => {
            let why = format!("its state can not be read: {why}");
            Error::new(ErrorKind::Corrupt, doing, why)
        }
        ClaimRefusal::Paused => Error::new(ErrorKind::Paused, doing, "the board is paused"),
        ClaimRefusal::Released => Error::new(ErrorKind::Lost, doing, "it was released by force"),
    }
}
