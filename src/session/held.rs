//! Claiming a job in a session, and what its holder can do.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Session, WriteError,
    claims::{Claims, Sighting, Turn},
    writer,
};
use crate::{
    protocol::{
        abandon::Abandon,
        claim::{Claim, ClaimOf, ClaimRefusal},
        consume::Consume,
        envelope::Guard,
        holding::{Hold, NotHeld},
        keys::{JobId, Keyspace},
        state::{SeenState, StateRecord},
        trash::{Trash, TrashRefusal},
        verb::Verb,
    },
    store::Revision,
};

/// A job that a session holds. Dropping it unsettled gives the job back, as if it had not been
/// claimed; the end of the session does so too.
#[derive(Debug)]
pub(crate) struct Held {
    session: Arc<Session>,
    hold: Hold,
    lost: CancellationToken,
    state: StateRecord,
}

/// What is to be claimed.
#[derive(Debug)]
pub(crate) struct ClaimRequest<'a> {
    pub(crate) job: JobId,
    /// The revision at which the posting came to be.
    pub(crate) posted: Revision,
    /// The job's state as it was seen last.
    pub(crate) seen: &'a SeenState,
    pub(crate) who: &'a str,
    pub(crate) now: DateTime<Utc>,
}

/// A verb that can end a hold.
pub(crate) trait Settle: Verb {
    /// What its outcome means for the hold.
    fn ending(outcome: &Self::Outcome) -> Ending;
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was settled, at this revision.
    Settled(Revision),
    /// It is over.
    Lost,
    /// It still stands.
    Stands,
}

impl Session {
    /// Claims a job, or says why it could not.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        request: &ClaimRequest<'_>,
        deadline: Instant,
    ) -> Result<Result<Held, ClaimRefusal>, WriteError> {
        let job = request.job;
        let turn = self.turn(job, deadline).await?;
        let claim = self.random.uuid();
        let ClaimRequest {
            posted,
            seen,
            who,
            now,
            ..
        } = *request;
        let of = ClaimOf {
            job,
            posted,
            seen,
            who,
            claim,
            now,
        };
        let verb = Claim::new(&self.keys, &self.guard, &of);
        let state = verb.next_state().clone();
        let back = state.returned(&seen.record);
        self.claims.begin(job, claim);
        let pending = Pending {
            claims: Arc::clone(&self.claims),
            job,
            _turn: turn,
        };
        let session = Arc::clone(self);
        let (tell, told) = oneshot::channel();
        let then = move |outcome: Result<Result<Revision, ClaimRefusal>, WriteError>| {
            let answer = outcome.map(|outcome| {
                outcome.map(|token| {
                    let hold = Hold {
                        job,
                        posted,
                        token,
                        claim: Some(claim),
                    };
                    let lost = pending.claims.hold(hold, back);
                    Held {
                        session,
                        hold,
                        lost,
                        state,
                    }
                })
            });
            drop(pending);
            // If nobody listens any more, the job goes back as the answer is dropped.
            _ = tell.send(answer);
        };
        let ticket = self.writer.hand_in(verb, deadline, then).await;
        writer::wait(ticket, told, deadline).await
    }

    /// Sends a verb that can end a hold, and keeps the table of claims true.
    pub(crate) async fn settle<V: Settle>(
        &self,
        job: JobId,
        token: Revision,
        verb: impl FnOnce(&Keyspace, &Guard) -> V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        let turn = self.turn(job, deadline).await?;
        self.settle_in_turn(turn, job, token, verb(&self.keys, &self.guard), deadline)
            .await
    }

    async fn settle_in_turn<V: Settle>(
        &self,
        turn: Turn,
        job: JobId,
        token: Revision,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        let claims = Arc::clone(&self.claims);
        let (tell, told) = oneshot::channel();
        let then = move |outcome: Result<V::Outcome, WriteError>| {
            match outcome.as_ref().map(V::ending) {
                Ok(Ending::Settled(at)) => claims.settle(job, token, at),
                Ok(Ending::Lost) => claims.lose(job, token),
                Ok(Ending::Stands) | Err(_) => {}
            }
            drop(turn);
            _ = tell.send(outcome);
        };
        let ticket = self.writer.hand_in(verb, deadline, then).await;
        writer::wait(ticket, told, deadline).await
    }

    /// Judges what the board's view shows of a job's owner key. A key of this session that belongs
    /// to no claim is given back; `state` is then the job's.
    pub(crate) fn see(
        self: &Arc<Self>,
        job: JobId,
        posted: Revision,
        sighting: Sighting,
        state: Option<&StateRecord>,
    ) {
        if let Some(token) = self.claims.see(job, sighting) {
            tracing::warn!(%job, %token, "giving back a claim that nobody waits for");
            let claim = sighting
                .owner
                .and_then(|(_, mark)| mark)
                .map(|mark| mark.claim);
            let hold = Hold {
                job,
                posted,
                token,
                claim,
            };
            let state = state.map(StateRecord::unclaimed).unwrap_or_default();
            self.spawn_give_back(hold, Some(state));
        }
    }

    async fn turn(&self, job: JobId, deadline: Instant) -> Result<Turn, WriteError> {
        timeout_at(deadline, self.claims.turn(job))
            .await
            .map_err(|_late| {
                WriteError::Unreached("an earlier verb for the job has no answer yet".to_owned())
            })
    }

    /// Gives back all that is held, as if it had not been claimed, as far as that can be done until
    /// `deadline`.
    pub(super) async fn give_all_back(&self, deadline: Instant) {
        let held = self.claims.all_held();
        let giving = held
            .iter()
            .map(|(hold, _)| self.give_back(*hold, None, deadline));
        join_all(giving).await;
    }

    /// Gives a job back. Without a `state` it must still be held, and is given back as if it had
    /// not been claimed.
    async fn give_back(&self, hold: Hold, state: Option<StateRecord>, deadline: Instant) {
        let Ok(turn) = self.turn(hold.job, deadline).await else {
            return;
        };
        let state = match state {
            Some(state) => Some(state),
            // It may have been settled while this waited for its turn.
            None => match self.claims.held(hold.job, hold.token) {
                Some((_, back)) => Some(back),
                None => return,
            },
        };
        let verb = Abandon::new(&self.keys, hold, state);
        let given = self
            .settle_in_turn(turn, hold.job, hold.token, verb, deadline)
            .await;
        tracing::debug!(job = %hold.job, ?given, "given back");
    }

    /// Gives a job back in a task of the session's own; needs no runtime where it is called.
    fn spawn_give_back(self: &Arc<Self>, hold: Hold, state: Option<StateRecord>) {
        let session = Arc::clone(self);
        let giving_back = async move {
            let deadline = Instant::now() + session.settings.deadline;
            session.give_back(hold, state, deadline).await;
        };
        self.tasks.spawn_on(giving_back, &self.runtime);
    }
}

