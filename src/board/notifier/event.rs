//! What can happen on a board, as who listens is told.

use std::{fmt, sync::Arc};

use crate::{
    board::{Job, JobBoard, TrashedJob},
    cache::{Change, ChangeKind},
    protocol::{cancel::CancelRequest, progress::Progress},
    store::Revision,
};

/// Something that happened on a board.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notification {
    /// The revision at which it happened, or at which a list showed it; zero for
    /// [`Event::Lagged`].
    pub revision: Revision,
    /// What happened.
    pub event: Event,
}

impl Notification {
    /// What kind of event it is.
    pub const fn kind(&self) -> EventKind {
        match &self.event {
            Event::Posted(_) => EventKind::Posted,
            Event::Removal(_) => EventKind::Removal,
            Event::Claimed { .. } => EventKind::Claimed,
            Event::Released { .. } => EventKind::Released,
            Event::Progress { .. } => EventKind::Progress,
            Event::CancelRequested { .. } => EventKind::CancelRequested,
            Event::Trashed(_) => EventKind::Trashed,
            Event::Unreadable(_) => EventKind::Unreadable,
            Event::Lagged { .. } => EventKind::Lagged,
        }
    }

    /// The job that it happened to, unless that is in the trash now.
    pub const fn job(&self) -> Option<&Job> {
        match &self.event {
            Event::Posted(job)
            | Event::Removal(job)
            | Event::Claimed { job, .. }
            | Event::Released { job, .. }
            | Event::Progress { job, .. }
            | Event::CancelRequested { job, .. }
            | Event::Unreadable(job) => Some(job),
            Event::Trashed(_) | Event::Lagged { .. } => None,
        }
    }

    pub(super) const fn is_lagged(&self) -> bool {
        matches!(self.event, Event::Lagged { .. })
    }

    pub(super) const fn lagged(missed: u64) -> Self {
        Self {
            revision: Revision::ZERO,
            event: Event::Lagged { missed },
        }
    }

    /// What a change of the view is to who listens; nothing, if it is none of their business.
    pub(super) fn of(change: &Change, board: &JobBoard) -> Option<Self> {
        let job = || board.job_of(Arc::clone(&change.entry));
        let state = || change.entry.state().map(|state| &state.record);
        let event = match change.kind {
            ChangeKind::Posted => Event::Posted(job()),
            ChangeKind::Removed => Event::Removal(job()),
            ChangeKind::BecameUnreadable => Event::Unreadable(job()),
            ChangeKind::Claimed => {
                let record = change
                    .entry
                    .holder()
                    .and_then(|holder| holder.record.as_ref());
                Event::Claimed {
                    job: job(),
                    owner: record.map(|record| record.owner.clone()),
                }
            }
            ChangeKind::Released => {
                // If it has another owner by now, nothing tells of the one before.
                let state = state().filter(|_| change.entry.holder().is_none());
                Event::Released {
                    job: job(),
                    owner: state.and_then(|state| state.last_owner.clone()),
                    died: state.is_some_and(|state| state.claim.is_some()),
                }
            }
            ChangeKind::Progressed => Event::Progress {
                job: job(),
                progress: state()?.progress.clone()?,
            },
            ChangeKind::CancelRequested => Event::CancelRequested {
                job: job(),
                request: CancelRequest::clone(change.entry.cancel_request()?),
            },
            ChangeKind::Rewritten | ChangeKind::StateChanged | ChangeKind::CancelWithdrawn => {
                return None;
            }
        };
        let revision = change.revision;
        Some(Self { revision, event })
    }
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A job came onto the board.
    Posted(Job),
    /// A job is no longer on the board: it was consumed, or trashed.
    Removal(Job),
    /// A job has an owner, or another one than before.
    Claimed {
        /// The job.
        job: Job,
        /// Who holds it; `None` if that can not be read.
        owner: Option<String>,
    },
    /// A job has no owner any more, or not the one it had.
    Released {
        /// The job.
        job: Job,
        /// Who held it; `None` where nothing tells any more.
        owner: Option<String>,
        /// Whether its owner ended without a word: its lease is over. Otherwise the job was given
        /// back. TaskFlow's owners never leave a word; they count as having given it back.
        died: bool,
    },
    /// The owner of a job told how far it has come.
    Progress {
        /// The job.
        job: Job,
        /// How far.
        progress: Progress,
    },
    /// Somebody [asked](crate::JobBoard::cancel) the owner of a job to stop.
    CancelRequested {
        /// The job.
        job: Job,
        /// By whom, and why.
        request: CancelRequest,
    },
    /// A job came into the trash. Told by a watch of its own: its [`Removal`](Self::Removal) can
    /// come before or after.
    Trashed(TrashedJob),
    /// A job is not seen any more because its posting was overwritten with something that can not
    /// be read. No client of a board does that.
    Unreadable(Job),
    /// Who listens was too slow, and was not told of some revisions of the board. What the board
    /// shows is true all the same: look at it anew.
    Lagged {
        /// How many revisions were missed.
        missed: u64,
    },
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::Posted`].
    Posted,
    /// [`Event::Removal`].
    Removal,
    /// [`Event::Claimed`].
    Claimed,
    /// [`Event::Released`].
    Released,
    /// [`Event::Progress`].
    Progress,
    /// [`Event::CancelRequested`].
    CancelRequested,
    /// [`Event::Trashed`].
    Trashed,
    /// [`Event::Unreadable`].
    Unreadable,
    /// [`Event::Lagged`].
    Lagged,
}

impl EventKind {
    /// The kind's name: `POSTED`, `REMOVAL` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "POSTED",
            Self::Removal => "REMOVAL",
            Self::Claimed => "CLAIMED",
            Self::Released => "RELEASED",
            Self::Progress => "PROGRESS",
            Self::CancelRequested => "CANCEL_REQUESTED",
            Self::Trashed => "TRASHED",
            Self::Unreadable => "UNREADABLE",
            Self::Lagged => "LAGGED",
        }
    }
}

/// Shows the name.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which kinds of events are listened to: one, several, or any.
///
/// [`Event::Lagged`] is told to everybody who is late, whatever they listen to.
///
/// # Examples
/// ```
/// use jobboard::{EventKind, EventKinds};
///
/// let kinds = EventKinds::from([EventKind::Posted, EventKind::Removal]);
/// assert!(kinds.contains(EventKind::Posted) && !kinds.contains(EventKind::Claimed));
/// assert!(EventKinds::ANY.contains(EventKind::Trashed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKinds(u16);

impl EventKinds {
    /// Every kind.
    pub const ANY: Self = Self(u16::MAX);

    /// Whether `kind` is one of these.
    pub const fn contains(self, kind: EventKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    const fn bit(kind: EventKind) -> u16 {
        1 << kind as u16
    }

    pub(super) const fn listens_to(self, told: &Notification) -> bool {
        told.is_lagged() || self.contains(told.kind())
    }
}

impl From<EventKind> for EventKinds {
    fn from(kind: EventKind) -> Self {
        Self(Self::bit(kind))
    }
}

impl<const N: usize> From<[EventKind; N]> for EventKinds {
    fn from(kinds: [EventKind; N]) -> Self {
        kinds.into_iter().collect()
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |all, kind| all | Self::bit(kind)))
    }
}
