//! The conductor: what a service embeds to do the jobs of a board.
//!
//! ```text
//!   view of the board ──▶ picker ──▶ claim ──▶ handler ──▶ settle
//!          ▲                 │ no job, or no room     │
//!          └── waits by push ┘                        └▶ events
//! ```
//! It never asks etcd whether there is something to do: it waits for its board's view to change, for a
//! job to fall due, or for one of its own to end.

mod attempt;
mod builder;
mod context;
mod dispatch;
mod event;
mod handler;
mod outcome;
mod picker;
mod rank;
mod register;
mod stopping;

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
    time::Duration,
};

use futures::Stream;
use tokio::{sync::broadcast, time::timeout};
use uuid::Uuid;

pub use self::{
    builder::ConductorBuilder,
    context::{Context, StopReason},
    event::{ConductorEvent, Step},
    handler::{Handler, HandlerError},
    outcome::Outcome,
};
use self::{builder::Settings, handler::AnyHandler, stopping::Stopping};
use crate::{Error, ErrorKind, Job, JobBoard, Result, protocol::time::Timestamp, signals::Signals};

/// Does the jobs of a board: claims them, runs a handler for each, and settles them by what that says.
/// Clones are handles to the same conductor.
///
/// # Guarantees
/// - A job is run by one conductor at a time, and counted with each try, so that one that kills its owner
///   is tried no more often than its board lets it.
/// - A handler whose claim is lost is cancelled at once; whatever it does then changes nothing on the
///   board. A handler that blocks its thread does not stop the claim from being kept alive.
/// - A conductor that [stops](Self::stop) gives back what it does not finish, without counting the try.
/// - A [suspect](Job::is_suspect) is run alone. Where all are busy, one conductor after the other, a minute
///   apart, claims nothing more until what it runs has ended.
///
/// # Caveats
/// A job can be run twice: when its owner dies, or is cut off from etcd, after it did the work and before
/// it said so. Hand the [fencing token](Context::token) on to where that matters.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use jobboard::{Conductor, Context, JobBoard, NewJob, Outcome};
/// use serde_json::json;
///
/// #[derive(serde::Deserialize)]
/// struct Thumbnail {
///     file: String,
/// }
///
/// let board = JobBoard::builder("images").connect().await?;
/// board.post(NewJob::new("thumbnail").details(json!({"file": "a.png"}))).await?;
///
/// Conductor::builder(&board, "thumbnails")
///     .concurrency(8)
///     .max_dispatches(1)
///     .run(|context: Context, details: Thumbnail| async move {
///         println!("try {} of {}", context.attempt(), details.file);
///         Ok(Outcome::Consume)
///     })
///     .await?;
/// assert_eq!(board.fresh_jobs().await?.count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Conductor(Arc<Conducting>);

/// A conductor, whole.
struct Conducting {
    board: JobBoard,
    who: String,
    /// Tells this conductor from every other, one of the same process too.
    instance: Uuid,
    started: Timestamp,
    wanted: Box<dyn Fn(&Job) -> bool + Send + Sync>,
    settings: Settings,
    stops_on_signals: bool,
    handler: Arc<dyn AnyHandler>,
    stopping: Stopping,
    events: broadcast::Sender<ConductorEvent>,
    begun: AtomicBool,
}

impl Conductor {
    /// Sets up a conductor of that name, which others can have too, for a connected board.
    pub fn builder(board: &JobBoard, name: &str) -> ConductorBuilder {
        ConductorBuilder::new(board, name)
    }

    /// The name under which it holds jobs and is registered at its board: `{name}@{host}:{pid}`.
    pub fn name(&self) -> &str {
        &self.0.who
    }

    /// Runs jobs until it is told to stop, or has done as many as it was to.
    ///
    /// While it runs it is registered at its board as an entity of the kind `conductor`; of those of one name on
    /// clones of one handle, the last. Told to stop before it has begun, it claims nothing and ends well; where etcd
    /// did not answer its registration by then, it can be listed until the board is closed. A conductor runs once. If this is dropped, all that runs is dropped with it, and its jobs are given back; its entity is
    /// listed until the board is closed.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed) if its board is not connected, or is closed meanwhile;
    /// [`Denied`](ErrorKind::Denied) if etcd refuses the user as it begins (later it goes on: jobs are
    /// [refused](Step::Refused) until it may claim them again); [`Unavailable`](ErrorKind::Unavailable) if
    /// etcd could not be reached as it began; [`Invalid`](ErrorKind::Invalid) if it ran
    /// already; and those of [`JobBoard::register_entity`]. What runs is waited for first, as when it is
    /// told to stop.
    pub async fn run(&self) -> Result<()> {
        if self.0.begun.swap(true, AcqRel) {
            let why = "a conductor runs once";
            return Err(Error::new(ErrorKind::Invalid, "run a conductor", why));
        }
        let _over = self.0.stopping.over().clone().drop_guard();
        let run = Arc::clone(&self.0).dispatch();
        if !self.0.stops_on_signals {
            return run.await;
        }
        let signals = Signals::listen().map_err(|error| {
            let doing = "listen to signals";
            Error::new(ErrorKind::Invalid, doing, error.to_string())
        })?;
        tokio::select! {
            biased;
            done = run => done,
            never = self.obey(signals) => match never {},
        }
    }

    /// Stops: no further job is claimed, what runs is given the time to
    /// [drain](ConductorBuilder::drain), then asked to stop, then dropped. What was not finished is given
    /// back without counting the try. Returns at once; [`wait`](Self::wait) waits.
    pub fn stop(&self) {
        self.0.stopping.drain().cancel();
    }

    /// Stops at once: what runs is dropped where it awaits something, and given back.
    pub fn halt(&self) {
        self.0.stopping.drain().cancel();
        self.0.stopping.halt().cancel();
    }

    /// Waits until it has stopped, for `at_most` so long, for ever if that is none; whether it has.
    /// Cancel safe.
    pub async fn wait(&self, at_most: Option<Duration>) -> bool {
        let over = self.0.stopping.over().cancelled();
        if let Some(at_most) = at_most {
            return timeout(at_most, over).await.is_ok();
        }
        over.await;
        true
    }

    /// What it does from now on, step by step. Who is more than 1,024 events behind misses the oldest.
    pub fn events(&self) -> impl Stream<Item = ConductorEvent> + Send + Unpin + 'static {
        event::stream(self.0.events.subscribe())
    }

    /// Stops at the first signal, at once at the second.
    async fn obey(&self, mut signals: Signals) -> Infallible {
        signals.next().await;
        self.stop();
        signals.next().await;
        self.halt();
        std::future::pending().await
    }
}

impl Conducting {
    /// Tells who listens.
    fn tell(&self, event: ConductorEvent) {
        // Nobody listens, as a rule.
        _ = self.events.send(event);
    }
}

impl fmt::Debug for Conductor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conductor({})", self.name())
    }
}
