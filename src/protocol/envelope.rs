//! The envelope in which a session writes, and the fence that ends its doubts.
//!
//! Every write compares the session's guard, a key on the session's lease, with the revision at
//! which the session last put it. So nothing is written once the lease has ended, and putting the
//! guard anew (the fence) makes sure that nothing sent before can happen any more. The reads that
//! tell what *did* happen ride in the same transaction.

use uuid::Uuid;

use super::{
    keys::Keyspace,
    verb::{Malformed, create_revision, read_of},
};
use crate::store::{
    Compare, Key, LeaseId, Op, RangeRequest, RangeResponse, Revision, Txn, TxnResponse,
};

/// The guard of a session.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    key: Key,
    session: Uuid,
    lease: LeaseId,
}

/// Where an envelope leaves proof that it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceiptSlot {
    pub(crate) key: Key,
    /// Names the envelope; the session uses no name twice.
    pub(crate) envelope: u64,
}

impl ReceiptSlot {
    /// Whether a read of the slot shows that the envelope was written.
    pub(crate) fn is_in(&self, read: &RangeResponse) -> bool {
        read.first()
            .is_some_and(|proof| *proof.value == *self.envelope.to_string().as_bytes())
    }
}

/// What the answer to an envelope, a fence or a read under the guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opened<T> {
    /// The guard was as known.
    Answer(T),
    /// The guard was put at another revision: by a fence of this session.
    Fenced(Revision),
    /// The guard is gone, and the session with it.
    Gone,
}

impl Guard {
    pub(crate) fn new(keys: &Keyspace, session: Uuid, lease: LeaseId) -> Self {
        Self {
            key: keys.guard(session),
            session,
            lease,
        }
    }

    /// Puts the guard for the first time.
    pub(crate) fn open(&self) -> Txn {
        Txn::new()
            .when([Compare::absent(self.key.clone())])
            .then([self.put()])
    }

    /// Wraps one member into an envelope: one plain transaction.
    pub(crate) fn seal(&self, known: Revision, receipt: Option<&ReceiptSlot>, member: Txn) -> Txn {
        let receipt = receipt.map(|slot| {
            Op::put_with_lease(slot.key.clone(), slot.envelope.to_string(), self.lease)
        });
        Txn::new()
            .when([self.is(known)])
            .when(member.compares)
            .then(receipt)
            .then(member.then)
            .otherwise([self.read()])
            .otherwise(member.otherwise)
    }

    /// Takes the member's answer out of an envelope's.
    pub(crate) fn unseal(
        known: Revision,
        receipt: bool,
        mut response: TxnResponse,
    ) -> Result<Opened<TxnResponse>, Malformed> {
        let ours = if response.succeeded {
            usize::from(receipt)
        } else {
            let guard = guard_in(&response)?;
            if guard != known {
                return Ok(opened_by(guard));
            }
            1
        };
        if response.responses.len() < ours {
            return Err(Malformed);
        }
        response.responses.drain(..ours);
        Ok(Opened::Answer(response))
    }

    /// Puts the guard anew, and reads: nothing that compares `known` can happen any more.
    pub(crate) fn fence(&self, known: Revision, reads: Vec<RangeRequest>) -> Txn {
        self.read_under(known, reads, [self.put()])
    }

    /// Reads as long as the guard is as `known`.
    pub(crate) fn look(&self, known: Revision, reads: Vec<RangeRequest>) -> Txn {
        self.read_under(known, reads, [])
    }

    fn read_under(
        &self,
        known: Revision,
        reads: Vec<RangeRequest>,
        first: impl IntoIterator<Item = Op>,
    ) -> Txn {
        Txn::new()
            .when([self.is(known)])
            .then(first)
            .then(reads.into_iter().map(Op::Range))
            .otherwise([self.read()])
    }

    /// Takes the reads out of the answer to a fence or a look.
    pub(crate) fn reads(response: TxnResponse) -> Result<Opened<Vec<RangeResponse>>, Malformed> {
        if !response.succeeded {
            return Ok(opened_by(guard_in(&response)?));
        }
        Ok(Opened::Answer(response.into_reads()))
    }

    pub(crate) const fn session(&self) -> Uuid {
        self.session
    }

    pub(crate) const fn lease(&self) -> LeaseId {
        self.lease
    }

    fn is(&self, known: Revision) -> Compare {
        Compare::mod_revision(self.key.clone(), known)
    }

    fn put(&self) -> Op {
        Op::put_with_lease(self.key.clone(), "{}", self.lease)
    }

    fn read(&self) -> Op {
        RangeRequest::new(self.key.clone()).keys_only().into()
    }
}

/// Where the guard is, by the first read of an else branch; zero if it is nowhere.
fn guard_in(response: &TxnResponse) -> Result<Revision, Malformed> {
    let guard = read_of(response, 0)?.first();
    Ok(guard.map_or(create_revision(None), |guard| guard.mod_revision))
}

fn opened_by<T>(guard: Revision) -> Opened<T> {
    if guard == Revision::ZERO {
        Opened::Gone
    } else {
        Opened::Fenced(guard)
    }
}

#[cfg(test)]
mod tests;
