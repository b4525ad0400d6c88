//! The verbs that end a hold.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Job, failure};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        abandon::Abandon,
        consume::Consume,
        holding::{Hold, NotHeld},
        limits::{MAX_REASON, check_length},
        state::StateRecord,
        trash::{Trash, TrashNote, TrashRefusal},
    },
    session::Session,
    store::Revision,
};

pub(super) async fn consume(
    session: &Arc<Session>,
    hold: Hold,
    deadline: Instant,
) -> Result<Revision> {
    let doing = || format!("consume job {}", hold.job);
    let outcome = session
        .settle(
            hold.job,
            hold.token,
            |keys, guard| Consume::new(keys, guard, hold),
            deadline,
        )
        .await
        .map_err(|error| failure::of_settle(doing(), &hold, error))?;
    outcome.map_err(|not_held| lost(doing(), not_held))
}

pub(super) async fn abandon(
    session: &Arc<Session>,
    hold: Hold,
    state: Option<StateRecord>,
    deadline: Instant,
) -> Result<Revision> {
    let doing = || format!("abandon job {}", hold.job);
    let outcome = session
        .settle(
            hold.job,
            hold.token,
            |keys, _| Abandon::new(keys, hold, state),
            deadline,
        )
        .await
        .map_err(|error| failure::of_settle(doing(), &hold, error))?;
    outcome.map_err(|not_held| lost(doing(), not_held))
}

/// A held job that is to be trashed.
pub(super) struct ToTrash<'a> {
    pub(super) job: &'a Job,
    pub(super) by: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) attempts: u32,
}

/// Trashes a job, in the first free place of its number.
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
    check_length(
        &doing(),
        "the reason",
        reason.map_or(0, str::len),
        MAX_REASON,
    )?;
    let board = &job.board().0;
    let operation = hold.claim.unwrap_or_else(|| board.random.uuid());
    let note = TrashNote {
        on: board.clock.now(),
        by,
        reason,
        attempts,
        operation,
    };
    for copy in 0.. {
        let verb = Trash::new(&board.keys, hold, copy, &job.entry.posting, &note)
            .map_err(|why| Error::new(ErrorKind::Corrupt, doing(), why.to_string()))?;
        let outcome = session
            .settle(hold.job, hold.token, |_, _| verb, deadline)
            .await;
        match outcome.map_err(|error| failure::of_settle(doing(), &hold, error))? {
            Ok(at) => return Ok(at),
            Err(TrashRefusal::NotHeld(not_held)) => return Err(lost(doing(), not_held)),
            Err(TrashRefusal::PlaceTaken) => {}
        }
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        doing(),
        "every place of its number is taken",
    ))
}

fn lost(doing: String, not_held: NotHeld) -> Error {
    match not_held.now {
        Some(owner) => {
            let why = format!("the claim is over; {owner} holds the job now");
            Error::new(ErrorKind::Lost, doing, why).with_owner(owner)
        }
        None => Error::new(ErrorKind::Lost, doing, "the claim is over"),
    }
}
