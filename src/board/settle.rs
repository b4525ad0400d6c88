//! The verbs that end a hold.

use std::sync::Arc;

use tokio::time::Instant;

use super::failure;
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        abandon::Abandon,
        consume::Consume,
        holding::{Hold, NotHeld},
        state::StateRecord,
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
        .map_err(|error| failure::of_settle(doing(), error))?;
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
        .map_err(|error| failure::of_settle(doing(), error))?;
    outcome.map_err(|not_held| lost(doing(), not_held))
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
