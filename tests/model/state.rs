//! The whole system, and each step that it can take.

use crate::{
    etcd::{
        CallId, Etcd, JOBS, Job, LANES, Member, Members, Outcome, PROCESSES, Revision, SESSIONS,
        Verb, name, needs_lease,
    },
    process::{Call, Fence, Process, Session, Stage, Told},
    request::{Body, Request},
    rules::{Rule, Rules},
};

/// The call of a request that nobody waits for.
const NOBODY: CallId = 0;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) etcd: Etcd,
    /// What was sent and has not arrived, in any order.
    pub(crate) network: Vec<Request>,
    pub(crate) processes: [Process; PROCESSES],
    /// How many answers have been lost.
    pub(crate) losses: u8,
    pub(crate) past: [Past; JOBS],
    /// What no later state would show.
    pub(crate) breach: Option<Breach>,
}

/// What has happened to a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Past {
    pub(crate) posted: u8,
    pub(crate) consumed: bool,
}

/// What went wrong in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Breach {
    /// A job that was owned got another owner.
    SecondOwner,
    /// A change carried a token that was not the owner's.
    StaleToken,
    /// A call was told that it succeeded, and had not happened.
    FalseSuccess,
    /// A call was told that it failed, and had happened, or did so later.
    FalseFailure,
    /// A call happened once more.
    Twice,
    /// A call that was told `Lost` happened later.
    ChangeAfterLost,
    /// A process took itself for the owner by a claim that it had seen to end.
    HeldWhatEnded,
}

impl State {
    /// Begins a call, which waits to be sent.
    pub(crate) fn begin(&mut self, process: usize, lane: usize, verb: Verb) {
        let it = &mut self.processes[process];
        it.begun += 1;
        // No call of any process has the number of another, nor of nobody.
        let id = it.begun * 2 + u8::from(process == 1);
        it.calls[lane] = Some(Call {
            id,
            verb,
            envelope: id,
            stage: Stage::Waiting,
            happened: false,
        });
    }

    /// Sends the waiting calls of some lanes in one envelope.
    pub(crate) fn send(&mut self, process: usize, lanes: [bool; LANES]) {
        let it = &mut self.processes[process];
        let Some(session) = it.session else { return };
        let mut members: Members = [None; LANES];
        for lane in 0..LANES {
            members[lane] = it.calls[lane]
                .filter(|_| lanes[lane])
                .map(|call| call.member());
        }
        for (lane, call) in it.calls.iter_mut().enumerate() {
            if let Some(call) = call
                && lanes[lane]
            {
                call.stage = Stage::Sent;
                call.envelope = name(&members);
            }
        }
        self.network.push(Request {
            process,
            session: session.id,
            guard: session.guard,
            awaited: true,
            body: Body::Write(members, [None; LANES]),
        });
    }

    /// Gives back an owner key of the session that belongs to nothing that the process knows of.
    pub(crate) fn give_back(&mut self, process: usize, job: Job, token: Revision) {
        let Some(session) = self.processes[process].session else {
            return;
        };
        let stray = Member {
            call: NOBODY,
            verb: Verb::Abandon { job, token },
        };
        let request = Request {
            process,
            session: session.id,
            guard: session.guard,
            awaited: false,
            body: Body::Write([Some(stray), None], [None; LANES]),
        };
        if !self.network.contains(&request) {
            self.network.push(request);
        }
    }

    /// Sends a fence.
    pub(crate) fn fence(&mut self, process: usize) {
        let it = &mut self.processes[process];
        let Some(session) = it.session else { return };
        it.fence = Fence::Sent;
        self.network.push(Request {
            process,
            session: session.id,
            guard: session.guard,
            awaited: true,
            body: Body::Fence,
        });
    }

    /// Nobody waits any longer for the answer of a request, which can still arrive.
    pub(crate) fn lose(&mut self, request: &Request) {
        self.losses += 1;
        for it in &mut self.network {
            if it == request {
                it.awaited = false;
                break;
            }
        }
        let process = &mut self.processes[request.process];
        match &request.body {
            Body::Fence => process.fence = Fence::Idle,
            Body::Write(members, _) => {
                for lane in (0..LANES).filter(|lane| members[*lane].is_some()) {
                    if let Some(call) = &mut process.calls[lane] {
                        call.stage = Stage::Doubt;
                    }
                }
            }
        }
    }

    /// A request arrives at etcd.
    pub(crate) fn arrive(&mut self, request: &Request, reads_follow: bool, rules: Rules) {
        if let Some(at) = self.network.iter().position(|it| it == request) {
            self.network.remove(at);
        }
        match &request.body {
            Body::Fence => {
                let known = self.etcd.fence(request.session, request.guard);
                if !request.awaited {
                    return;
                }
                self.processes[request.process].fence = Fence::Idle;
                let guard = self.etcd.guards[request.session];
                self.learn_guard(request.process, guard);
                if known && reads_follow {
                    self.processes[request.process].fence = Fence::Put;
                } else if known {
                    self.judge(request.process, rules);
                }
            }
            Body::Write(members, told) => self.write(request, members, *told, rules),
        }
    }

