//! What a feed tells of itself to those who read what it keeps, and what they ask of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::{sync::watch, time::Instant};

use super::change::Origin;
use crate::{
    error,
    store::{self, ErrorKind, Revision},
};

/// The feed has ended: nothing new will be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the view of the board is closed")]
pub(crate) struct Closed;

impl Closed {
    /// The error of a call that waited for something new.
    pub(crate) fn while_doing(self, doing: impl Into<String>) -> error::Error {
        error::Error::new(error::ErrorKind::Closed, doing, self.to_string())
    }
}

/// Why there will be no list that was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unlisted {
    /// The feed has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store refused it to the user.
    #[error("{0}")]
    Denied(#[source] Arc<store::Error>),
}

impl Unlisted {
    /// The error of a call that needed the list.
    pub(crate) fn while_doing(self, doing: impl Into<String>) -> error::Error {
        match self {
            Self::Closed(closed) => closed.while_doing(doing),
            Self::Denied(denied) => {
                let why = denied.to_string();
                error::Error::new(error::ErrorKind::Denied, doing, why).with_source(denied)
            }
        }
    }
}

/// How a feed gets on.
#[derive(Clone, Debug)]
pub(crate) enum Status {
    /// It has not come to its first watch yet, and met no trouble.
    Starting,
    /// Its watch is open.
    Connected,
    /// It tries to get its watch back. What it keeps is old, by an unknown time.
    Reconnecting(Trouble),
}

impl Status {
    /// Why nothing has been listed yet, for people.
    pub(crate) fn why_unlisted(&self) -> String {
        match self {
            Self::Reconnecting(trouble) => trouble.cause.to_string(),
            Self::Starting | Self::Connected => "it could not be listed".to_owned(),
        }
    }
}

/// Why a feed is not connected.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// When it began.
    pub(crate) since: Instant,
    /// What went wrong last.
    pub(crate) cause: Arc<store::Error>,
}

/// How far a feed is.
#[derive(Clone, Debug, Default)]
struct Progress {
    applied: Revision,
    /// How often the store's history was found to be another.
    histories: u64,
    /// The newest request for a list that a complete list answers; `None` before the first list.
    listed: Option<u64>,
    /// The newest request for a list that the store refused to the user, and what it said.
    denied: Option<(u64, Arc<store::Error>)>,
    connected: bool,
    trouble: Option<Trouble>,
}

/// What happened to a feed since it began, in numbers.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Lists after the first.
    pub(super) relists: AtomicU64,
    /// Watches that broke, or were given up because they were silent, and were opened again.
    pub(super) reopened: AtomicU64,
    /// Events that told what had been applied before.
    pub(super) dropped_events: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, number: usize) {
        counter.fetch_add(u64::try_from(number).unwrap_or(u64::MAX), Relaxed);
    }
}

/// The end of a link that readers hold.
#[derive(Clone, Debug)]
pub(super) struct Link {
    progress: watch::Receiver<Progress>,
    wanted: watch::Sender<u64>,
    counters: Arc<Counters>,
    seen: (u64, Revision),
}

impl Link {
    /// A link and the end of it that a feed holds.
    pub(super) fn new() -> (FeedEnd, Self) {
        let (told, progress) = watch::channel(Progress::default());
        let (wanted, asked) = watch::channel(0);
        let counters = Arc::<Counters>::default();
        let end = FeedEnd {
            progress: told,
            wanted: asked,
            counters: Arc::clone(&counters),
        };
        let link = Self {
            progress,
            wanted,
            counters,
            seen: Default::default(),
        };
        (end, link)
    }

    /// Waits until a revision is applied that this clone has not waited for yet, and gives it.
    pub(super) async fn changed(&mut self) -> Result<Revision, Closed> {
        let seen = self.seen;
        let place = |progress: &Progress| (progress.histories, progress.applied);
        let now = self.wait(|progress| place(progress) != seen).await?;
        self.seen = place(&now);
        Ok(now.applied)
    }

    /// Waits until `revision` is applied; or, if the store's history turns out to be another one,
    /// until its first list is.
    pub(super) async fn applied(&self, revision: Revision) -> Result<(), Closed> {
        let histories = self.progress.borrow().histories;
        self.wait(|progress| progress.applied >= revision || progress.histories != histories)
            .await?;
        Ok(())
    }

