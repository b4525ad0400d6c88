//! Purging records of the trash: nobody will restore them any more.

use std::sync::Arc;

use super::{
    trashed::{Place, first_stands, read_first},
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Op, RangeRequest, Revision, Txn, TxnResponse};

/// How many records are purged in one transaction, at most: 50, where etcd takes 128 operations, and
/// gets slow for a while after many.
pub(crate) const AT_ONCE: usize = 50;

/// Deletes places of the trash, if all of them are as they were read.
#[derive(Clone, Debug)]
pub(crate) struct Purge {
    places: Arc<[Place]>,
}

/// One of the places is not as it was read: it was purged, or restored, and perhaps taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed;

impl Purge {
    /// Purges `places`, of which there are [`AT_ONCE`] at most.
    pub(crate) fn new(places: impl Into<Arc<[Place]>>) -> Self {
        let places = places.into();
        Self { places }
    }
}

impl Verb for Purge {
    /// The revision at which they were deleted.
    type Outcome = Result<Revision, Changed>;

    /// That a record is gone does not tell who purged it, or whether it was restored.
    const NEEDS_RECEIPT: bool = true;

    fn doing(&self) -> String {
        format!("purge {} of the trash", self.places.len())
    }

    fn txn(&self) -> Txn {
        Txn::new().when(self.places.iter().map(Place::stands)).then(
            self.places
                .iter()
                .map(|place| Op::delete(place.key.clone())),
        )
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(if response.succeeded {
            Ok(response.header.revision)
        } else {
            Err(Changed)
        })
    }

    fn probe(&self) -> Vec<RangeRequest> {
        read_first(&self.places)
    }

    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        let undone = first_stands(&self.places, evidence)?;
        Ok(evidence.by_receipt(Ok(evidence.at), undone))
    }
}

#[cfg(test)]
mod tests;