    /// An envelope arrives at etcd.
    fn write(
        &mut self,
        request: &Request,
        members: &Members,
        told: [Option<Told>; LANES],
        rules: Rules,
    ) {
        let guard = self.etcd.guards[request.session];
        let known = guard == request.guard || !rules.keep(Rule::GuardInEachWrite);
        if !known || (guard == 0 && needs_lease(members, rules)) {
            if request.awaited {
                self.refused_by_guard(request, members, guard);
            }
            return;
        }
        // All compares of an envelope are evaluated before any of its writes.
        let refused =
            members.map(|member| member.is_some_and(|it| !self.etcd.allows(it.verb, rules)));
        let alone = members.iter().flatten().count() == 1;
        if !(alone && refused.contains(&true)) {
            self.etcd
                .leave_receipt(request.session, members, refused, rules);
        }
        for (lane, member) in members.iter().enumerate() {
            let Some(member) = *member else { continue };
            let outcome = if refused[lane] {
                Outcome::Refused
            } else {
                self.watch(member, told[lane]);
                Outcome::Done(self.etcd.apply(member, request.session, rules))
            };
            if request.awaited {
                self.answer(request.process, lane, outcome, rules);
            }
        }
    }

    /// Notes what is about to be changed.
    fn watch(&mut self, member: Member, told: Option<Told>) {
        let job = member.verb.job();
        match member.verb {
            Verb::Post(_) => self.past[job].posted += 1,
            Verb::Consume { .. } => self.past[job].consumed = true,
            _ => {}
        }
        let keys = &self.etcd.jobs[job];
        let stale = |token| !keys.is_owned(token);
        if member.verb.settles().is_some_and(stale) {
            self.breach = Some(Breach::StaleToken);
        }
        if matches!(member.verb, Verb::Claim { .. }) && keys.owner.is_some() {
            self.breach = Some(Breach::SecondOwner);
        }
        match told {
            Some(Told::Done) => self.breach = Some(Breach::Twice),
            Some(Told::Failed) => self.breach = Some(Breach::FalseFailure),
            Some(Told::Lost) => self.breach = Some(Breach::ChangeAfterLost),
            Some(Told::Unknown) | None => {}
        }
        let mut calls = self
            .processes
            .iter_mut()
            .flat_map(|it| it.calls.iter_mut().flatten());
        if let Some(call) = calls.find(|call| call.id == member.call) {
            if call.happened {
                self.breach = Some(Breach::Twice);
            }
            call.happened = true;
        }
    }

    /// An envelope has changed nothing, for its guard was another.
    fn refused_by_guard(&mut self, request: &Request, members: &Members, guard: Revision) {
        let process = &mut self.processes[request.process];
        for lane in (0..LANES).filter(|lane| members[*lane].is_some()) {
            if let Some(call) = &mut process.calls[lane] {
                call.stage = Stage::Waiting;
            }
        }
        self.learn_guard(request.process, guard);
    }

    /// A process learns at which revision its guard is, or that it is gone.
    pub(crate) fn learn_guard(&mut self, process: usize, guard: Revision) {
        if guard == 0 {
            self.end_session(process);
        } else if let Some(session) = &mut self.processes[process].session {
            session.guard = session.guard.max(guard);
        }
    }

    /// Etcd answers a call.
    fn answer(&mut self, process: usize, lane: usize, outcome: Outcome, rules: Rules) {
        let Some(call) = &mut self.processes[process].calls[lane] else {
            return;
        };
        if let Verb::Claim { .. } = call.verb {
            call.stage = Stage::Answered(outcome);
        } else {
            self.hear(process, lane, outcome, rules);
        }
    }

    /// A process opens a session.
    pub(crate) fn open(&mut self, process: usize) {
        let it = &mut self.processes[process];
        let id = process * SESSIONS + it.opened;
        it.opened += 1;
        it.session = Some(Session {
            id,
            guard: 1,
            distrusted: false,
        });
        self.etcd.open(id);
    }

    /// The trust window of a session is over: its process uses it no more.
    pub(crate) fn distrust(&mut self, process: usize, rules: Rules) {
        if let Some(session) = &mut self.processes[process].session {
            session.distrusted = true;
        }
        if !rules.keep(Rule::RevokeBeforeLost) {
            self.end_session(process);
        }
    }

    /// A process revokes the lease of a session that it distrusts.
    pub(crate) fn revoke(&mut self, process: usize, rules: Rules) {
        if let Some(session) = self.processes[process].session {
            self.etcd.end(session.id, rules);
            self.end_session(process);
        }
    }

    /// A process knows that its session is gone.
    fn end_session(&mut self, process: usize) {
        let it = &mut self.processes[process];
        it.session = None;
        it.fence = Fence::Idle;
        it.holds = [0; JOBS];
        let again = it.opened < SESSIONS;
        for request in &mut self.network {
            request.awaited &= request.process != process;
        }
        for lane in 0..LANES {
            let Some(call) = self.processes[process].calls[lane] else {
                continue;
            };
            let unsent = call.stage == Stage::Waiting;
            match call.verb {
                Verb::Consume { .. } | Verb::Abandon { .. } | Verb::Trash { .. } => {
                    self.tell(process, lane, Told::Lost);
                }
                _ if unsent && again => {}
                _ if unsent => self.tell(process, lane, Told::Failed),
                Verb::Claim { .. } => self.tell(process, lane, Told::Lost),
                _ => self.tell(process, lane, Told::Unknown),
            }
        }
    }

    /// Forgets the requests that can change nothing any more, and whose answer nobody hears; and
    /// brings the rest into one order, as none is ahead of another.
    pub(crate) fn tidy(&mut self, rules: Rules) {
        let guards = self.etcd.guards;
        self.network.retain(|request| {
            request.awaited
                || guards[request.session] == request.guard
                || (matches!(request.body, Body::Write(..)) && !rules.keep(Rule::GuardInEachWrite))
        });
        self.network.sort_unstable();
    }
}
