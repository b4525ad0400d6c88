//! Claiming a job in a session, and what its holder can do.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    Session, WriteError,
    backoff::Backoff,
    claims::{Claims, Sighting, Signals, Stray, Turn},
    own::Stake,
    settle::{Ending, Settle},
};
use crate::{
    protocol::{
        abandon::Abandon,
        claim::{Claim, ClaimOf, ClaimRefusal},
        envelope::Guard,
        holding::{Hold, NotHeld},
        keys::{JobId, Keyspace},
        state::{SeenState, StateRecord},
    },
    store::Revision,
};

/// A job that a session holds. Dropping it unsettled gives the job back, as if it had not been
/// claimed; the end of the session does so too.
#[derive(Debug)]
pub(crate) struct Held {
    session: Arc<Session>,
    hold: Hold,
    signals: Signals,
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

impl Session {
    /// Claims a job, or says why it could not. `stake` is held until that is known, and as long as
    /// the claim stands.
    pub(super) async fn claim(
        self: &Arc<Self>,
        request: &ClaimRequest<'_>,
        stake: Stake,
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
        self.claims.begin(job, claim, stake);
        let pending = Pending {
            claims: Arc::clone(&self.claims),
            job,
            _turn: turn,
        };
        // After it was entered: whoever closes the session looks at what is entered after that was said.
        if self.closing.load(SeqCst) {
            return Err(WriteError::NotSent);
        }
        let session = Arc::clone(self);
        let then = move |outcome: Result<Result<Revision, ClaimRefusal>, WriteError>| {
            let hold = match outcome? {
                Ok(token) => Hold {
                    job,
                    posted,
                    token,
                    claim: Some(claim),
                },
                Err(refusal) => return Ok(Err(refusal)),
            };
            let signals = pending.claims.hold(hold, back);
            // If nobody listens any more, the job goes back as the answer is dropped.
            Ok(Ok(Held {
                session,
                hold,
                signals,
                state,
            }))
        };
        self.writer.write_then(verb, deadline, then).await
    }

    /// Sends a verb that can end a hold, and keeps the table of claims true.
    pub(crate) async fn settle<V: Settle>(
        &self,
        hold: &Hold,
        verb: impl FnOnce(&Keyspace, &Guard) -> V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        let turn = self.turn(hold.job, deadline).await?;
        self.settle_in_turn(turn, hold, verb(&self.keys, &self.guard), deadline)
            .await
    }

    /// Sends a verb on a hold that does not end it. Two of one job are never under way at once, so
    /// that none can overtake the one before.
    pub(crate) async fn write_held<V: Settle>(
        &self,
        hold: Hold,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        let turn = self.turn(hold.job, deadline).await?;
        let Hold { job, token, .. } = hold;
        let claims = Arc::clone(&self.claims);
        let then = move |outcome: Result<V::Outcome, WriteError>| {
            if let Ok(Ending::Lost) = outcome.as_ref().map(V::ending) {
                claims.settle(job, token, Some(Ending::Lost));
            }
            drop(turn);
            outcome
        };
        self.writer.write_then(verb, deadline, then).await
    }

    async fn settle_in_turn<V: Settle>(
        &self,
        turn: Turn,
        hold: &Hold,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        let Hold { job, token, .. } = *hold;
        self.claims.begin_to_settle(job, token);
        let claims = Arc::clone(&self.claims);
        let settling = Settling {
            claims,
            job,
            token,
            ending: None,
            _turn: turn,
        };
        let then = move |outcome: Result<V::Outcome, WriteError>| {
            let mut settling = settling;
            settling.ending = outcome.as_ref().ok().map(V::ending);
            outcome
        };
        self.writer.write_then(verb, deadline, then).await
    }

    /// Judges what the board's view shows of a job's owner key. Gives one of this session that
    /// belongs to no claim: it is to be [given back](Self::give_back_stray).
    pub(crate) fn see(&self, job: JobId, sighting: Sighting) -> Option<Stray> {
        self.claims.see(job, sighting)
    }

    /// Tells the holder of a job, if this session holds it, that work on it is to stop.
    pub(crate) fn stop(&self, job: JobId) {
        self.claims.stop(job);
    }

    /// Gives back an owner key of this session that belongs to no claim. `state` is the job's, where
    /// the view shows it.
    pub(crate) fn give_back_stray(self: &Arc<Self>, stray: Stray, state: Option<&StateRecord>) {
        let Stray { job, token, claim } = stray;
        tracing::warn!(%job, %token, "giving back a claim that nobody waits for");
        let hold = Hold {
            job,
            posted: Revision::ZERO,
            token,
            claim: Some(claim),
        };
        self.spawn_give_back(hold, GiveBack::Stray(state.map(StateRecord::unclaimed)));
    }

    async fn turn(&self, job: JobId, deadline: Instant) -> Result<Turn, WriteError> {
        timeout_at(deadline, self.claims.turn(job))
            .await
            .map_err(|_late| {
                WriteError::Unreached("an earlier verb for the job has no answer yet".to_owned())
            })
    }

