//! Unique keys: of the jobs on the board, one holds each.
//!
//! A unique key says which job holds it, by the key of that job without its part. It goes with the
//! job, but for a job that somebody removed who knows nothing of unique keys: a unique key whose
//! job is not on the board, or does not claim to hold it, is *stale*, and whoever read that takes it.

use bytes::Bytes;

use super::{
    keys::{JobId, JobPart, Keyspace},
    record::Unreadable,
    verb::{Malformed, read_of},
};
use crate::store::{Compare, Key, Op, RangeRequest, Revision, TxnResponse};

/// A unique key that a job is to take, if nobody holds it.
#[derive(Clone, Debug)]
pub(crate) struct Unique {
    key: Key,
    /// What it says while the job holds it.
    text: Bytes,
    stale: Option<Stale>,
}

/// A unique key whose job does not hold it, and what was read of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    /// The revision of the unique key's last put.
    at: Revision,
    holder: Key,
    /// The revision of the last put of the holder's posting; zero if there is none.
    posting: Revision,
}

/// What a unique key says that was not as it was expected; nothing if it is not there (any more).
/// Whether the job that it names holds it is to be read from that job's posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found(Option<(Revision, Bytes)>);

/// The job that a unique key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimant {
    pub(crate) job: JobId,
    /// The revision of the unique key's last put.
    at: Revision,
}

impl Unique {
    /// The unique key `unique`, for job number `job` to take.
    pub(super) fn new(keys: &Keyspace, unique: &str, job: JobId) -> Self {
        Self {
            key: keys.unique(unique),
            text: keys.named(job).into_bytes(),
            stale: None,
        }
    }

    /// It is taken though it is there: it is `stale`.
    pub(super) fn take_over(&mut self, stale: Stale) {
        self.stale = Some(stale);
    }

    /// Nobody holds it, or it is as stale as it was read.
    pub(super) fn is_free(&self) -> Vec<Compare> {
        match &self.stale {
            None => vec![Compare::absent(self.key.clone())],
            Some(stale) => vec![
                Compare::mod_revision(self.key.clone(), stale.at),
                Compare::mod_revision(stale.holder.clone(), stale.posting),
            ],
        }
    }

    /// Takes it.
    pub(super) fn take(&self) -> Op {
        Op::put(self.key.clone(), self.text.clone())
    }

    /// The read of an else branch.
    pub(super) fn read(&self) -> Op {
        RangeRequest::new(self.key.clone()).into()
    }

    /// What the else branch's `index`-th read found of it.
    pub(super) fn found(response: &TxnResponse, index: usize) -> Result<Found, Malformed> {
        let unique = read_of(response, index)?.first();
        Ok(Found(unique.map(|kv| (kv.mod_revision, kv.value.clone()))))
    }
}

impl Found {
    #[cfg(test)]
    pub(super) const fn of(unique: Option<(Revision, Bytes)>) -> Self {
        Self(unique)
    }

    /// The job that the unique key names; none if it is free.
    ///
    /// # Errors
    /// If it does not name a job of this board.
    pub(crate) fn claimant(&self, keys: &Keyspace) -> Result<Option<Claimant>, Unreadable> {
        let Some((at, text)) = &self.0 else {
            return Ok(None);
        };
        let job = keys.parse_named(text);
        let job = job.ok_or_else(|| Unreadable::new("it names no job of this board"))?;
        Ok(Some(Claimant { job, at: *at }))
    }
}

impl Claimant {
    /// Where its posting would be.
    pub(crate) fn posting(&self, keys: &Keyspace) -> Key {
        keys.job(self.job, JobPart::Data)
    }

    /// The unique key as it is if the claimant's posting, put last at `posting` or not there, does
    /// not hold it.
    pub(crate) fn stale(&self, keys: &Keyspace, posting: Revision) -> Stale {
        Stale {
            at: self.at,
            holder: self.posting(keys),
            posting,
        }
    }
}
