//! The one error of the crate, and its kinds: each says what the caller does next.

use std::{error::Error as StdError, fmt};

/// A `Result` with the crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that did not do what it was asked for.
///
/// [`kind`](Self::kind) says what to do next; the text says what was being done, to which job, and
/// what was in the way. It never carries a job's details, a password or a token.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    doing: String,
    why: String,
    owner: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an [`Error`]. There is a kind for each thing to do, and no other.
///
/// All kinds but [`Lost`](Self::Lost) and [`Unknown`](Self::Unknown) are definite: the call did
/// not do what it was asked for, and never will. ([`JobBoard::claim`](crate::JobBoard::claim) can move a
/// job into the trash instead, and says so.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "closed: callers are meant to match all of it"
)]
pub enum ErrorKind {
    /// The call can not be served as it is: fix it.
    Invalid,
    /// There is no such job or logbook (any more): nothing to do.
    NotFound,
    /// Somebody holds the job ([`Error::owner`] tells who): pick another.
    Claimed,
    /// The job is held, but not by who was named, or not through this board handle.
    NotOwner,
    /// The claim is over: stop working on the job. It says nothing of whether the verb that was in
    /// flight when the claim ended went through.
    Lost,
    /// The board is paused: wait until it is resumed.
    Paused,
    /// The board handle is closed: connect again.
    Closed,
    /// etcd refuses this user, or the handle is read-only.
    Denied,
    /// A record can not be read: a person is needed.
    Corrupt,
    /// Nothing happened, because etcd could not be reached or has no space left: try again later.
    Unavailable,
    /// The request was sent and etcd then stayed out of reach past the deadline, or refused it for lack of space, which it
    /// can do after it has done it: it may have happened. Read before you try again.
    Unknown,
}

impl Error {
    /// An error of `kind` met while `doing` something, because of `why`.
    pub(crate) fn new(kind: ErrorKind, doing: impl Into<String>, why: impl Into<String>) -> Self {
        let (doing, why) = (doing.into(), why.into());
        Self(Box::new(Inner {
            kind,
            doing,
            why,
            owner: None,
            source: None,
        }))
    }

    /// Says who holds the job.
    pub(crate) fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.0.owner = Some(owner.into());
        self
    }

    /// Adds what caused it.
    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Where it matters to nobody whether the request happened, nothing did.
    pub(crate) fn if_unknown_nothing_happened(mut self) -> Self {
        if self.0.kind == ErrorKind::Unknown {
            self.0.kind = ErrorKind::Unavailable;
        }
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Who holds the job, where that is what was in the way and it is known.
    pub fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.doing, self.0.why)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}