    /// Gives back all that is held, as if it had not been claimed, as far as that can be done until
    /// `deadline`. Their holders are told first.
    pub(super) async fn give_all_back(&self, deadline: Instant) {
        self.closing.store(true, SeqCst);
        self.give_back_held(deadline).await;
        // A claim that is under way can be made before anybody is told of it.
        let turns = self.claims.under_way().into_iter();
        let turns = turns.map(|job| self.turn(job, deadline));
        if join_all(turns).await.iter().any(Result::is_ok) {
            self.give_back_held(deadline).await;
        }
    }

    async fn give_back_held(&self, deadline: Instant) {
        let held = self.claims.lose_all();
        let giving = held
            .into_iter()
            .map(|hold| self.give_back(hold, &GiveBack::Held, deadline));
        join_all(giving).await;
    }

    /// Gives a job back; an error if that is to be tried again.
    async fn give_back(
        &self,
        hold: Hold,
        how: &GiveBack,
        deadline: Instant,
    ) -> Result<(), WriteError> {
        let turn = self.turn(hold.job, deadline).await?;
        let state = match how {
            GiveBack::Stray(state) => state.clone(),
            // It may have been settled while this waited for its turn.
            GiveBack::Held => match self.claims.held(hold.job, hold.token) {
                Some((_, back)) => Some(back),
                None => return Ok(()),
            },
        };
        let verb = Abandon::new(&self.keys, hold, state);
        self.settle_in_turn(turn, &hold, verb, deadline).await?.ok();
        Ok(())
    }

    /// Gives a job back in a task of the session's own, however often that must be tried, as long as
    /// the session lives: only that keeps the job from others. Needs no runtime where it is called.
    fn spawn_give_back(self: &Arc<Self>, hold: Hold, how: GiveBack) {
        let session = Arc::clone(self);
        let giving_back = async move {
            let mut backoff = Backoff::new(session.random.clone());
            while session.life.loss().is_none() {
                let deadline = Instant::now() + session.settings.deadline;
                match session.give_back(hold, &how, deadline).await {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(job = %hold.job, %error, "not given back yet"),
                }
                backoff.fail();
                tokio::select! {
                    () = session.life.lost().cancelled() => return,
                    () = backoff.wait() => {}
                }
            }
        };
        self.tasks.spawn_on(giving_back, &self.runtime);
    }
}

/// How a job is given back.
#[derive(Debug)]
enum GiveBack {
    /// As if it had not been claimed, if it is still held.
    Held,
    /// It belongs to no claim; with this state, or the one that it has.
    Stray(Option<StateRecord>),
}

impl Held {
    /// What its owner's verbs compare.
    pub(crate) const fn hold(&self) -> Hold {
        self.hold
    }

    /// Fires when the job is no longer held.
    pub(crate) const fn lost(&self) -> &CancellationToken {
        &self.signals.lost
    }

    /// Fires when work on the job is to stop: with the claim, or as somebody asks for it.
    pub(crate) const fn stop(&self) -> &CancellationToken {
        &self.signals.stop
    }

    /// Whether the job is held, for all that is known.
    pub(crate) fn is_held(&self) -> bool {
        !self.signals.lost.is_cancelled() && self.session.is_trusted()
    }

    /// How long the job is held from now on without another word of the store, for all that is
    /// known; zero if it is not.
    pub(crate) fn expires_in(&self) -> Duration {
        if self.signals.lost.is_cancelled() {
            return Duration::ZERO;
        }
        let until = self.session.trusted_until();
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Asks the store for a fresh word that the session lives, until `deadline`. Cancel safe.
    pub(crate) async fn renew(&self, deadline: Instant) -> Result<Result<(), NotHeld>, WriteError> {
        let renewed = if self.signals.lost.is_cancelled() {
            Err(WriteError::Lost)
        } else {
            self.session.renew(deadline).await
        };
        match renewed {
            // The claim can have ended meanwhile, and its session not.
            Ok(()) if !self.signals.lost.is_cancelled() => Ok(Ok(())),
            Ok(()) | Err(WriteError::Lost) => Ok(Err(NotHeld::default())),
            Err(error) => Err(error),
        }
    }

    /// The job's state as this claim wrote it.
    pub(crate) const fn state(&self) -> &StateRecord {
        &self.state
    }

    /// The job's state if it is given back as if it had not been claimed; `None` if it is not held
    /// any more.
    pub(crate) fn back(&self) -> Option<StateRecord> {
        let Hold { job, token, .. } = self.hold;
        let (_, back) = self.session.claims.held(job, token)?;
        Some(back)
    }

    /// Gives the job back in the background, if it is still held.
    pub(crate) fn give_back(&self) {
        if self.session.claims.holds(self.hold.job, self.hold.token) {
            self.session.spawn_give_back(self.hold, GiveBack::Held);
        }
    }

    /// The session that holds it.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
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

/// A verb under way that can end a hold. Dropping it tells what became of the hold.
struct Settling {
    claims: Arc<Claims>,
    job: JobId,
    token: Revision,
    ending: Option<Ending>,
    _turn: Turn,
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.claims.settle(self.job, self.token, self.ending);
    }
}
