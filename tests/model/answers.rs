//! How a process gets to its answers, and what it tells its callers.

use crate::{
    etcd::{Job, LANES, Outcome, Revision, Verb, Verdict},
    process::{Fence, Stage, Told},
    request::Body,
    rules::{Rule, Rules},
    state::{Breach, State},
};

impl State {
    /// A process hears the answer of a call.
    pub(crate) fn hear(&mut self, process: usize, lane: usize, outcome: Outcome, rules: Rules) {
        let Some(call) = self.processes[process].calls[lane] else {
            return;
        };
        match (outcome, call.verb) {
            (Outcome::Done(token), Verb::Claim { job, .. }) => {
                self.hold(process, job, token, rules);
                self.tell(process, lane, Told::Done);
            }
            (Outcome::Done(_), _) => self.tell(process, lane, Told::Done),
            (Outcome::Refused, verb) if verb.settles().is_some() => {
                self.tell(process, lane, Told::Lost);
            }
            (Outcome::Refused, _) => self.tell(process, lane, Told::Failed),
        }
    }

    /// A process takes itself for the owner of a job.
    fn hold(&mut self, process: usize, job: Job, token: Revision, rules: Rules) {
        let it = &mut self.processes[process];
        let over = token <= it.ended[job];
        if over && rules.keep(Rule::EndsAreKeptForTheAnswer) {
            return;
        }
        it.holds[job] = token;
        // That a session has ended is told otherwise.
        if over
            && it
                .session
                .is_some_and(|session| self.etcd.guards[session.id] != 0)
        {
            self.breach = Some(Breach::HeldWhatEnded);
        }
    }

    /// A process sees in its view which claims of a job are over.
    pub(crate) fn see(&mut self, process: usize, job: Job) {
        let ended = self.etcd.jobs[job].last_ended();
        let it = &mut self.processes[process];
        let mut calls = it.calls.iter().flatten();
        if calls.any(|call| matches!(call.verb, Verb::Claim { job: claimed, .. } if claimed == job))
        {
            it.ended[job] = ended;
        }
        if it.holds[job] <= ended {
            it.holds[job] = 0;
        }
    }

    /// Reads what became of the calls whose answer was lost.
    pub(crate) fn read(&mut self, process: usize, rules: Rules) {
        let Some(session) = self.processes[process].session else {
            return;
        };
        self.processes[process].fence = Fence::Idle;
        let guard = self.etcd.guards[session.id];
        if guard != session.guard && rules.keep(Rule::GuardInEachRead) {
            self.learn_guard(process, guard);
        } else {
            self.judge(process, rules);
        }
    }

    /// Ends the doubts of a process by what etcd shows now.
    pub(crate) fn judge(&mut self, process: usize, rules: Rules) {
        let Some(session) = self.processes[process].session else {
            return;
        };
        for lane in 0..LANES {
            let Some(call) = self.processes[process].calls[lane] else {
                continue;
            };
            if call.stage != Stage::Doubt {
                continue;
            }
            match self
                .etcd
                .judge(call.member(), call.envelope, lane, session.id)
            {
                Verdict::Happened(token) => self.hear(process, lane, Outcome::Done(token), rules),
                Verdict::Lost => self.tell(process, lane, Told::Lost),
                Verdict::Unknown => self.tell(process, lane, Told::Unknown),
                Verdict::Not => {
                    if let Some(call) = &mut self.processes[process].calls[lane] {
                        call.stage = Stage::Waiting;
                    }
                }
            }
        }
    }

    /// Answers a call.
    pub(crate) fn tell(&mut self, process: usize, lane: usize, told: Told) {
        let Some(call) = self.processes[process].calls[lane].take() else {
            return;
        };
        if call.verb.settles().is_some() {
            self.processes[process].holds[call.verb.job()] = 0;
        }
        if let Verb::Claim { job, .. } = call.verb {
            self.processes[process].ended[job] = 0;
        }
        // An abandon and a release say that a claim is over, whoever ended it.
        let is_over = match call.verb {
            Verb::Abandon { job, token } | Verb::Release { job, token } => {
                !self.etcd.jobs[job].is_owned(token)
            }
            _ => call.happened,
        };
        match told {
            Told::Done if !is_over => self.breach = Some(Breach::FalseSuccess),
            Told::Failed if call.happened => self.breach = Some(Breach::FalseFailure),
            _ => {}
        }
        for request in &mut self.network {
            if let Body::Write(members, about) = &mut request.body
                && members[lane].is_some_and(|member| member.call == call.id)
            {
                about[lane] = Some(told);
            }
        }
    }
}
