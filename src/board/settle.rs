//! The verbs that end a hold.

use std::sync::Arc;

use serde_json::{Value, value::to_raw_value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Job, failure, places, results::Results};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        abandon::Abandon,
        consume::Consume,
        done::{Done, DoneRecord},
        envelope::Guard,
        holding::{Hold, NotHeld},
        keys::Keyspace,
        limits::{MAX_RESULT, check_length, check_reason},
        state::StateRecord,
        trash::{Trash, TrashRefusal},
        trashed::TrashNote,
    },
    session::{Session, Settle, WriteError},
    store::{self, Revision},
};

pub(super) async fn consume(
    session: &Arc<Session>,
    hold: Hold,
    job: &Job,
    deadline: Instant,
) -> Result<Revision> {
    let verb = |keys: &Keyspace, guard: &Guard| consuming(keys, guard, hold, job);
    settle("consume", session, hold, verb, deadline).await
}

fn consuming(keys: &Keyspace, guard: &Guard, hold: Hold, job: &Job) -> Consume {
    Consume::new(keys, guard, hold, job.entry.posting.unique_key(keys))
}

/// A result that is to be kept of a held job.
pub(super) struct ToKeep<'a> {
    pub(super) job: &'a Job,
    pub(super) by: &'a str,
    pub(super) result: &'a Value,
    pub(super) on: &'a Results,
    /// Fires when there is no use in it any more.
    pub(super) lost: &'a CancellationToken,
}

/// Consumes a job, and keeps its result.
pub(super) async fn consume_with(
    session: &Arc<Session>,
    hold: Hold,
    to_keep: &ToKeep<'_>,
    deadline: Instant,
) -> Result<Revision> {
    let ToKeep {
        job,
        by,
        result,
        on,
        lost,
    } = *to_keep;
    let doing = || format!("consume job {}", hold.job);
    let invalid = |why: String| Error::new(ErrorKind::Invalid, doing(), why);
    let result = to_raw_value(result).map_err(|error| invalid(error.to_string()))?;
    check_length(&doing(), "the result", result.get().len(), MAX_RESULT)?;
    let done = Done {
        uuid: job.uuid(),
        result: &result,
        on: job.board().0.clock.now(),
        by,
    };
    let record = DoneRecord::new(&done).map_err(|why| invalid(why.to_string()))?;
    let mut refused = None;
    loop {
        let lease = match lost.run_until_cancelled(on.lease(refused, deadline)).await {
            Some(Ok(lease)) => lease,
            Some(Err(error)) => return settled(doing(), &hold, Err(error)),
            None if hold.claim.is_some() => {
                return settled(doing(), &hold, Ok(Err(NotHeld::default())));
            }
            None => return settled(doing(), &hold, Err(WriteError::NotSent)),
        };
        let record = record.clone();
        let verb = |keys: &Keyspace, guard: &Guard| {
            consuming(keys, guard, hold, job).keeping(record, lease)
        };
        match session.settle(&hold, verb, deadline).await {
            // Somebody revoked it, or the store knows nothing of it since it was restored.
            Err(WriteError::Refused(error))
                if error.kind() == store::ErrorKind::LeaseNotFound && refused.is_none() =>
            {
                refused = Some(lease);
            }
            outcome => return settled(doing(), &hold, outcome),
        }
    }
}

pub(super) async fn abandon(
    session: &Arc<Session>,
    hold: Hold,
    state: Option<StateRecord>,
    deadline: Instant,
) -> Result<Revision> {
    let verb = |keys: &Keyspace, _: &Guard| Abandon::new(keys, hold, state);
    settle("abandon", session, hold, verb, deadline).await
}

/// Sends a verb that ends a hold or finds it over.
async fn settle<V: Settle<Outcome = Result<Revision, NotHeld>>>(
    doing: &str,
    session: &Session,
    hold: Hold,
    verb: impl FnOnce(&Keyspace, &Guard) -> V,
    deadline: Instant,
) -> Result<Revision> {
    let doing = format!("{doing} job {}", hold.job);
    settled(doing, &hold, session.settle(&hold, verb, deadline).await)
}

pub(super) fn settled(
    doing: String,
    hold: &Hold,
    outcome: Result<Result<Revision, NotHeld>, WriteError>,
) -> Result<Revision> {
    match outcome {
        Ok(outcome) => outcome.map_err(|not_held| failure::of_not_held(doing, not_held)),
        Err(error) => Err(failure::of_settle(doing, hold, error)),
    }
}

/// A held job that is to be trashed.
pub(super) struct ToTrash<'a> {
    pub(super) job: &'a Job,
    pub(super) by: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) attempts: u32,
}

/// Trashes a job, in a free place of its number. The reason is left out where the record would be too
/// large with it.
pub(super) async fn trash(
    session: &Arc<Session>,
    hold: Hold,
    to_trash: &ToTrash<'_>,
    deadline: Instant,
) -> Result<Revision> {
    let ToTrash {
        job,
        by,
        reason,
        attempts,
    } = *to_trash;
    let doing = || format!("trash job {}", hold.job);
    check_reason(&doing(), reason)?;
    let board = &job.board().0;
    let operation = hold.claim.unwrap_or_else(|| board.random.uuid());
    let mut note = TrashNote {
        on: board.clock.now(),
        by,
        reason,
        attempts,
        operation,
    };
    let mut copy = 0;
    loop {
        let verb = Trash::new(&board.keys, hold, copy, &job.entry.posting, &note)
            .map_err(|why| Error::new(ErrorKind::Corrupt, doing(), why.to_string()))?;
        match session.settle(&hold, |_, _| verb, deadline).await {
            Ok(Ok(at)) => return Ok(at),
            Ok(Err(TrashRefusal::NotHeld(not_held))) => {
                return Err(failure::of_not_held(doing(), not_held));
            }
            Ok(Err(TrashRefusal::PlaceTaken)) => copy = places::after(copy, &board.random),
            Err(error) if error.is_too_large() && note.reason.is_some() => note.reason = None,
            Err(error) => return Err(failure::of_settle(doing(), &hold, error)),
        }
    }
}
