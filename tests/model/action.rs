//! The steps that the system can take, and how a trace tells them.

use std::fmt;

use crate::{
    etcd::{Job, LANES, Outcome, Revision, SessionId, Verb},
    request::Request,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A caller calls, and the process sends that at once.
    Begin {
        process: usize,
        verb: Verb,
    },
    /// Two callers call, and both verbs go in one envelope.
    BeginTogether {
        process: usize,
        verbs: [Verb; LANES],
    },
    /// What can not happen any more is sent again.
    SendAgain {
        process: usize,
        verb: Verb,
        lane: usize,
    },
    /// A request gets to etcd, at any time and in any order.
    Arrives(Request),
    /// A process gives up waiting. The request may have arrived, arrive later, or never: which of
    /// them shows when it does, so no step is needed to lose an answer that was on its way.
    AnswerLost(Request),
    /// The answer of a claim gets to its process.
    Hears {
        process: usize,
        lane: usize,
        outcome: Outcome,
    },
    Fences {
        process: usize,
    },
    Reads {
        process: usize,
    },
    /// An owner key of the session that belongs to nothing is given back.
    GivesBack {
        process: usize,
        job: Job,
        token: Revision,
    },
    /// The view of a process shows what became of a job's owner keys.
    Sees {
        process: usize,
        job: Job,
    },
    /// The trust window of a session is over.
    Distrusts {
        process: usize,
    },
    /// A process revokes the lease of a session that it distrusts.
    Revokes {
        process: usize,
    },
    Opens {
        process: usize,
    },
    /// A lease expires or is revoked, at any time: etcd does that to live ones too.
    LeaseEnds {
        session: SessionId,
    },
    /// A claim's own lease expires; only without [`ClaimOnLeaseOfGuard`].
    ///
    /// [`ClaimOnLeaseOfGuard`]: crate::rules::Rule::ClaimOnLeaseOfGuard
    ClaimEnds {
        job: Job,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { process, verb } => write!(f, "process {process} sends: {verb}"),
            Self::BeginTogether {
                process,
                verbs: [one, other],
            } => {
                write!(f, "process {process} sends in one envelope: {one}, {other}")
            }
            Self::SendAgain { process, verb, .. } => {
                write!(f, "process {process} sends again: {verb}")
            }
            Self::Arrives(request) if request.awaited => write!(f, "etcd gets {request}"),
            Self::Arrives(request) => write!(f, "etcd gets, late, {request}"),
            Self::AnswerLost(request) => {
                write!(
                    f,
                    "process {} waits no longer for {request}",
                    request.process
                )
            }
            Self::Hears {
                process, outcome, ..
            } => {
                write!(f, "process {process} hears of its claim: {outcome:?}")
            }
            Self::Fences { process } => write!(f, "process {process} sends a fence"),
            Self::Reads { process } => write!(f, "process {process} reads what happened"),
            Self::GivesBack { process, job, .. } => {
                write!(
                    f,
                    "process {process} sees an owner key of its own, and gives back job {job}"
                )
            }
            Self::Sees { process, job } => {
                write!(
                    f,
                    "process {process} sees which claims of job {job} are over"
                )
            }
            Self::Distrusts { process } => {
                write!(f, "process {process} trusts its session no more")
            }
            Self::Revokes { process } => write!(f, "process {process} revokes its lease"),
            Self::Opens { process } => write!(f, "process {process} opens a session"),
            Self::LeaseEnds { session } => write!(f, "the lease of session {session} ends"),
            Self::ClaimEnds { job } => write!(f, "the lease of the claim of job {job} ends"),
        }
    }
}
