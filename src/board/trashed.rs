//! A job in the trash, as who reviews it sees it.

use std::{fmt, num::NonZeroU32, sync::Arc};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    cache::Trashed,
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::JobId,
        priority::JobPriority,
        record,
        time::Timestamp,
        trashed::{Place, TrashRecord},
    },
    store::Revision,
};

/// A job in the trash: broken, and kept aside for [review](super::TrashReview).
///
/// It is shown with its name, priority and uuid, never with its details: they can carry secrets.
#[derive(Clone)]
pub struct TrashedJob {
    id: JobId,
    at: Revision,
    pub(super) place: Place,
    pub(super) record: Arc<TrashRecord>,
}

impl TrashedJob {
    pub(super) fn of(trashed: &Trashed) -> Self {
        Self {
            id: trashed.job,
            at: trashed.at,
            place: trashed.place.clone(),
            record: Arc::clone(&trashed.record),
        }
    }

    /// The number that the job had on its board.
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// The uuid of the job.
    pub fn uuid(&self) -> Uuid {
        self.record.posting.uuid()
    }

    /// The name of the job.
    pub fn name(&self) -> &str {
        self.record.posting.name()
    }

    /// How urgent the job was.
    pub fn priority(&self) -> JobPriority {
        self.record.posting.priority()
    }

    /// What the job is about: a JSON object, read anew by each call.
    pub fn details(&self) -> Map<String, Value> {
        self.record.posting.details()
    }

    /// The details as a type of yours.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if they do not have that form. The message tells where, not
    /// what they say.
    pub fn details_as<T: DeserializeOwned>(&self) -> Result<T> {
        record::read(self.record.posting.details_json()).map_err(|why| {
            let doing = format!("read the details of trashed job {}", self.id);
            Error::new(ErrorKind::Corrupt, doing, why.to_string())
        })
    }

    /// The name of the logbook that the job refers to, if it does.
    pub fn book_name(&self) -> Option<&str> {
        self.record.posting.book().map(|book| book.name.as_str())
    }

    /// The uuid of the logbook that the job refers to, if it does.
    pub fn book_uuid(&self) -> Option<Uuid> {
        self.record.posting.book().map(|book| book.uuid)
    }

    /// The unique key that the job held, if it did, and takes again when it is restored.
    pub fn unique_key(&self) -> Option<&str> {
        self.record.posting.terms().unique.as_deref()
    }

    /// How often the job was to be tried, if its poster said so.
    pub fn max_attempts(&self) -> Option<u32> {
        let terms = self.record.posting.terms();
        terms.max_attempts.map(NonZeroU32::get)
    }

    /// When the job was posted, if the posting says so, by the poster's clock.
    pub fn created_on(&self) -> Option<DateTime<Utc>> {
        self.record.posting.created_on()
    }

    /// Why the job was trashed, if a reason was given.
    pub fn reason(&self) -> Option<&str> {
        self.record.note.reason.as_deref()
    }

    /// Who trashed the job; `None` if TaskFlow did, which notes nothing.
    pub fn trashed_by(&self) -> Option<&str> {
        self.record.note.trashed_by.as_deref()
    }

    /// When the job was trashed, by the clock of who did; `None` if TaskFlow did.
    pub fn trashed_on(&self) -> Option<DateTime<Utc>> {
        self.record.note.trashed_on.map(Timestamp::get)
    }

    /// How often the job had been tried; `None` if TaskFlow trashed it.
    pub fn attempts(&self) -> Option<u32> {
        self.record.note.attempts
    }

    /// The revision at which the job was trashed.
    pub const fn revision(&self) -> Revision {
        self.at
    }
}

impl fmt::Display for TrashedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, priority, uuid) = (self.name(), self.priority(), self.uuid());
        write!(f, "{name} (priority={priority}, uuid={uuid})")
    }
}

impl fmt::Debug for TrashedJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrashedJob({} {self})", self.id)
    }
}
