//! What every verb on a held job starts from: the owner key and its token.

use uuid::Uuid;

use super::{
    keys::{JobId, JobPart, Keyspace},
    owner::OwnerRecord,
    verb::{Malformed, read_of},
};
use crate::store::{Compare, Key, Op, Revision, TxnResponse};

/// A hold on a job: what its owner's verbs compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) job: JobId,
    /// The revision at which the posting came to be.
    pub(crate) posted: Revision,
    /// The fencing token: the revision at which the owner key came to be.
    pub(crate) token: Revision,
    /// The claim that made the owner key; none for an owner key that this session did not make,
    /// TaskFlow's.
    pub(crate) claim: Option<Uuid>,
}

impl Hold {
    /// The owner key is still the one of this hold.
    pub(super) fn is_held(&self, keys: &Keyspace) -> Compare {
        Compare::create_revision(self.owner(keys), self.token)
    }

    pub(super) fn owner(&self, keys: &Keyspace) -> Key {
        keys.job(self.job, JobPart::Owner)
    }

    /// The read that an else branch begins with.
    pub(super) fn read_owner(&self, keys: &Keyspace) -> Op {
        Op::get(self.owner(keys))
    }

    /// The outcome of a verb that compares nothing but this hold.
    pub(super) fn outcome(
        &self,
        response: &TxnResponse,
    ) -> Result<Result<Revision, NotHeld>, Malformed> {
        if response.succeeded {
            return Ok(Ok(response.header.revision));
        }
        match self.check(response)? {
            Ok(()) => Err(Malformed),
            Err(not_held) => Ok(Err(not_held)),
        }
    }

    /// Whether the else branch's first read shows this hold; else who holds the job now.
    pub(super) fn check(&self, response: &TxnResponse) -> Result<Result<(), NotHeld>, Malformed> {
        let owner = read_of(response, 0)?.first();
        if owner.is_some_and(|owner| owner.create_revision == self.token) {
            return Ok(Ok(()));
        }
        let now = owner.and_then(|owner| OwnerRecord::read(&owner.value).ok());
        Ok(Err(NotHeld {
            now: now.map(|record| record.owner),
        }))
    }
}

/// The hold is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotHeld {
    /// Who holds the job now, if somebody does and it is known.
    pub(crate) now: Option<String>,
}
