//! What lies in etcd, and what a request does when it arrives there.
//!
//! Revisions are only ever compared for being equal, and each of them with one key only. So each
//! key counts its own, which leaves fewer states than one counter for all.

use std::fmt;

use crate::rules::{Rule, Rules};

pub(crate) const PROCESSES: usize = 2;
pub(crate) const JOBS: usize = 2;
/// How many sessions a process can have, one after the other.
pub(crate) const SESSIONS: usize = 2;
/// How many calls a process can have under way.
pub(crate) const LANES: usize = 2;

/// A job, by number. All jobs are posted under the same unique key.
pub(crate) type Job = usize;
/// A session, by number: no other process, and no later session, has the same.
pub(crate) type SessionId = usize;
/// A call of a process, by a number that is never used again. Also names its claim or its envelope.
pub(crate) type CallId = u8;
/// A create or mod revision of a key; 0 if the key is absent.
pub(crate) type Revision = u8;

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Etcd {
    /// The mod revision of each session's guard, and so whether its lease lives.
    pub(crate) guards: [Revision; PROCESSES * SESSIONS],
    pub(crate) jobs: [JobKeys; JOBS],
    /// The job that holds the unique key.
    pub(crate) unique: Option<Job>,
    /// What each session left in each slot.
    receipts: [[Option<Receipt>; LANES]; PROCESSES * SESSIONS],
}

/// The keys of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct JobKeys {
    /// The create revision of the posting.
    pub(crate) data: Revision,
    pub(crate) owner: Option<Owner>,
    pub(crate) trash: Option<Record>,
    /// For each session, whether a claim of it was released by force.
    marks: [bool; PROCESSES * SESSIONS],
    /// The last revisions that were given to a posting and to an owner key.
    last_data: Revision,
    last_token: Revision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) token: Revision,
    pub(crate) claim: CallId,
    pub(crate) session: SessionId,
}

/// What lies in the trash: it says who put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Record {
    /// The owner, whose claim had this token.
    OfClaim(Revision),
    /// A call that trashed a job which nobody held.
    OfCall(CallId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Receipt {
    envelope: CallId,
    /// For each lane, whether its member was refused.
    refused: [bool; LANES],
}

/// What somebody wants done, with what its transaction compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verb {
    Post(Job),
    /// A claim of the posting with the create revision `data`.
    Claim {
        job: Job,
        data: Revision,
    },
    Consume {
        job: Job,
        token: Revision,
    },
    Abandon {
        job: Job,
        token: Revision,
    },
    Trash {
        job: Job,
        token: Revision,
    },
    /// The trashing of a posting that nobody holds.
    TrashUnclaimed {
        job: Job,
        data: Revision,
    },
    /// An operator's release by force.
    Release {
        job: Job,
        token: Revision,
    },
    /// A restore of the record as it was seen.
    Restore {
        job: Job,
        record: Record,
    },
}

impl Verb {
    pub(crate) fn job(self) -> Job {
        match self {
            Self::Post(job)
            | Self::Claim { job, .. }
            | Self::Consume { job, .. }
            | Self::Abandon { job, .. }
            | Self::Trash { job, .. }
            | Self::TrashUnclaimed { job, .. }
            | Self::Release { job, .. }
            | Self::Restore { job, .. } => job,
        }
    }

    /// The token of the claim of our own that this ends.
    pub(crate) fn settles(self) -> Option<Revision> {
        match self {
            Self::Consume { token, .. }
            | Self::Abandon { token, .. }
            | Self::Trash { token, .. } => Some(token),
            _ => None,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post(job) => write!(f, "post job {job}"),
            Self::Claim { job, .. } => write!(f, "claim job {job}"),
            Self::Consume { job, token } => write!(f, "consume job {job} (token {token})"),
            Self::Abandon { job, token } => write!(f, "abandon job {job} (token {token})"),
            Self::Trash { job, token } => write!(f, "trash job {job} (token {token})"),
            Self::TrashUnclaimed { job, .. } => write!(f, "trash unclaimed job {job}"),
            Self::Release { job, token } => write!(f, "release job {job} (token {token})"),
            Self::Restore { job, .. } => write!(f, "restore job {job}"),
        }
    }
}

