//! The model: who can do what, and what must always be true.

use stateright::{Model, Property};

use crate::{
    action::Action,
    etcd::{JOBS, Job, LANES, PROCESSES, SESSIONS, Verb},
    process::{Fence, Process, Stage},
    rules::{Rule, Rules},
    state::{Breach, State},
};

/// Shows that what is explored gets anywhere. It must happen sometimes, the others are true always.
pub(crate) const DONE: &str = "a job is consumed in spite of all losses";

pub(crate) const ONE_OWNER: &str = "a job has one owner at most, and only a job has one";
pub(crate) const NO_RETURN: &str = "a consumed job never comes back";
pub(crate) const POSTED_ONCE: &str = "a post is on the board once at most";
pub(crate) const UNIQUE: &str = "two jobs with one unique key are never both on the board";
pub(crate) const NO_STALE_CHANGE: &str = "no change carries a stale token";
pub(crate) const TRUE_SUCCESS: &str = "a call that was told of a success has happened";
pub(crate) const TRUE_FAILURE: &str = "a call that was told of a failure never happens";
pub(crate) const ONCE: &str = "a call happens once at most";
pub(crate) const LOST_IS_FINAL: &str = "who was told `Lost` changes nothing any more";
pub(crate) const LEASE_IS_GONE: &str = "no session is over before its lease is";
pub(crate) const ENDS_ARE_NOTED: &str = "who saw his claim end does not take himself for its owner";
pub(crate) const HOLDERS_OWN: &str = "who was told that he holds a job is its owner";

/// What is explored: which verbs, how many calls, how much trouble.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) rules: Rules,
    pub(crate) verbs: &'static [Kind],
    /// How many calls each process begins.
    pub(crate) calls: [u8; PROCESSES],
    /// How many of them it has under way at a time.
    pub(crate) lanes: [usize; PROCESSES],
    /// Whether a post and a claim can be sent in one envelope.
    pub(crate) groups: bool,
    /// Whether the reads follow the fence, and do not ride in it.
    pub(crate) reads_follow: bool,
    /// Whether the processes look at what becomes of their claims.
    pub(crate) views: bool,
    /// How many answers are lost, to calls and to fences.
    pub(crate) losses: u8,
    /// Whether each job is on the board from the start.
    pub(crate) posted: [bool; JOBS],
}

/// A verb, of whatever job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Post,
    Claim,
    Consume,
    Abandon,
    Trash,
    TrashUnclaimed,
    Release,
    Restore,
}

