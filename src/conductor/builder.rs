//! How a conductor is set up.

use std::{future::Future, marker::PhantomData, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::{
    Conducting, Conductor, Context, Handler, HandlerError, Outcome, handler::Typed, register::who,
    stopping::Stopping,
};
use crate::{
    Error, ErrorKind, Job, JobBoard, Result, Retry,
    protocol::{limits::check_name, time::Timestamp},
};

/// The longest that what runs is given to end: a day.
const LONGEST: Duration = Duration::from_hours(24);

/// How many events are kept for who is slow to listen.
const EVENTS: usize = 1_024;

type Wanted = dyn Fn(&Job) -> bool + Send + Sync;

/// Settings of a conductor.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) retry: Option<Retry>,
    pub(super) drain: Duration,
    pub(super) grace: Duration,
    pub(super) max_dispatches: Option<u64>,
}

/// Sets up a [`Conductor`]; made by [`Conductor::builder`].
#[must_use = "a builder does nothing until it is given a handler"]
pub struct ConductorBuilder {
    board: JobBoard,
    name: String,
    wanted: Vec<Box<Wanted>>,
    settings: Settings,
    stops_on_signals: bool,
}

impl ConductorBuilder {
    pub(super) fn new(board: &JobBoard, name: &str) -> Self {
        Self {
            board: board.clone(),
            name: name.to_owned(),
            wanted: Vec::new(),
            settings: Settings {
                concurrency: 1,
                retry: None,
                drain: Duration::from_secs(30),
                grace: Duration::from_secs(10),
                max_dispatches: None,
            },
            stops_on_signals: false,
        }
    }

    /// How many jobs it does at a time: at least one. Defaults to 1.
    pub const fn concurrency(mut self, concurrency: usize) -> Self {
        self.settings.concurrency = concurrency;
        self
    }

    /// Does only jobs of one of these names. Defaults to all.
    pub fn jobs_named<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names: std::collections::BTreeSet<String> = names.into_iter().map(Into::into).collect();
        self.jobs_where(move |job| names.contains(job.name()))
    }

    /// Does only jobs for which this gives true; if it is called several times, all must. It is asked
    /// often, and must be quick. Defaults to all.
    ///
    /// # Caveats
    /// A conductor that wants few of many jobs looks at all of them to find the next: boards of their own
    /// are better for jobs that go to conductors of their own.
    pub fn jobs_where(mut self, wanted: impl Fn(&Job) -> bool + Send + Sync + 'static) -> Self {
        self.wanted.push(Box::new(wanted));
        self
    }

    /// How a job is given back whose handler gave an error or panicked; the reason is added. Defaults to
    /// [`Retry::backoff`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.settings.retry = Some(retry);
        self
    }

    /// How long what runs is given to end when the conductor stops, before it is asked to stop: at most
    /// a day. Defaults to 30 s.
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.settings.drain = drain;
        self
    }

    /// How long a handler that was asked to stop is given for that, before it is dropped: at most a day.
    /// Defaults to 10 s.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Stops after so many jobs were tried, however they ended. Defaults to no limit.
    pub const fn max_dispatches(mut self, max: u64) -> Self {
        self.settings.max_dispatches = Some(max);
        self
    }

    /// Stops at SIGTERM or SIGINT while it runs: what runs is given the time to [drain](Self::drain); at a
    /// second signal it is dropped. Defaults to leaving signals alone.
    ///
    /// From the first such run on, these signals do not end the process by themselves, and one that comes while no
    /// such conductor runs is heard by nobody. A service that goes on after a run has ended, or runs conductors
    /// again and again, listens to signals by itself and calls [`stop`](super::Conductor::stop).
    pub const fn stop_on_signals(mut self) -> Self {
        self.stops_on_signals = true;
        self
    }

    /// A conductor that does its jobs by `handler`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with the name or the setting that can not be.
    pub fn handler(self, handler: impl Handler) -> Result<Conductor> {
        const DOING: &str = "set up a conductor";
        let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, DOING, why));
        check_name(DOING, "the name", &self.name)?;
        let who = who(&self.name);
        check_name(DOING, "the name with host and process", &who)?;
        let settings = self.settings;
        if settings.concurrency == 0 {
            return invalid("a concurrency of 0 does nothing".to_owned());
        }
        for (what, time) in [("drain", settings.drain), ("grace", settings.grace)] {
            if time > LONGEST {
                return invalid(format!("a {what} of {time:?} is longer than a day"));
            }
        }
        if let Some(retry) = &settings.retry {
            retry.check(DOING)?;
        }
        let wanted = self.wanted;
        let (events, _) = tokio::sync::broadcast::channel(EVENTS);
        Ok(Conductor(Arc::new(Conducting {
            instance: self.board.random().uuid(),
            started: Timestamp::from(self.board.clock().now()),
            who,
            board: self.board,
            wanted: Box::new(move |job| wanted.iter().all(|wanted| wanted(job))),
            settings,
            stops_on_signals: self.stops_on_signals,
            handler: Arc::new(handler),
            stopping: Stopping::default(),
            events,
            begun: std::sync::atomic::AtomicBool::new(false),
        })))
    }

    /// A conductor that does its jobs by an async closure, which is given the details of each job as a
    /// type that serde can read. A job whose details can not be read so goes into the trash: it could
    /// not be done the next time either.
    ///
    /// # Errors
    /// Those of [`handler`](Self::handler).
    pub fn with<F, D, R>(self, run: F) -> Result<Conductor>
    where
        F: Fn(Context, D) -> R + Send + Sync + 'static,
        D: DeserializeOwned + Send + 'static,
        R: Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
    {
        let details = PhantomData;
        self.handler(Typed { run, details })
    }

    /// As [`with`](Self::with), and [runs](Conductor::run) it.
    ///
    /// # Errors
    /// Those of [`handler`](Self::handler) and of [`Conductor::run`].
    pub async fn run<F, D, R>(self, run: F) -> Result<()>
    where
        F: Fn(Context, D) -> R + Send + Sync + 'static,
        D: DeserializeOwned + Send + 'static,
        R: Future<Output = Result<Outcome, HandlerError>> + Send + 'static,
    {
        self.with(run)?.run().await
    }
}

impl std::fmt::Debug for ConductorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConductorBuilder")
            .field("board", &self.board)
            .field("name", &self.name)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