    /// Waits until the first list is complete. Who was refused it is refused anew, or not any more.
    pub(super) async fn ready(&self) -> store::Result<()> {
        let unlisted = self.progress.borrow().listed.is_none();
        if unlisted
            && self.is_denied()
            && let Err(refused) = self.relist().await
        {
            return Err(match refused {
                Unlisted::Denied(denied) => unlistable(denied),
                Unlisted::Closed(closed) => ended(closed),
            });
        }
        let hopeless = |trouble: &Trouble| {
            let kind = trouble.cause.kind();
            matches!(
                kind,
                ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::TooLarge
            )
        };
        let now = self
            .wait(|now| now.listed.is_some() || now.trouble.as_ref().is_some_and(hopeless))
            .await
            .map_err(ended)?;
        match (now.listed, now.trouble) {
            (None, Some(trouble)) => Err(unlistable(trouble.cause)),
            _ => Ok(()),
        }
    }

    /// Whether the store refuses the user what is to be kept: nobody knows for how long that has been
    /// so.
    pub(super) fn is_denied(&self) -> bool {
        let trouble = &self.progress.borrow().trouble;
        let denied = |trouble: &Trouble| trouble.cause.kind() == ErrorKind::Denied;
        trouble.as_ref().is_some_and(denied)
    }

    /// Asks for a list, and waits until one that began after this call is in the view, or is refused.
    pub(super) async fn relist(&self) -> Result<(), Unlisted> {
        let mut mine = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            mine = *wanted;
        });
        let listed = |now: &Progress| now.listed >= Some(mine);
        let denied = |now: &Progress| now.denied.as_ref().is_some_and(|(at, _)| *at >= mine);
        let now = self.wait(|now| listed(now) || denied(now)).await?;
        match now.denied {
            Some((_, denied)) if now.listed < Some(mine) => Err(Unlisted::Denied(denied)),
            _ => Ok(()),
        }
    }

    pub(super) fn status(&self) -> Status {
        let progress = self.progress.borrow();
        match &progress.trouble {
            Some(trouble) => Status::Reconnecting(trouble.clone()),
            None if progress.connected => Status::Connected,
            None => Status::Starting,
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    async fn wait(&self, until: impl Fn(&Progress) -> bool) -> Result<Progress, Closed> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(until).await;
        reached.map(|now| now.clone()).map_err(|_| Closed)
    }
}

fn ended(closed: Closed) -> store::Error {
    store::Error::new(ErrorKind::Unavailable, closed.to_string())
}

fn unlistable(cause: Arc<store::Error>) -> store::Error {
    let message = format!("list what is on the board: {cause}");
    store::Error::new(cause.kind(), message).with_source(cause)
}

/// The end of a link that a feed holds. When it is dropped, who waits is told that it is over.
#[derive(Debug)]
pub(super) struct FeedEnd {
    progress: watch::Sender<Progress>,
    wanted: watch::Receiver<u64>,
    counters: Arc<Counters>,
}

impl FeedEnd {
    /// The newest request for a list: one that begins after this call answers it.
    pub(super) fn wanted(&self) -> u64 {
        *self.wanted.borrow()
    }

    /// Waits until a list is wanted that no list up to the request `covered` answers. Cancel safe.
    pub(super) async fn list_wanted(&mut self, covered: u64) {
        if self
            .wanted
            .wait_for(|wanted| *wanted > covered)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Tells of a complete list of the revision `at`, which answers the requests up to `covered`.
    pub(super) fn listed(&self, at: Revision, origin: Origin, covered: u64) {
        if origin != Origin::First {
            Counters::add(&self.counters.relists, 1);
        }
        self.progress.send_modify(|progress| {
            progress.applied = at;
            progress.listed = Some(covered);
            progress.histories += u64::from(origin == Origin::OtherHistory);
        });
    }

    /// Tells that a revision of the watch is applied.
    pub(super) fn applied(&self, revision: Revision) {
        self.progress
            .send_modify(|progress| progress.applied = revision);
    }

    /// Tells that the watch is open. Gives the trouble that this ends, if there was any.
    pub(super) fn connected(&self) -> Option<Trouble> {
        let mut ended = None;
        self.progress.send_modify(|progress| {
            progress.connected = true;
            ended = progress.trouble.take();
        });
        ended
    }

    /// Tells that the watch is lost or could not be had, and, where the user is refused, that the
    /// requests for a list up to `asked` are too. Gives whether that is news.
    pub(super) fn troubled(&self, cause: store::Error, asked: u64) -> bool {
        let cause = Arc::new(cause);
        let mut news = false;
        self.progress.send_modify(|progress| {
            let earlier = progress.trouble.take();
            news = earlier.is_none();
            if cause.kind() == ErrorKind::Denied {
                progress.denied = Some((asked, Arc::clone(&cause)));
            }
            progress.trouble = Some(Trouble {
                since: earlier.map_or_else(Instant::now, |earlier| earlier.since),
                cause,
            });
        });
        news
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}
