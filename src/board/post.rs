//! A job about to be posted.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, value::to_raw_value};
use uuid::Uuid;

use crate::{
    error::{Error, ErrorKind, Result},
    logbook::LogBook,
    protocol::{
        keys::JobId,
        limits::{MAX_POSTING, check_length, check_name},
        posting::{BookRef, NewPosting, Posting},
        priority::JobPriority,
    },
};

/// A job about to be posted.
#[derive(Clone)]
pub struct NewJob {
    name: String,
    details: Value,
    priority: JobPriority,
    book: Option<BookRef>,
}

impl NewJob {
    /// A job of that name, which other jobs can have too: 1 to 255 bytes.
    pub fn new(name: impl Into<String>) -> Self {
        let details = Value::Object(Map::new());
        Self {
            name: name.into(),
            details,
            priority: JobPriority::Normal,
            book: None,
        }
    }

    /// What the job is about: a JSON object. Defaults to an empty one.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// How urgent the job is. Defaults to [`JobPriority::Normal`].
    #[must_use]
    pub const fn priority(mut self, priority: JobPriority) -> Self {
        self.priority = priority;
        self
    }

    /// The logbook in which the owners of the job note what they did; [create](crate::LogBooks::create) it
    /// first. Defaults to none.
    #[must_use]
    pub fn book(mut self, book: &LogBook) -> Self {
        let (name, uuid) = (book.name().to_owned(), book.uuid());
        self.book = Some(BookRef { name, uuid });
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn posting(self, uuid: Uuid, created_on: DateTime<Utc>) -> Result<NewPosting> {
        let doing = "post a job";
        check_name(doing, "the name", &self.name)?;
        if !self.details.is_object() {
            return Err(Error::new(
                ErrorKind::Invalid,
                doing,
                "the details are no JSON object",
            ));
        }
        let details = to_raw_value(&self.details)
            .map_err(|error| Error::new(ErrorKind::Invalid, doing, error.to_string()))?;
        let Self {
            name,
            priority,
            book,
            ..
        } = self;
        let posting = NewPosting {
            uuid,
            name,
            priority,
            created_on,
            details,
            book,
        };
        // With the longest number. What nobody could read must not come onto the board.
        let record = posting.record(JobId::MAX);
        check_length(doing, "the posting", record.len(), MAX_POSTING)?;
        Posting::read(record)
            .map_err(|why| Error::new(ErrorKind::Invalid, doing, why.to_string()))?;
        Ok(posting)
    }
}

/// Leaves the details out: they can carry secrets.
impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewJob({:?}, {})", self.name, self.priority)
    }
}