/// One verb in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) call: CallId,
    pub(crate) verb: Verb,
}

/// The members of an envelope, each by the lane that its call takes up.
pub(crate) type Members = [Option<Member>; LANES];

/// The envelope's name: its first call.
pub(crate) fn name(members: &Members) -> CallId {
    members
        .iter()
        .flatten()
        .map(|member| member.call)
        .min()
        .unwrap_or_default()
}

/// What came of one verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It was done; for a claim, with this token.
    Done(Revision),
    /// Its compares failed.
    Refused,
}

/// What the reads after a fence tell of a call whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It happened; for a claim, with this token.
    Happened(Revision),
    /// The claim that it is about is over.
    Lost,
    /// It has not happened: it can be sent again.
    Not,
    /// There is nothing to tell it by.
    Unknown,
}

impl Etcd {
    /// Has a job on the board from the start.
    pub(crate) fn post_first(&mut self, job: Job) {
        let keys = &mut self.jobs[job];
        keys.last_data = 1;
        keys.data = 1;
        self.unique = Some(job);
    }

    /// Grants a lease and puts the guard of a new session.
    pub(crate) fn open(&mut self, session: SessionId) {
        self.guards[session] = 1;
    }

    /// Ends a lease, and with it every key on it.
    pub(crate) fn end(&mut self, session: SessionId, rules: Rules) {
        self.guards[session] = 0;
        self.receipts[session] = [None; LANES];
        for job in &mut self.jobs {
            job.marks[session] = false;
            if rules.keep(Rule::ClaimOnLeaseOfGuard) {
                job.owner = job.owner.filter(|owner| owner.session != session);
            }
        }
    }

    /// Puts the guard anew if it is as known.
    pub(crate) fn fence(&mut self, session: SessionId, guard: Revision) -> bool {
        let known = self.guards[session] == guard;
        if known {
            self.guards[session] += 1;
        }
        known
    }

    /// Whether the compares of a verb hold.
    pub(crate) fn allows(&self, verb: Verb, rules: Rules) -> bool {
        let keys = &self.jobs[verb.job()];
        let absent = keys.data == 0 && keys.owner.is_none();
        match verb {
            Verb::Post(_) => absent && self.unique.is_none(),
            Verb::Claim { data, .. } => {
                (keys.data == data || !rules.keep(Rule::PostingInClaim)) && keys.owner.is_none()
            }
            Verb::Consume { token, .. } | Verb::Abandon { token, .. } => {
                keys.is_owned(token) || !rules.keep(Rule::TokenInEachSettling)
            }
            Verb::Trash { token, .. } => {
                (keys.is_owned(token) || !rules.keep(Rule::TokenInEachSettling))
                    && keys.trash.is_none()
            }
            Verb::Release { token, .. } => keys.is_owned(token),
            Verb::TrashUnclaimed { data, .. } => {
                keys.data == data && keys.owner.is_none() && keys.trash.is_none()
            }
            Verb::Restore { job, record } => {
                let free = self.unique.is_none_or(|holder| holder == job);
                keys.trash == Some(record)
                    && absent
                    && (free || !rules.keep(Rule::UniqueKeyInRestore))
            }
        }
    }

    /// Does what a verb wants, whose compares held; gives the token of a claim.
    pub(crate) fn apply(&mut self, member: Member, session: SessionId, rules: Rules) -> Revision {
        let job = member.verb.job();
        let keys = &mut self.jobs[job];
        match member.verb {
            Verb::Post(_) | Verb::Restore { .. } => {
                keys.last_data += 1;
                keys.data = keys.last_data;
                keys.trash = None;
                self.unique = Some(job);
            }
            Verb::Claim { .. } => {
                keys.last_token += 1;
                keys.owner = Some(Owner {
                    token: keys.last_token,
                    claim: member.call,
                    session,
                });
                return keys.last_token;
            }
            Verb::Consume { .. } => self.take_off(job),
            Verb::Abandon { .. } => keys.owner = None,
            Verb::Trash { token, .. } => {
                keys.trash = Some(Record::OfClaim(token));
                self.take_off(job);
            }
            Verb::TrashUnclaimed { .. } => {
                keys.trash = Some(Record::OfCall(member.call));
                self.take_off(job);
            }
            Verb::Release { .. } => {
                if let Some(owner) = keys.owner.take()
                    && rules.keep(Rule::MarkOfRelease)
                {
                    keys.marks[owner.session] = true;
                }
            }
        }
        0
    }

