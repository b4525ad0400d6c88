//! How a board is set up.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{JobBoard, Notifier, Shared, notifier::Hub};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    protocol::{
        backoff::Backoff,
        keys::{BoardName, Keyspace, Namespace},
        record,
    },
    random::Random,
    session::Settings,
    store::{Memory, Store},
};

/// Sets up a [`JobBoard`]; made by [`JobBoard::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is told to connect or to build"]
pub struct JobBoardBuilder {
    name: String,
    namespace: String,
    store: Option<Arc<dyn Store>>,
    settings: Settings,
    read_only: bool,
    random: Option<Random>,
    clock: Clock,
}

impl JobBoardBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: Namespace::default().to_string(),
            store: None,
            settings: Settings::default(),
            read_only: false,
            random: None,
            clock: Clock::system(),
        }
    }

    /// Where the board is kept. Defaults to a new [`Memory`], which only this handle and its
    /// clones see.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// The [namespace](Namespace) of the board's keys. Defaults to `/taskflow`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long what this process holds stays its own without a word from it: how long a crash is
    /// felt. At least 2 s, at most a day; etcd gives whole seconds, and can give more. Defaults to
    /// 10 s. It is kept alive each third of that.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// How long before the end of its time to live a claim counts as lost here, so that this
    /// process stops before another starts. Defaults to the larger of 0.5 s and a tenth of the
    /// [`ttl`](Self::ttl).
    pub const fn margin(mut self, margin: Duration) -> Self {
        self.settings.margin = Some(margin);
        self
    }

    /// How long a call takes at most. Defaults to 10 s.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How long the [result](super::Claim::consume_with) of a job is kept that is consumed through this
    /// handle: at least so long, as a rule an hour more at most. At least 1 s, at most 366 days. Defaults to
    /// 24 h.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// How often a job is tried before it goes into the trash, where its poster did not
    /// [say](super::NewJob::max_attempts): at least once. Defaults to 20.
    ///
    /// Each claim is a try, but one that was given back unburnt, as a dropped [`Claim`](super::Claim)
    /// or a closed board does. Claims of TaskFlow clients are not counted.
    pub const fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.settings.max_attempts = max_attempts;
        self
    }

    /// How long a job waits between its tries when an owner here fails, where its poster did not
    /// [say](super::NewJob::backoff). Defaults to [`Backoff::default`].
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// How much time is at least between two writes of the [progress](super::Claim::progress) of one
    /// claim; at most a day. Zero writes all that is told. Defaults to 1 s.
    pub const fn progress_every(mut self, every: Duration) -> Self {
        self.settings.progress_every = every;
        self
    }

    /// Whether verbs that wait while others are on their way are sent together, in one transaction
    /// with their own compares and answers. Defaults to true.
    ///
    /// Nothing waits for company: a verb that comes while the line is free is sent at once, alone.
    /// Switched off, each verb is a transaction of its own; what the verbs promise is the same.
    pub const fn group_commit(mut self, group_commit: bool) -> Self {
        self.settings.group_commit = group_commit;
        self
    }

    /// Whether the handle is for looking only: it writes nothing, not even a session, and its verbs
    /// give [`Denied`](crate::ErrorKind::Denied). Defaults to false.
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Where uuids and jitter come from. Defaults to a generator seeded by the operating system.
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// What tells the time of day. Defaults to the machine's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A handle that is not connected yet.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with the name or the setting that can not be, and in a program that
    /// is built with `serde_json`'s feature `arbitrary_precision`: numbers are not read as what they are there.
    pub fn build(self) -> Result<JobBoard> {
        if !record::reads_numbers() {
            let why = "serde_json is built with its feature `arbitrary_precision`";
            return Err(Error::new(ErrorKind::Invalid, "build a board", why));
        }
        self.settings.check()?;
        let name: BoardName = self.name.parse()?;
        let namespace: Namespace = self.namespace.parse()?;
        let hub = Arc::new(Hub::new());
        Ok(JobBoard(Arc::new(Shared {
            keys: Keyspace::new(&namespace, &name),
            name,
            store: self.store.unwrap_or_else(|| Arc::new(Memory::new())),
            settings: self.settings,
            read_only: self.read_only,
            random: self.random.unwrap_or_else(Random::from_system),
            clock: self.clock,
            notifier: Notifier::new(Arc::clone(&hub)),
            hub,
            connection: Mutex::new(None),
            last_view: Mutex::new(None),
        })))
    }

    /// A connected handle.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and of [`JobBoard::connect`].
    pub async fn connect(self) -> Result<JobBoard> {
        let board = self.build()?;
        board.connect().await?;
        Ok(board)
    }
}
