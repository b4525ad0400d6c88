//! A job about to be posted.

use std::{fmt, num::NonZeroU32, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, value::to_raw_value};
use uuid::Uuid;

use crate::{
    error::{Error, ErrorKind, Result},
    logbook::LogBook,
    protocol::{
        backoff::{Backoff, MAX_DELAY},
        keys::JobId,
        limits::{MAX_POSTING, check_delay, check_length, check_name},
        posting::{BookRef, NewPosting, Posting},
        priority::JobPriority,
        terms::Terms,
        time::Timestamp,
    },
};

/// A job about to be posted.
#[derive(Clone)]
pub struct NewJob {
    name: String,
    details: Value,
    priority: JobPriority,
    book: Option<BookRef>,
    max_attempts: Option<u32>,
    start: Start,
    backoff: Option<Backoff>,
    unique: Option<String>,
}

/// When a job is to be tried first.
#[derive(Clone, Copy)]
enum Start {
    AtOnce,
    At(DateTime<Utc>),
    After(Duration),
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
            max_attempts: None,
            start: Start::AtOnce,
            backoff: None,
            unique: None,
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
    pub fn book(self, book: &LogBook) -> Self {
        let (name, uuid) = (book.name().to_owned(), book.uuid());
        self.foreign_book(name, uuid)
    }

    /// As [`book`](Self::book), of a logbook that this library does not keep, such as one that TaskFlow's
    /// persistence has: its name and uuid are told to who looks at the job. Nothing sees to it that there is
    /// such a book.
    #[must_use]
    pub fn foreign_book(mut self, name: impl Into<String>, uuid: Uuid) -> Self {
        let name = name.into();
        self.book = Some(BookRef { name, uuid });
        self
    }

    /// How often the job is tried before it goes into the trash: at least once. Defaults to what the
    /// [board](crate::JobBoardBuilder::max_attempts) of whoever claims it says.
    #[must_use]
    pub const fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = Some(max_attempts);
        self
    }

    /// When the job is to be tried first, by the clocks of those who claim: it is on the board from
    /// now on, and is not offered before. A time in the past is refused. Replaces
    /// [`delay`](Self::delay). Defaults to at once.
    #[must_use]
    pub const fn not_before(mut self, time: DateTime<Utc>) -> Self {
        self.start = Start::At(time);
        self
    }

    /// As [`not_before`](Self::not_before): so long after it is posted, at most ten years.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.start = Start::After(delay);
        self
    }

    /// How long the job waits between its tries when its owners fail. Defaults to what the
    /// [board](crate::JobBoardBuilder::backoff) of its owner says.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// A key that only one job on the board can hold, 1 to 255 bytes of any text: posting a second
    /// one gives the first, as long as that is on the board. Defaults to none.
    #[must_use]
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique = Some(key.into());
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn posting(self, uuid: Uuid, now: DateTime<Utc>) -> Result<NewPosting> {
        let doing = "post a job";
        check_name(doing, "the name", &self.name)?;
        if !self.details.is_object() {
            return Err(Error::new(
                ErrorKind::Invalid,
                doing,
                "the details are no JSON object",
            ));
        }
        let terms = self.terms(doing, now)?;
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
            created_on: now,
            details,
            book,
            terms,
        };
        // With the longest number. What nobody could read must not come onto the board.
        let record = posting.record(JobId::MAX);
        check_length(doing, "the posting", record.len(), MAX_POSTING)?;
        Posting::read(record)
            .map_err(|why| Error::new(ErrorKind::Invalid, doing, why.to_string()))?;
        Ok(posting)
    }

    fn terms(&self, doing: &str, now: DateTime<Utc>) -> Result<Terms> {
        let invalid = |why: String| Error::new(ErrorKind::Invalid, doing, why);
        let max_attempts = match self.max_attempts.map(NonZeroU32::new) {
            Some(None) => return Err(invalid("a job that is never to be tried".to_owned())),
            Some(max) => max,
            None => None,
        };
        let not_before = match self.start {
            Start::AtOnce => None,
            Start::At(time) if time < now => {
                return Err(invalid(format!("not before {time}, which is in the past")));
            }
            Start::At(time) if time > now + MAX_DELAY => {
                return Err(invalid(format!("not before {time}, in over ten years")));
            }
            Start::At(time) => Some(time),
            Start::After(delay) => {
                check_delay(doing, delay)?;
                (!delay.is_zero()).then(|| now + delay)
            }
        };
        if let Some(unique) = &self.unique {
            check_name(doing, "the unique key", unique)?;
        }
        Ok(Terms {
            max_attempts,
            not_before: not_before.map(Timestamp::from),
            backoff: self.backoff,
            unique: self.unique.clone(),
        })
    }
}

/// Leaves the details out: they can carry secrets.
impl fmt::Debug for NewJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewJob({:?}, {})", self.name, self.priority)
    }
}
