//! What a process knows: its session, its calls, and what it holds.

use crate::etcd::{CallId, JOBS, LANES, Member, Outcome, Revision, SessionId, Verb};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) session: Option<Session>,
    /// How many sessions it has opened.
    pub(crate) opened: usize,
    /// How many calls it has begun.
    pub(crate) begun: u8,
    pub(crate) calls: [Option<Call>; LANES],
    /// The token of the claim that it was told it holds, for each job; or 0.
    pub(crate) holds: [Revision; JOBS],
    /// The last owner key of each job that the view showed to have ended, while a claim of the job
    /// is pending; or 0.
    pub(crate) ended: [Revision; JOBS],
    pub(crate) fence: Fence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// The mod revision of the guard, as known.
    pub(crate) guard: Revision,
    /// The trust window is over: the session is not used again.
    pub(crate) distrusted: bool,
}

/// A call that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) verb: Verb,
    /// The envelope in which it was sent last.
    pub(crate) envelope: CallId,
    pub(crate) stage: Stage,
    /// What etcd knows and the process does not: that it has happened.
    pub(crate) happened: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// To be sent: nothing that was sent for it can happen any more.
    Waiting,
    Sent,
    /// It reached etcd, and its answer is on the way back. Only of claims: for other verbs it makes
    /// no difference when an answer arrives.
    Answered(Outcome),
    /// The answer is lost.
    Doubt,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Fence {
    #[default]
    Idle,
    Sent,
    /// Put, and the reads are to follow.
    Put,
}

/// What a caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Told {
    Done,
    Failed,
    Lost,
    Unknown,
}

impl Process {
    /// The session, if it is trusted.
    pub(crate) fn trusted(&self) -> Option<Session> {
        self.session.filter(|session| !session.distrusted)
    }

    pub(crate) fn doubts(&self) -> bool {
        self.calls
            .iter()
            .flatten()
            .any(|call| call.stage == Stage::Doubt)
    }

    /// Whether something new may be sent: it waits for doubts to be settled.
    pub(crate) fn may_send(&self) -> bool {
        self.fence == Fence::Idle && !self.doubts()
    }
}

impl Call {
    pub(crate) fn member(&self) -> Member {
        Member {
            call: self.id,
            verb: self.verb,
        }
    }
}
