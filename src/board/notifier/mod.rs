//! Telling what happens on a board: to callbacks, and as a [stream](super::Events).
//!
//! ```text
//!   cache ── a revision was applied ──▶ hub ──▶ streams
//!                                        └────▶ dispatcher ──▶ callbacks
//! ```
//! The hub hands on what the view has applied already, so that what is told can be seen. It keeps
//! the newest thousand revisions for who is slow, and waits for nobody: who falls behind that is
//! told that it lagged. The trash is followed by a watch of its own, from when somebody first
//! listens for it.

mod dispatch;
mod event;
mod hub;
mod listen;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, broadcast};

pub use self::event::{Event, EventKind, EventKinds, Notification};
use self::hub::Batch;
pub(in crate::board) use self::{dispatch::run, hub::Hub};

/// Calls back when something happens on a board; made by [`JobBoard::notifier`](super::JobBoard).
///
/// # Guarantees
/// Those of [`JobBoard::events`](super::JobBoard::events). Callbacks are called one after the other,
/// in the order in which they were registered. One that fails or panics is reported to the log, and
/// called again the next time; it harms nobody else.
///
/// Callbacks stay over [`close`](super::JobBoard::close) and
/// [`connect`](super::JobBoard::connect): what happened in between is told by its differences. Those
/// that were registered before the first connect are told of every job that is on the board then.
///
/// # Caveats
/// A callback is to be quick, and must not block: the others wait for it. A callback that holds a
/// handle to the board keeps the board alive until it is deregistered.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use std::sync::mpsc;
///
/// use jobboard::{EventKind, JobBoard, NewJob};
///
/// let board = JobBoard::builder("images").connect().await?;
/// let (tell, told) = mpsc::channel();
/// let id = board.notifier().register(EventKind::Posted, move |posted| {
///     tell.send(posted.job().map(|job| job.name().to_owned()))
/// });
/// board.post(NewJob::new("thumbnail")).await?;
/// # tokio::task::spawn_blocking(move || {
/// assert_eq!(told.recv().unwrap().as_deref(), Some("thumbnail"));
/// # }).await.unwrap();
/// assert!(board.notifier().deregister(id));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Notifier(Arc<Shared>);

struct Shared {
    hub: Arc<Hub>,
    registry: Mutex<Registry>,
    /// Tells the dispatcher of a new mailbox.
    opened: Notify,
}

#[derive(Default)]
struct Registry {
    callbacks: BTreeMap<CallbackId, Arc<Callback>>,
    ids: u64,
    /// What came since the first of the callbacks was registered, until the dispatcher takes it.
    mailbox: Option<broadcast::Receiver<Arc<Batch>>>,
}

type Filter = dyn Fn(&Notification) -> bool + Send + Sync;
type Call = dyn Fn(&Notification) -> Option<String> + Send + Sync;

struct Callback {
    kinds: EventKinds,
    filter: Option<Box<Filter>>,
    /// Gives what went wrong.
    call: Box<Call>,
    /// The last batch that was handed on before it was registered.
    after: u64,
}

/// Names a callback of a [`Notifier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(u64);

/// What a callback gives: nothing, or whether it failed.
pub trait CallbackOutcome: sealed::Sealed {
    #[doc(hidden)]
    fn failure(self) -> Option<String>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E: std::fmt::Display> Sealed for Result<(), E> {}
}

impl CallbackOutcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> CallbackOutcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

impl Notifier {
    /// Any kind of event.
    pub const ANY: EventKinds = EventKinds::ANY;

    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self(Arc::new(Shared {
            hub,
            registry: Mutex::default(),
            opened: Notify::new(),
        }))
    }

    /// Has `callback` called for events of `kinds` that happen from now on.
    pub fn register<R: CallbackOutcome>(
        &self,
        kinds: impl Into<EventKinds>,
        callback: impl Fn(&Notification) -> R + Send + Sync + 'static,
    ) -> CallbackId {
        self.add(kinds.into(), None, callback)
    }

    /// As [`register`](Self::register), for events only for which `filter` gives true: by the
    /// details of their job, say. That it [lagged](Event::Lagged) is told to the callback
    /// unfiltered.
    pub fn register_filtered<R: CallbackOutcome>(
        &self,
        kinds: impl Into<EventKinds>,
        filter: impl Fn(&Notification) -> bool + Send + Sync + 'static,
        callback: impl Fn(&Notification) -> R + Send + Sync + 'static,
    ) -> CallbackId {
        self.add(kinds.into(), Some(Box::new(filter)), callback)
    }

    fn add<R: CallbackOutcome>(
        &self,
        kinds: EventKinds,
        filter: Option<Box<Filter>>,
        callback: impl Fn(&Notification) -> R + Send + Sync + 'static,
    ) -> CallbackId {
        let hub = &self.0.hub;
        if kinds.contains(EventKind::Trashed) {
            hub.want_trash();
        }
        let mut registry = self.lock();
        // The receiver comes first: what is handed on after the number is in it.
        if registry.callbacks.is_empty() {
            registry.mailbox = Some(hub.listen());
        }
        registry.ids += 1;
        let id = CallbackId(registry.ids);
        let callback = Callback {
            kinds,
            filter,
            call: Box::new(move |told| callback(told).failure()),
            after: hub.number(),
        };
        registry.callbacks.insert(id, Arc::new(callback));
        drop(registry);
        self.0.opened.notify_one();
        id
    }

    /// Has a callback not called any more; false if it is not registered. A call that has begun
    /// goes on.
    pub fn deregister(&self, id: CallbackId) -> bool {
        // What the callback holds is let go without the lock.
        let gone = self.lock().callbacks.remove(&id);
        gone.is_some()
    }

    /// Whether a callback is registered.
    pub fn is_registered(&self, id: CallbackId) -> bool {
        self.lock().callbacks.contains_key(&id)
    }

    /// Deregisters every callback.
    pub fn reset(&self) {
        let gone = std::mem::take(&mut self.lock().callbacks);
        drop(gone);
    }

    /// Whether anybody is registered.
    pub(in crate::board) fn is_used(&self) -> bool {
        !self.lock().callbacks.is_empty()
    }

    /// Held for a few instructions only, never across an await or a callback.
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notifier({} registered)", self.lock().callbacks.len())
    }
}
