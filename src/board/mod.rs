//! The board: post jobs, look at them, claim them.

mod books;
mod builder;
mod by_name;
mod cancel;
mod claim;
mod claim_options;
mod claiming;
mod connection;
mod discard;
mod ended;
mod entities;
mod events;
mod fresh;
mod iterate;
mod job;
mod look;
mod notifier;
mod numbers;
mod pause;
mod places;
mod post;
mod posting;
mod progress;
mod reading;
mod release;
mod results;
mod retry;
mod review;
mod settle;
mod trashed;
mod unique;
mod wait;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub(crate) use self::claiming::Discarded;
pub use self::{
    builder::JobBoardBuilder,
    cancel::Cancelled,
    claim::Claim,
    claim_options::ClaimOptions,
    ended::Ended,
    entities::Entities,
    events::Events,
    iterate::Jobs,
    job::Job,
    notifier::{CallbackId, CallbackOutcome, Event, EventKind, EventKinds, Notification, Notifier},
    post::NewJob,
    release::Holder,
    retry::Retry,
    review::{Quarantined, TrashList, TrashReview},
    trashed::TrashedJob,
};
use self::{connection::Connection, notifier::Hub};
use crate::{
    cache::Reader,
    clock::Clock,
    error::{Error, ErrorKind, Result},
    protocol::keys::{BoardName, Keyspace},
    random::Random,
    session::{Parts, Settings, failure},
    store::Store,
};

/// A board of jobs. Clones are handles to the same connection.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use jobboard::{JobBoard, NewJob, store::Memory};
///
/// let board = JobBoard::builder("images").store(Memory::new()).connect().await?;
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
    read_only: bool,
    random: Random,
    clock: Clock,
    hub: Arc<Hub>,
    notifier: Notifier,
    connection: Mutex<Option<Arc<Connection>>>,
    /// The view of the last connection, where callbacks are to be told what changes until the next.
    last_view: Mutex<Option<Reader>>,
}

impl JobBoard {
    /// Sets up a handle to the board of that name: see [`BoardName`].
    pub fn builder(name: &str) -> JobBoardBuilder {
        JobBoardBuilder::new(name)
    }

    /// Lists the board and keeps a live view of it from then on. Connecting again is harmless.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) if etcd refuses the user,
    /// [`Unavailable`](ErrorKind::Unavailable) if the board could not be listed within the
    /// [deadline](JobBoardBuilder::deadline).
    pub async fn connect(&self) -> Result<()> {
        let doing = || format!("connect to board {}", self.name());
        let connection = self.start();
        let reader = connection.reader();
        let error = match timeout_at(self.deadline(), reader.ready()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => failure::of_store(doing(), error),
            Err(_late) => {
                let why = reader.status().why_unlisted();
                Error::new(ErrorKind::Unavailable, doing(), why)
            }
        };
        // Not one that a clone has opened meanwhile.
        let failed = self
            .lock()
            .take_if(|current| Arc::ptr_eq(current, &connection));
        if failed.is_some() {
            self.end(&connection).await;
        }
        Err(error)
    }

    /// Gives back what this handle and its clones hold, and ends the connection. The handle can
    /// connect again. Closing again is harmless.
    pub async fn close(&self) {
        let connection = self.lock().take();
        if let Some(connection) = connection {
            self.end(&connection).await;
        }
    }

    /// Ends a connection, and keeps its view for the callbacks of the next.
    async fn end(&self, connection: &Connection) {
        connection.close(self.deadline()).await;
        if self.0.notifier.is_used() {
            *lock(&self.0.last_view) = Some(connection.reader().clone());
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

    /// Calls back when something happens on the board: [`events`](Self::events) for callbacks.
    pub fn notifier(&self) -> &Notifier {
        &self.0.notifier
    }

    /// The jobs of the board as it is seen now, the most urgent first, then in the order in which
    /// they were posted. Live: makes no request. None where the board is closed.
    pub fn jobs(&self) -> Jobs {
        Jobs::of(self.clone())
    }

    /// As [`jobs`](Self::jobs), once every job is seen whose post returned before this call began.
    ///
    /// # Errors
    /// Those of [`post`](Self::post): it writes a key to learn how far the view must have come.
    /// A read-only handle, or one whose user may not write, lists the board again instead.
    pub async fn fresh_jobs(&self) -> Result<Jobs> {
        let connection = self.connection("ask for a fresh view of the board")?;
        connection.refresh(self.deadline()).await?;
        Ok(self.jobs())
    }

    fn start(&self) -> Arc<Connection> {
        let mut connection = self.lock();
        let connection = connection.get_or_insert_with(|| {
            let earlier = lock(&self.0.last_view).take();
            let connection = Connection::open(
                self.parts(),
                self.0.clock.clone(),
                self.0.read_only,
                &self.0.hub,
                earlier.as_ref(),
            );
            connection.spawn(notifier::run(
                Arc::downgrade(&self.0),
                connection.over().clone(),
            ));
            Arc::new(connection)
        });
        Arc::clone(connection)
    }

    fn parts(&self) -> Parts {
        Parts {
            store: Arc::clone(&self.0.store),
            keys: self.0.keys.clone(),
            random: self.0.random.clone(),
            settings: self.0.settings,
        }
    }

    fn connection_to_write(&self, doing: &str) -> Result<Arc<Connection>> {
        if self.0.read_only {
            return Err(Error::new(
                ErrorKind::Denied,
                doing,
                "the handle is read-only",
            ));
        }
        self.connection(doing)
    }

    fn connection(&self, doing: &str) -> Result<Arc<Connection>> {
        let connection = self.lock().clone();
        connection.ok_or_else(|| Error::new(ErrorKind::Closed, doing, "the board is closed"))
    }

    /// Fires when the connection that there is now is over.
    pub(crate) fn closed(&self, doing: &str) -> Result<CancellationToken> {
        Ok(self.connection(doing)?.over().clone())
    }

    fn reader(&self) -> Option<Reader> {
        self.lock()
            .as_ref()
            .map(|connection| connection.reader().clone())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.0.settings.deadline
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        lock(&self.0.connection)
    }
}

/// Held for a few instructions only, never across an await. What it guards is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for JobBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobBoard({})", self.name())
    }
}
