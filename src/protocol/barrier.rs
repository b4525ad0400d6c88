//! The write by which a cache learns how far it must have come to be fresh.

use super::{keys::Keyspace, repeatable::Repeatable};
use crate::store::Op;

/// Puts the barrier key: its outcome is the revision that a fresh cache has applied.
pub(crate) fn barrier(keys: &Keyspace) -> Repeatable {
    let put = Op::put(keys.barrier(), "{}");
    Repeatable::new("ask for a fresh view of the board", put)
}

#[cfg(test)]
mod tests;