impl Model for Setting {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::default();
        for job in (0..JOBS).filter(|job| self.posted[*job]) {
            state.etcd.post_first(job);
            state.past[job].posted = 1;
        }
        for process in 0..PROCESSES {
            state.open(process);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.breach.is_some() {
            return;
        }
        for process in 0..PROCESSES {
            self.calls(state, process, actions);
            self.answers(state, process, actions);
            self.session(state, process, actions);
        }
        for (at, request) in state.network.iter().enumerate() {
            if at > 0 && state.network[at - 1] == *request {
                continue;
            }
            actions.push(Action::Arrives(request.clone()));
            if request.awaited && state.losses < self.losses {
                actions.push(Action::AnswerLost(request.clone()));
            }
        }
        for (session, guard) in state.etcd.guards.iter().enumerate() {
            if *guard != 0 {
                actions.push(Action::LeaseEnds { session });
            }
        }
        if !self.rules.keep(Rule::ClaimOnLeaseOfGuard) {
            for job in (0..JOBS).filter(|job| state.etcd.jobs[*job].owner.is_some()) {
                actions.push(Action::ClaimEnds { job });
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Begin { process, verb } => {
                let lane = free_lane(&next.processes[process])?;
                next.begin(process, lane, verb);
                next.send(process, [lane == 0, lane == 1]);
            }
            Action::BeginTogether { process, verbs } => {
                next.begin(process, 0, verbs[0]);
                next.begin(process, 1, verbs[1]);
                next.send(process, [true, true]);
            }
            Action::SendAgain { process, lane, .. } => next.send(process, [lane == 0, lane == 1]),
            Action::Arrives(request) => next.arrive(&request, self.reads_follow, self.rules),
            Action::AnswerLost(request) => next.lose(&request),
            Action::Hears {
                process,
                lane,
                outcome,
            } => next.hear(process, lane, outcome, self.rules),
            Action::Fences { process } => next.fence(process),
            Action::Reads { process } => next.read(process, self.rules),
            Action::GivesBack {
                process,
                job,
                token,
            } => next.give_back(process, job, token),
            Action::Sees { process, job } => next.see(process, job),
            Action::Distrusts { process } => next.distrust(process, self.rules),
            Action::Revokes { process } => next.revoke(process, self.rules),
            Action::Opens { process } => next.open(process),
            Action::LeaseEnds { session } => next.etcd.end(session, self.rules),
            Action::ClaimEnds { job } => next.etcd.jobs[job].owner = None,
        }
        next.tidy(self.rules);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::sometimes(DONE, |setting, state: &State| {
                state.past.iter().any(|past| past.consumed) && state.losses == setting.losses
            }),
            Property::always(ONE_OWNER, |_, state: &State| {
                let mut jobs = state.etcd.jobs.iter();
                state.breach != Some(Breach::SecondOwner)
                    && jobs.all(|keys| keys.owner.is_none() || keys.data != 0)
            }),
            Property::always(NO_RETURN, |_, state: &State| {
                let mut jobs = state.etcd.jobs.iter().zip(&state.past);
                jobs.all(|(keys, past)| !past.consumed || (keys.data == 0 && keys.trash.is_none()))
            }),
            Property::always(POSTED_ONCE, |_, state: &State| {
                state.past.iter().all(|past| past.posted <= 1)
            }),
            Property::always(UNIQUE, |_, state: &State| {
                let jobs = state.etcd.jobs.iter();
                jobs.filter(|keys| keys.data != 0).count() <= 1
            }),
            Property::always(NO_STALE_CHANGE, |_, state: &State| {
                state.breach != Some(Breach::StaleToken)
            }),
            Property::always(TRUE_SUCCESS, |_, state: &State| {
                state.breach != Some(Breach::FalseSuccess)
            }),
            Property::always(TRUE_FAILURE, |_, state: &State| {
                state.breach != Some(Breach::FalseFailure)
            }),
            Property::always(ONCE, |_, state: &State| state.breach != Some(Breach::Twice)),
            Property::always(LOST_IS_FINAL, |_, state: &State| {
                state.breach != Some(Breach::ChangeAfterLost)
            }),
            Property::always(LEASE_IS_GONE, |_, state: &State| {
                let sessions = state.processes.iter().map(|process| process.session);
                sessions.enumerate().all(|(process, session)| {
                    let mut all = process * SESSIONS..(process + 1) * SESSIONS;
                    all.all(|id| {
                        state.etcd.guards[id] == 0 || session.is_some_and(|it| it.id == id)
                    })
                })
            }),
            Property::always(ENDS_ARE_NOTED, |_, state: &State| {
                state.breach != Some(Breach::HeldWhatEnded)
            }),
            Property::always(HOLDERS_OWN, |_, state: &State| {
                let mut processes = state.processes.iter();
                processes
                    .all(|process| (0..JOBS).all(|job| owns_what_it_holds(state, process, job)))
            }),
        ]
    }
}

impl Setting {
    /// What a process can begin, as it sees the board now. It can have changed when that arrives.
    fn calls(&self, state: &State, process: usize, actions: &mut Vec<Action>) {
        let it = &state.processes[process];
        if it.trusted().is_none() || !it.may_send() {
            return;
        }
        let left = self.calls[process] - it.begun;
        let verbs = self.verbs(state, process);
        let busy = it.calls.iter().flatten().count();
        if left > 0 && busy < self.lanes[process] {
            for verb in &verbs {
                actions.push(Action::Begin {
                    process,
                    verb: *verb,
                });
            }
        }
        if left > 1 && self.groups && busy == 0 && self.lanes[process] == LANES {
            for post in verbs.iter().filter(|verb| matches!(verb, Verb::Post(_))) {
                for claim in verbs
                    .iter()
                    .filter(|verb| matches!(verb, Verb::Claim { .. }))
                {
                    let verbs = [*post, *claim];
                    actions.push(Action::BeginTogether { process, verbs });
                }
            }
        }
        for (lane, call) in it.calls.iter().enumerate() {
            if let Some(call) = call.filter(|call| call.stage == Stage::Waiting) {
                let verb = call.verb;
                actions.push(Action::SendAgain {
                    process,
                    verb,
                    lane,
                });
            }
        }
    }

