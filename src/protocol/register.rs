//! Registering an entity, and taking it off again.

use super::{
    entity::EntityRecord,
    envelope::Guard,
    keys::Keyspace,
    verb::{Evidence, Malformed, Settled, Verb},
};
use crate::store::{Key, LeaseId, Op, RangeRequest, Revision, Txn, TxnResponse};

/// Registers an entity for as long as the session lasts. One that stands is replaced.
#[derive(Clone, Debug)]
pub(crate) struct Register {
    key: Key,
    record: EntityRecord,
    lease: LeaseId,
}

impl Register {
    pub(crate) fn new(keys: &Keyspace, guard: &Guard, record: EntityRecord) -> Self {
        let (kind, name) = (record.entity().kind(), record.entity().name());
        Self {
            key: keys.entity(kind, name, guard.session()),
            record,
            lease: guard.lease(),
        }
    }
}

impl Verb for Register {
    /// The revision at which the entity was written.
    type Outcome = Revision;

    fn doing(&self) -> String {
        let entity = self.record.entity();
        format!("register {} {:?}", entity.kind(), entity.name())
    }

    fn txn(&self) -> Txn {
        let record = self.record.bytes().clone();
        Txn::new().then([Op::put_with_lease(self.key.clone(), record, self.lease)])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(response.header.revision)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::DidNotHappen)
    }
}

/// Ends the registration of an entity by this session. One that does not stand stays so.
#[derive(Clone, Debug)]
pub(crate) struct Deregister {
    key: Key,
    doing: String,
}

impl Deregister {
    pub(crate) fn new(keys: &Keyspace, guard: &Guard, kind: &str, name: &str) -> Self {
        Self {
            key: keys.entity(kind, name, guard.session()),
            doing: format!("deregister {kind} {name:?}"),
        }
    }
}

impl Verb for Deregister {
    /// A revision at which the entity does not stand.
    type Outcome = Revision;

    fn doing(&self) -> String {
        self.doing.clone()
    }

    fn txn(&self) -> Txn {
        Txn::new().then([Op::delete(self.key.clone())])
    }

    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed> {
        Ok(response.header.revision)
    }

    fn probe(&self) -> Vec<RangeRequest> {
        Vec::new()
    }

    fn settle(&self, _: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed> {
        Ok(Settled::DidNotHappen)
    }
}

#[cfg(test)]
mod tests;
