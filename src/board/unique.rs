//! Who holds a unique key.

use std::sync::Arc;

use tokio::time::Instant;

use super::JobBoard;
use crate::{
    cache::Entry,
    error::{Error, ErrorKind, Result},
    protocol::unique::{Found, Stale},
    session::Read,
    store::Revision,
};

/// Who holds a unique key, as it was found and read.
pub(super) enum Standing {
    /// Nobody: it is not there.
    Free,
    /// Nobody: it is there, and the job that it names does not hold it.
    Stale(Stale),
    /// This job, which is on the board.
    Held(Arc<Entry>),
}

impl JobBoard {
    /// Reads who holds the unique key `unique`, where it was `found` to be taken.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if the key, or the posting of the job that it names, can not be
    /// read; else why that was not read.
    pub(super) async fn standing(
        &self,
        unique: &str,
        found: &Found,
        deadline: Instant,
        doing: &str,
    ) -> Result<Standing> {
        let (keys, random) = (&self.0.keys, &self.0.random);
        let corrupt = |why: String| Error::new(ErrorKind::Corrupt, doing, why);
        let claimant = found
            .claimant(keys)
            .map_err(|why| corrupt(format!("its unique key can not be read: {why}")))?;
        let Some(claimant) = claimant else {
            return Ok(Standing::Free);
        };
        let read = Read::all(claimant.posting(keys));
        let read = read.at_one_revision(&*self.0.store, random, deadline, doing);
        let Some(posting) = read.await?.1.pop() else {
            return Ok(Standing::Stale(claimant.stale(keys, Revision::ZERO)));
        };
        let job = claimant.job;
        let entry = Entry::posted(job, posting.create_revision, posting.value);
        let entry = entry.map_err(|why| {
            corrupt(format!(
                "job {job} has its unique key, and can not be read: {why}"
            ))
        })?;
        if entry.posting.terms().unique.as_deref() == Some(unique) {
            return Ok(Standing::Held(Arc::new(entry)));
        }
        Ok(Standing::Stale(claimant.stale(keys, posting.mod_revision)))
    }
}
