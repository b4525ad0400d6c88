//! Registering an entity, and taking it off again.

use super::{entity::EntityRecord, envelope::Guard, keys::Keyspace, repeatable::Repeatable};
use crate::store::Op;

/// Registers an entity for as long as the session lasts. One that stands is replaced.
pub(crate) fn register(keys: &Keyspace, guard: &Guard, record: &EntityRecord) -> Repeatable {
    let (kind, name) = (record.entity().kind(), record.entity().name());
    let key = keys.entity(kind, name, guard.session());
    let put = Op::put_with_lease(key, record.bytes().clone(), guard.lease());
    Repeatable::new(format!("register {kind} {name:?}"), put)
}

/// Ends the registration of an entity by this session. One that does not stand stays so.
pub(crate) fn deregister(keys: &Keyspace, guard: &Guard, kind: &str, name: &str) -> Repeatable {
    let key = keys.entity(kind, name, guard.session());
    Repeatable::new(format!("deregister {kind} {name:?}"), Op::delete(key))
}

#[cfg(test)]
mod tests;
