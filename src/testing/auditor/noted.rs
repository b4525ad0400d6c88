//! What was noted of clients: what they asked for, what they were told, and what they believed.

use std::{collections::BTreeSet, fmt, time::Duration};

use uuid::Uuid;

use crate::{Claim, Context, ErrorKind, store::Revision};

#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    pub(super) calls: Vec<Call>,
    pub(super) beliefs: Vec<Belief>,
    /// The claims that nobody believes in any more.
    pub(super) disbelieved: BTreeSet<Held>,
    pub(super) views: Vec<View>,
    pub(super) told: Vec<Told>,
    pub(super) ends: Vec<ToldEnd>,
    /// Whether two can believe in one job.
    pub(super) beliefs_excused: bool,
    /// Clients that can believe in a job that is not theirs any more.
    pub(super) excused: BTreeSet<String>,
    /// Subscribers that are told no more.
    pub(super) deaf: BTreeSet<String>,
    /// Orders beginnings and ends.
    moments: u64,
}

impl Noted {
    pub(super) fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) client: String,
    pub(super) asked: Asked,
    pub(super) begun: u64,
    /// When it ended, and how.
    pub(super) ended: Option<(u64, Answer)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// By the job's name.
    Post(String),
    /// By the owner.
    Claim(String),
    Consume(Held),
    Abandon(Held),
    Trash(Held),
    /// By since when the job is in the trash.
    Restore {
        job: Uuid,
        trashed: Revision,
    },
    Release(Held),
    /// By who does it.
    TrashUnclaimed(String),
}

/// A claim, as it is found again in what happened. Jobs that were claimed together have the same token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    pub(super) job: Uuid,
    pub(super) token: Revision,
}

impl Held {
    /// The claim of this job that has this token.
    pub const fn new(job: Uuid, token: Revision) -> Self {
        Self { job, token }
    }
}

impl From<&Claim> for Held {
    fn from(claim: &Claim) -> Self {
        Self::new(claim.job().uuid(), claim.token())
    }
}

/// The claim that a handler works under.
impl From<&Context> for Held {
    fn from(context: &Context) -> Self {
        Self::new(context.job().uuid(), context.token())
    }
}

/// What a call was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done, at this revision as far as the caller knows.
    Done(Option<Revision>),
    /// It was not, and will not be.
    Failed(ErrorKind),
    /// There was no need for it: another job has its unique key, or somebody holds the job and was asked
    /// to stop.
    NotNeeded,
    /// It can have been done.
    Unsure(ErrorKind),
}

/// That a client believed that a job was its own; counted from the beginning of its time.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    pub(super) client: String,
    pub(super) held: Held,
    pub(super) from: Duration,
    pub(super) until: Option<Duration>,
}

/// What a client saw on the board.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) client: String,
    pub(super) revision: Revision,
    pub(super) jobs: Vec<(Uuid, Option<String>)>,
}

/// What a subscriber was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) client: String,
    /// At which it happened, or at which a list showed it.
    pub(super) revision: Revision,
    pub(super) news: News,
    /// How often the view was listed again until then, if that is known: a list merges what happened.
    pub(super) lists: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It listens, from this revision on.
    Listens,
    /// A job came onto the board.
    Came(Uuid),
    /// A job went off the board.
    Went(Uuid),
}

impl News {
    pub(super) const fn job(&self) -> Option<&Uuid> {
        match self {
            Self::Listens => None,
            Self::Came(job) | Self::Went(job) => Some(job),
        }
    }
}

/// What one who waited for a job was told of its end.
#[derive(Clone, Debug)]
pub(super) struct ToldEnd {
    pub(super) client: String,
    pub(super) job: Uuid,
    pub(super) trashed: bool,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listens => f.write_str("nothing yet"),
            Self::Came(job) => write!(f, "that {job} came"),
            Self::Went(job) => write!(f, "that {job} went"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asked at {}: {:?}",
            self.client, self.begun, self.asked
        )?;
        match &self.ended {
            Some((ended, answer)) => write!(f, ", told at {ended}: {answer:?}"),
            None => f.write_str(", and was told nothing"),
        }
    }
}