    /// The verbs that make sense to a process.
    fn verbs(&self, state: &State, process: usize) -> Vec<Verb> {
        let it = &state.processes[process];
        let session = it.session.map(|session| session.id);
        let mut verbs = Vec::new();
        for (job, keys) in state.etcd.jobs.iter().enumerate() {
            let mut calls = it.calls.iter().flatten();
            if calls.any(|call| call.verb.job() == job) && self.rules.keep(Rule::OneVerbForEachJob)
            {
                continue;
            }
            // Each process posts the job that has its number, once.
            if job == process && it.begun == 0 && !self.posted[job] {
                verbs.push(Verb::Post(job));
            }
            let (data, token) = (keys.data, it.holds[job]);
            if token != 0 {
                verbs.push(Verb::Consume { job, token });
                verbs.push(Verb::Abandon { job, token });
                verbs.push(Verb::Trash { job, token });
            } else if data != 0 && keys.owner.is_none() {
                verbs.push(Verb::Claim { job, data });
                verbs.push(Verb::TrashUnclaimed { job, data });
            }
            if let Some(owner) = keys.owner.filter(|owner| Some(owner.session) != session) {
                let token = owner.token;
                verbs.push(Verb::Release { job, token });
            }
            if let Some(record) = keys.trash {
                verbs.push(Verb::Restore { job, record });
            }
        }
        verbs.retain(|verb| {
            let mut calls = it.calls.iter().flatten();
            self.verbs.contains(&Kind::of(*verb)) && calls.all(|call| call.verb != *verb)
        });
        verbs
    }

    /// How a process gets to its answers.
    fn answers(&self, state: &State, process: usize, actions: &mut Vec<Action>) {
        let it = &state.processes[process];
        if it.trusted().is_none() {
            return;
        }
        for (lane, call) in it.calls.iter().enumerate() {
            if let Some(Stage::Answered(outcome)) = call.map(|call| call.stage) {
                actions.push(Action::Hears {
                    process,
                    lane,
                    outcome,
                });
            }
        }
        let doubts = it.doubts() && it.fence == Fence::Idle;
        if doubts && self.rules.keep(Rule::FenceBeforeReading) {
            actions.push(Action::Fences { process });
        } else if doubts || it.fence == Fence::Put {
            actions.push(Action::Reads { process });
        }
    }

    /// What a process does with its session, and for what it does not know on its lease.
    fn session(&self, state: &State, process: usize, actions: &mut Vec<Action>) {
        let it = &state.processes[process];
        let Some(session) = it.session else {
            if it.opened < SESSIONS {
                actions.push(Action::Opens { process });
            }
            return;
        };
        if session.distrusted {
            actions.push(Action::Revokes { process });
            return;
        }
        actions.push(Action::Distrusts { process });
        for (job, keys) in state.etcd.jobs.iter().enumerate() {
            if self.views && keys.last_ended() != 0 {
                actions.push(Action::Sees { process, job });
            }
            let Some(owner) = keys.owner.filter(|owner| owner.session == session.id) else {
                continue;
            };
            let mut calls = it.calls.iter().flatten();
            let pending = calls.any(|call| call.verb.job() == job);
            if owner.token != it.holds[job]
                && !(pending && self.rules.keep(Rule::PendingClaimsAreKnown))
            {
                let token = owner.token;
                actions.push(Action::GivesBack {
                    process,
                    job,
                    token,
                });
            }
        }
    }
}

impl Kind {
    const fn of(verb: Verb) -> Self {
        match verb {
            Verb::Post(_) => Self::Post,
            Verb::Claim { .. } => Self::Claim,
            Verb::Consume { .. } => Self::Consume,
            Verb::Abandon { .. } => Self::Abandon,
            Verb::Trash { .. } => Self::Trash,
            Verb::TrashUnclaimed { .. } => Self::TrashUnclaimed,
            Verb::Release { .. } => Self::Release,
            Verb::Restore { .. } => Self::Restore,
        }
    }
}

fn free_lane(process: &Process) -> Option<usize> {
    process.calls.iter().position(Option::is_none)
}

/// Whether a process that was told that it holds a job is right; or could not know better: its
/// session is gone, or an operator released its claim, or a verb of its own is to end it.
fn owns_what_it_holds(state: &State, process: &Process, job: Job) -> bool {
    let keys = &state.etcd.jobs[job];
    let (Some(session), token) = (process.session, process.holds[job]) else {
        return true;
    };
    let mut calls = process.calls.iter().flatten();
    token == 0
        || keys.is_owned(token)
        || state.etcd.guards[session.id] == 0
        || keys.is_marked(session.id)
        || calls.any(|call| call.verb.job() == job && call.verb.settles().is_some())
}