impl Held {
    /// What its owner's verbs compare.
    pub(crate) const fn hold(&self) -> Hold {
        self.hold
    }

    /// Fires when the job is no longer held.
    pub(crate) const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Whether the job is held, for all that is known.
    pub(crate) fn is_held(&self) -> bool {
        !self.lost.is_cancelled() && self.session.is_trusted()
    }

    /// The job's state as this claim wrote it.
    pub(crate) const fn state(&self) -> &StateRecord {
        &self.state
    }

    /// The session that holds it.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self
            .session
            .claims
            .held(self.hold.job, self.hold.token)
            .is_some()
        {
            self.session.spawn_give_back(self.hold, None);
        }
    }
}

/// A claim that was entered and has no answer yet. Dropping it takes it out if it was not made.
struct Pending {
    claims: Arc<Claims>,
    job: JobId,
    _turn: Turn,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.claims.refuse(self.job);
    }
}

impl Settle for Consume {
    fn ending(outcome: &Self::Outcome) -> Ending {
        ending(outcome)
    }
}

impl Settle for Abandon {
    fn ending(outcome: &Self::Outcome) -> Ending {
        ending(outcome)
    }
}

impl Settle for Trash {
    fn ending(outcome: &Self::Outcome) -> Ending {
        match outcome {
            Ok(at) => Ending::Settled(*at),
            Err(TrashRefusal::NotHeld(_)) => Ending::Lost,
            Err(TrashRefusal::PlaceTaken) => Ending::Stands,
        }
    }
}

fn ending(outcome: &Result<Revision, NotHeld>) -> Ending {
    outcome
        .as_ref()
        .map_or(Ending::Lost, |at| Ending::Settled(*at))
}
