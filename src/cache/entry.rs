//! One job as the cache knows it: its posting, and what stands beside it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    protocol::{
        cancel::CancelRequest,
        keys::{JobId, JobPart},
        owner::OwnerRecord,
        posting::Posting,
        priority::JobPriority,
        record::{self, Unreadable},
        state::SeenState,
        time::Timestamp,
    },
    store::{KeyValue, Revision},
};

/// A job at one revision. Never changes: each change of the job makes another entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The number of the job.
    pub(crate) job: JobId,
    /// The revision at which its posting came to be.
    pub(crate) posted: Revision,
    /// What was posted.
    pub(crate) posting: Arc<Posting>,
    pub(super) beside: Beside,
}

impl Entry {
    /// A job that was just posted.
    pub(crate) fn posted(
        job: JobId,
        posted: Revision,
        record: bytes::Bytes,
    ) -> Result<Self, Unreadable> {
        let posting = Arc::new(Posting::read(record)?);
        Ok(Self {
            job,
            posted,
            posting,
            beside: Beside::default(),
        })
    }

    /// Where the job stands in the order of the board.
    pub(crate) fn position(&self) -> Position {
        Position {
            priority: self.posting.priority(),
            posted: self.posted,
            job: self.job,
        }
    }

    /// The job's uuid.
    pub(crate) fn uuid(&self) -> Uuid {
        self.posting.uuid()
    }

    /// Who holds the job, if anybody does.
    pub(crate) fn holder(&self) -> Option<&Arc<Holder>> {
        self.beside.holder.as_ref()
    }

    /// The job's state, the default where none was written yet; `None` if it can not be read.
    pub(crate) const fn state(&self) -> Option<&SeenState> {
        match &self.beside.state {
            Ok(state) => Some(state),
            Err(_) => None,
        }
    }

    /// Whether nobody holds the job and its state can be read: it can be claimed when it is due.
    pub(crate) const fn is_free(&self) -> bool {
        self.beside.holder.is_none() && self.beside.state.is_ok()
    }

    /// Whether the job is free and due when it was in an `earlier` entry: it is the same posting, that
    /// was free as well, and its state was not written since.
    pub(super) fn rests_as(&self, earlier: &Self) -> bool {
        let state = |entry: &Self| entry.state().map(|state| state.mod_revision);
        self.is_free()
            && earlier.is_free()
            && self.position() == earlier.position()
            && self.posting == earlier.posting
            && state(self) == state(earlier)
    }

    /// The request to stop the job, if somebody made one.
    pub(crate) const fn cancel_request(&self) -> Option<&Arc<CancelRequest>> {
        self.beside.cancel.as_ref()
    }

    /// When the job last changed hands, as its key says; else when it was posted.
    pub(crate) fn last_modified(&self) -> Option<DateTime<Utc>> {
        let claimed = self.beside.last_modified.and_then(Result::ok);
        claimed
            .map(Timestamp::get)
            .or_else(|| self.posting.created_on())
    }
}

/// The place of a job in the order of a board: the most urgent first, then in the order in which
/// they were posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    priority: JobPriority,
    posted: Revision,
    job: JobId,
}

/// Who holds a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The fencing token: the revision at which the owner key came to be.
    pub(crate) token: Revision,
    /// Whether the owner key ends with a lease, whatever its record says.
    pub(crate) leased: bool,
    /// What the owner key says; `None` if it can not be read: the job is held, nobody knows by
    /// whom.
    pub(crate) record: Option<OwnerRecord>,
}

/// A key that is there and can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// What stands beside a posting. It can be there without one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Beside {
    pub(super) holder: Option<Arc<Holder>>,
    pub(super) state: Result<SeenState, Broken>,
    pub(super) last_modified: Option<Result<Timestamp, Broken>>,
    pub(super) cancel: Option<Arc<CancelRequest>>,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            holder: None,
            state: Ok(SeenState::default()),
            last_modified: None,
            cancel: None,
        }
    }
}

impl Beside {
    /// Takes in a key that was put.
    ///
    /// # Errors
    /// What is wrong with its record. The key is taken in as unreadable then.
    pub(super) fn put(&mut self, part: JobPart, kv: &KeyValue) -> Result<(), Unreadable> {
        #[derive(Deserialize)]
        struct LastModified {
            last_modified: Timestamp,
        }

        match part {
            JobPart::Data => Ok(()),
            JobPart::Owner => {
                let (record, why) = split(OwnerRecord::read(&kv.value));
                let token = kv.create_revision;
                self.holder = Some(Arc::new(Holder {
                    token,
                    leased: kv.lease.is_some(),
                    record: record.ok(),
                }));
                why
            }
            JobPart::LastModified => {
                let read = record::read::<LastModified>(&kv.value);
                let (record, why) = split(read.map(|record| record.last_modified));
                self.last_modified = Some(record);
                why
            }
            JobPart::State => {
                let (state, why) = split(SeenState::read(Some(kv)));
                self.state = state;
                why
            }
            JobPart::Cancel => {
                let (request, why) = split(CancelRequest::read(&kv.value));
                self.cancel = Some(Arc::new(request.unwrap_or_default()));
                why
            }
        }
    }

    /// Takes in that a key is gone.
    pub(super) fn delete(&mut self, part: JobPart) {
        match part {
            JobPart::Data => {}
            JobPart::Owner => self.holder = None,
            JobPart::LastModified => self.last_modified = None,
            JobPart::State => self.state = Ok(SeenState::default()),
            JobPart::Cancel => self.cancel = None,
        }
    }
}

/// What the cache keeps of a record that was read, and what it says of one that was not.
fn split<T>(read: Result<T, Unreadable>) -> (Result<T, Broken>, Result<(), Unreadable>) {
    match read {
        Ok(record) => (Ok(record), Ok(())),
        Err(why) => (Err(Broken), Err(why)),
    }
}
