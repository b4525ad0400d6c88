//! A job, as who looks at a board sees it.

use std::{fmt, num::NonZeroU32, sync::Arc};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::JobBoard;
use crate::{
    cache::Entry,
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::JobId,
        priority::JobPriority,
        progress::Progress,
        record,
        state::{JobState, SeenState},
        time::Timestamp,
    },
};

/// A job of a board. What was posted never changes; its [`state`](Self::state) is live.
///
/// It is shown with its name, priority and uuid, never with its details: they can carry secrets.
#[derive(Clone)]
pub struct Job {
    pub(super) board: JobBoard,
    pub(super) entry: Arc<Entry>,
    pub(super) existed: bool,
}

impl Job {
    /// The number of the job on its board.
    pub fn id(&self) -> JobId {
        self.entry.job
    }

    /// The uuid of the job.
    pub fn uuid(&self) -> Uuid {
        self.entry.uuid()
    }

    /// The name of the job, which other jobs can have too.
    pub fn name(&self) -> &str {
        self.entry.posting.name()
    }

    /// What the job is about: a JSON object, read anew by each call.
    pub fn details(&self) -> Map<String, Value> {
        self.entry.posting.details()
    }

    /// The details as a type of yours.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if they do not have that form. The message tells where, not
    /// what they say.
    pub fn details_as<T: DeserializeOwned>(&self) -> Result<T> {
        record::read(self.entry.posting.details_json()).map_err(|why| {
            let doing = format!("read the details of job {}", self.id());
            Error::new(ErrorKind::Corrupt, doing, why.to_string())
        })
    }

    /// The name of the logbook that the job refers to, if it does.
    pub fn book_name(&self) -> Option<&str> {
        self.entry.posting.book().map(|book| book.name.as_str())
    }

    /// The uuid of the logbook that the job refers to, if it does.
    pub fn book_uuid(&self) -> Option<Uuid> {
        self.entry.posting.book().map(|book| book.uuid)
    }

    /// How urgent the job is.
    pub fn priority(&self) -> JobPriority {
        self.entry.posting.priority()
    }

    /// How often the job is tried before it goes into the trash, if its poster said so; else it is as
    /// the board of whoever claims it says.
    pub fn max_attempts(&self) -> Option<u32> {
        self.entry.posting.terms().max_attempts.map(NonZeroU32::get)
    }

    /// How often the job was tried, as far as the board's view has come. A claim counts from when it
    /// is made; one that was given back unburnt does not.
    pub fn attempts(&self) -> u32 {
        self.seen_state().record.attempts
    }

    /// Why the job was given back last, if its owner said so and nobody claimed it since, as far as
    /// the board's view has come.
    pub fn last_reason(&self) -> Option<String> {
        self.seen_state().record.reason
    }

    /// When the job is to be tried next, or first, if that was put off, by the clock of who did: its
    /// poster or its last owner.
    pub fn not_before(&self) -> Option<DateTime<Utc>> {
        let start = self.entry.posting.terms().not_before;
        self.seen_state()
            .record
            .not_before
            .max(start)
            .map(Timestamp::get)
    }

    /// Whether the job may have killed its last owners: two in a row died with it. Such a job rests
    /// between its tries as if they had failed, and is best run alone.
    pub fn is_suspect(&self) -> bool {
        self.seen_state().record.is_suspect()
    }

    /// The unique key that the job holds, if it does.
    pub fn unique_key(&self) -> Option<&str> {
        self.entry.posting.terms().unique.as_deref()
    }

    /// Whether the [post](JobBoard::post) that gave this handle found the job on the board, by its
    /// unique key, instead of posting one. False for every other handle.
    pub const fn existed(&self) -> bool {
        self.existed
    }

    /// Whether the posting carries nothing of this library's: TaskFlow posted the job, or a person by
    /// hand.
    pub fn is_foreign(&self) -> bool {
        self.entry.posting.is_foreign()
    }

    /// When the job was posted, if the posting says so, by the poster's clock.
    pub fn created_on(&self) -> Option<DateTime<Utc>> {
        self.entry.posting.created_on()
    }

    /// When the job was last claimed; when it was posted if it never was. By the clocks of those
    /// who did so, as far as the board's view has come.
    pub fn last_modified(&self) -> Option<DateTime<Utc>> {
        self.now()
            .map_or_else(|| self.entry.last_modified(), |entry| entry.last_modified())
    }

    /// How far the job's owner has come, if it holds the job and told so, as far as the board's view
    /// has come.
    pub fn progress(&self) -> Option<Progress> {
        let now = self.now()?;
        let state = &now.state()?.record;
        // One of TaskFlow's tells nothing, and leaves what the owner before told.
        let mark = now.holder()?.record.as_ref()?.mark?;
        state
            .progress
            .clone()
            .filter(|_| state.claim == Some(mark.claim))
    }

    /// What the job is in, as far as the board's view has come; where the board is closed, what it was in
    /// when this handle was made.
    pub fn state(&self) -> JobState {
        match self.now() {
            None => JobState::Complete,
            Some(entry) if entry.holder().is_some() => JobState::Claimed,
            Some(_) => JobState::Unclaimed,
        }
    }

    /// The board that the job is on.
    pub const fn board(&self) -> &JobBoard {
        &self.board
    }

    /// The job's state, as far as the board's view has come.
    fn seen_state(&self) -> SeenState {
        self.board.seen_state(&self.entry)
    }

    /// The newest entry of this very posting; `None` if it is not on the board any more. The one that is
    /// known where the board is closed.
    pub(super) fn now(&self) -> Option<Arc<Entry>> {
        self.board.entry_now(&self.entry)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (priority={}, uuid={})",
            self.name(),
            self.priority(),
            self.uuid()
        )
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} {self})", self.id())
    }
}