    /// Leaves the receipt of an envelope, in the slot of its first lane.
    pub(crate) fn leave_receipt(
        &mut self,
        session: SessionId,
        members: &Members,
        refused: [bool; LANES],
        rules: Rules,
    ) {
        if let Some(slot) = members.iter().position(Option::is_some)
            && leaves_receipt(members, rules)
        {
            self.receipts[session][slot] = Some(Receipt {
                envelope: name(members),
                refused: refused.map(|refused| refused && rules.keep(Rule::NoteOfRefused)),
            });
        }
    }

    /// Judges a call whose answer was lost, sent last in the envelope of this name.
    pub(crate) fn judge(
        &self,
        member: Member,
        envelope: CallId,
        lane: usize,
        session: SessionId,
    ) -> Verdict {
        let keys = &self.jobs[member.verb.job()];
        let mut receipts = self.receipts[session].iter().flatten();
        let receipt =
            receipts.any(|receipt| receipt.envelope == envelope && !receipt.refused[lane]);
        match member.verb {
            Verb::Post(_) if keys.data != 0 || receipt => Verdict::Happened(0),
            Verb::Restore { .. } if receipt => Verdict::Happened(0),
            Verb::Post(_) | Verb::Restore { .. } => Verdict::Not,
            Verb::Claim { .. } => match keys.owner {
                Some(owner) if owner.claim == member.call => Verdict::Happened(owner.token),
                _ if keys.marks[session] => Verdict::Lost,
                _ => Verdict::Not,
            },
            Verb::TrashUnclaimed { data, .. } => {
                if receipt || keys.trash == Some(Record::OfCall(member.call)) {
                    Verdict::Happened(0)
                } else if keys.data == data {
                    Verdict::Not
                } else {
                    Verdict::Unknown
                }
            }
            Verb::Trash { token, .. } if keys.trash == Some(Record::OfClaim(token)) => {
                Verdict::Happened(0)
            }
            Verb::Consume { token, .. }
            | Verb::Abandon { token, .. }
            | Verb::Trash { token, .. }
            | Verb::Release { token, .. }
                if keys.is_owned(token) =>
            {
                Verdict::Not
            }
            Verb::Abandon { .. } | Verb::Release { .. } => Verdict::Happened(0),
            Verb::Consume { .. } if keys.data == 0 && !keys.marks[session] => Verdict::Happened(0),
            Verb::Consume { .. } | Verb::Trash { .. } => Verdict::Lost,
        }
    }

    /// Deletes the keys of a job, and the unique key.
    fn take_off(&mut self, job: Job) {
        self.jobs[job].data = 0;
        self.jobs[job].owner = None;
        self.unique = self.unique.filter(|holder| *holder != job);
    }
}

impl JobKeys {
    pub(crate) fn is_owned(&self, token: Revision) -> bool {
        self.owner.is_some_and(|owner| owner.token == token)
    }

    /// The token of the last claim that is over.
    pub(crate) fn last_ended(&self) -> Revision {
        self.owner.map_or(self.last_token, |owner| owner.token - 1)
    }

    /// Whether a claim of this session was released by force.
    pub(crate) fn is_marked(&self, session: SessionId) -> bool {
        self.marks[session]
    }
}

/// Whether an envelope puts a key on the lease of its session: etcd refuses it without.
pub(crate) fn needs_lease(members: &Members, rules: Rules) -> bool {
    let claims = |member: &Member| matches!(member.verb, Verb::Claim { .. });
    leaves_receipt(members, rules) || members.iter().flatten().any(claims)
}

/// Whether others can remove what a member writes, so that only a receipt tells that it happened.
fn leaves_receipt(members: &Members, rules: Rules) -> bool {
    members.iter().flatten().any(|member| match member.verb {
        Verb::Post(_) => rules.keep(Rule::ReceiptOfPost),
        Verb::Restore { .. } => rules.keep(Rule::ReceiptOfRestore),
        Verb::TrashUnclaimed { .. } => true,
        _ => false,
    })
}
