//! The verbs that name the owner, as the contract of TaskFlow has them.
//!
//! They act on what etcd says at the time of the call, and are fenced by the token that they read:
//! if the owner changes in between, nothing happens.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::{Connection, Job, JobBoard, failure, results::Results, settle};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        holding::Hold,
        limits::check_name,
        owner::OwnerRecord,
        state::{SeenState, StateRecord},
    },
    session::Session,
    store::Revision,
};

/// A hold found by the name of its owner.
struct Found {
    session: Arc<Session>,
    hold: Hold,
    state: StateRecord,
    results: Arc<Results>,
}

impl JobBoard {
    /// Consumes `job` for its owner `who`: it is done, and gone for good.
    ///
    /// Acts on a claim that this handle or a clone of it made under that name, or that a TaskFlow
    /// client did. [`Claim::consume`](super::Claim::consume) does the same with half the requests.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the job is gone, [`NotOwner`](ErrorKind::NotOwner) if
    /// nobody holds it, or not under that name, or not through this handle; and those of
    /// [`Claim::consume`](super::Claim::consume).
    pub async fn consume(&self, job: &Job, who: &str) -> Result<Revision> {
        let deadline = self.deadline();
        let found = self.hold_of(job, who, "consume", deadline).await?;
        settle::consume(&found.session, found.hold, job, deadline).await
    }

    /// Consumes `job` for its owner `who`, and keeps its result, as
    /// [`Claim::consume_with`](super::Claim::consume_with) does.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume), and those of
    /// [`Claim::consume_with`](super::Claim::consume_with).
    pub async fn consume_with(&self, job: &Job, who: &str, result: Value) -> Result<Revision> {
        let deadline = self.deadline();
        let found = self.hold_of(job, who, "consume", deadline).await?;
        let to_keep = settle::ToKeep {
            job,
            by: who,
            result: &result,
            on: &found.results,
            lost: found.session.lost(),
        };
        settle::consume_with(&found.session, found.hold, &to_keep, deadline).await
    }

    /// Gives `job` back for its owner `who`; as [`consume`](Self::consume) otherwise.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume).
    pub async fn abandon(&self, job: &Job, who: &str) -> Result<Revision> {
        let deadline = self.deadline();
        let found = self.hold_of(job, who, "abandon", deadline).await?;
        // A claim of TaskFlow's was not counted, so there is nothing to settle.
        let state = found.hold.claim.map(|_| found.state.abandoned());
        settle::abandon(&found.session, found.hold, state, deadline).await
    }

    /// Trashes `job` for its owner `who`: it is broken, and kept aside for review. As
    /// [`consume`](Self::consume) otherwise.
    ///
    /// # Errors
    /// Those of [`consume`](Self::consume), and those of [`Claim::trash`](super::Claim::trash).
    pub async fn trash(&self, job: &Job, who: &str, reason: Option<&str>) -> Result<Revision> {
        let deadline = self.deadline();
        let found = self.hold_of(job, who, "trash", deadline).await?;
        let to_trash = settle::ToTrash {
            job,
            by: who,
            reason,
            attempts: found.state.attempts,
        };
        settle::trash(&found.session, found.hold, &to_trash, deadline).await
    }

    /// Reads who holds the job.
    async fn hold_of(&self, job: &Job, who: &str, verb: &str, deadline: Instant) -> Result<Found> {
        let doing = format!("{verb} job {}", job.id());
        check_name(&doing, "the owner", who)?;
        let connection = self.connection_to_write(&doing)?;
        let now = self.read_job(job.id(), &doing, deadline).await?;
        now.check_posted(job, &doing)?;
        let not_owner = |why: String| Error::new(ErrorKind::NotOwner, &doing, why);
        let owner = now
            .owner
            .ok_or_else(|| not_owner("nobody holds it".to_owned()))?;
        let unreadable = |why: crate::protocol::record::Unreadable| {
            Error::new(ErrorKind::Corrupt, &doing, why.to_string())
        };
        let record = OwnerRecord::read(&owner.value).map_err(unreadable)?;
        if record.owner != who {
            let why = format!("held by {}, not by {who}", record.owner);
            return Err(not_owner(why).with_owner(record.owner));
        }
        let hold = Hold {
            job: job.id(),
            posted: job.entry.posted,
            token: owner.create_revision,
            claim: record.mark.map(|mark| mark.claim),
        };
        let session = match record.mark {
            Some(mark) => connection
                .pool()
                .find(mark.session)
                .ok_or_else(|| not_owner(format!("held by {who} through another handle")))?,
            None => any_session(&connection, deadline, &doing).await?,
        };
        let state = SeenState::read(now.state.as_ref())
            .map_err(unreadable)?
            .record;
        Ok(Found {
            session,
            hold,
            state,
            results: Arc::clone(connection.results()),
        })
    }
}

async fn any_session(
    connection: &Connection,
    deadline: Instant,
    doing: &str,
) -> Result<Arc<Session>> {
    let session = connection.pool().session(deadline).await;
    session.map_err(|error| failure::of_write(doing, error))
}
