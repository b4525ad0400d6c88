//! The envelope in which a session writes, and the fence that ends its doubts.
//!
//! Every write compares the session's guard, a key on the session's lease, with the revision at
//! which the session last put it. So nothing is written once the lease has ended, and putting the
//! guard anew (the fence) makes sure that nothing sent before can happen any more. The reads that
//! tell what *did* happen ride in the same transaction.
//!
//! An envelope has one member or many, each with compares of its own:
//!
//! ```text
//! one     when  guard as known, the member's compares
//!         then  receipt, the member's then          else  read the guard, the member's else
//!
//! many    when  guard as known
//!         then  receipt, member, member, member ..  else  read the guard
//!                        │
//!                        └ when its compares  then its then  else its else, and its note
//! ```
//!
//! The receipt tells that the envelope was written. Of one member that is all there is to tell; of
//! many, some can have been refused, and those that need a receipt leave a note.

use uuid::Uuid;

use super::{
    keys::Keyspace,
    verb::{Malformed, Receipt, create_revision, read_of},
};
use crate::store::{
    Compare, Key, LeaseId, Op, OpResponse, RangeRequest, RangeResponse, Revision, Txn, TxnResponse,
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

/// What tells of one member that its envelope was written, and with it the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    slot: ReceiptSlot,
    note: Option<Key>,
}

impl ReceiptSlot {
    /// What to look for of the `index`-th of so many `members`.
    pub(crate) fn proof(&self, index: usize, members: usize) -> Proof {
        Proof {
            slot: self.clone(),
            note: (members > 1).then(|| self.note(index)),
        }
    }

    /// Where the `index`-th of many members notes that it was refused.
    fn note(&self, index: usize) -> Key {
        self.key.child(format_args!(".{index}"))
    }

    fn put(&self, key: Key, lease: LeaseId) -> Op {
        Op::put_with_lease(key, self.envelope.to_string(), lease)
    }

    /// Whether what was read names the envelope.
    fn is_in(&self, read: &RangeResponse) -> bool {
        read.first()
            .is_some_and(|proof| *proof.value == *self.envelope.to_string().as_bytes())
    }
}

impl Proof {
    /// What must be read.
    pub(crate) fn reads(&self) -> impl Iterator<Item = RangeRequest> {
        let keys = std::iter::once(&self.slot.key).chain(&self.note);
        keys.map(|key| RangeRequest::new(key.clone()))
    }

    /// What the answers to these reads say.
    pub(crate) fn receipt(&self, answers: &[RangeResponse]) -> Receipt {
        let mut names = answers.iter().map(|answer| self.slot.is_in(answer));
        let (written, refused) = (names.next(), names.next());
        if written == Some(true) && refused != Some(true) {
            Receipt::Names
        } else {
            Receipt::DoesNotName
        }
    }
}

/// A verb's transaction on its way into an envelope.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) txn: Txn,
    /// Whether a receipt is to tell what became of it.
    pub(crate) needs_receipt: bool,
}

/// How an envelope was sealed: what it takes to open the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    under: Revision,
    members: usize,
    receipt: bool,
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

    /// Puts members into an envelope. `receipt` is where proof is left, if one of them needs it.
    pub(crate) fn seal(
        &self,
        known: Revision,
        receipt: Option<&ReceiptSlot>,
        members: Vec<Member>,
    ) -> (Txn, Seal) {
        let seal = Seal {
            under: known,
            members: members.len(),
            receipt: receipt.is_some(),
        };
        let envelope = Txn::new()
            .when([self.is(known)])
            .then(receipt.map(|slot| slot.put(slot.key.clone(), self.lease)))
            .otherwise([self.read()]);
        let one = members.len() == 1;
        let members = members.into_iter().enumerate();
        let envelope = members.fold(envelope, |envelope, (index, member)| {
            let Member { txn, needs_receipt } = member;
            if one {
                // Its else becomes the envelope's, which happens where the guard is not as known.
                debug_assert!(!Txn::new().then(txn.otherwise.clone()).writes());
                return envelope
                    .when(txn.compares)
                    .then(txn.then)
                    .otherwise(txn.otherwise);
            }
            let slot = receipt.filter(|_| needs_receipt);
            // After its reads, so that these keep their places.
            let note = slot.map(|slot| slot.put(slot.note(index), self.lease));
            envelope.then([Op::Txn(txn.otherwise(note))])
        });
        (envelope, seal)
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
        self.range().into()
    }

    /// Reads the guard.
    pub(crate) fn range(&self) -> RangeRequest {
        RangeRequest::new(self.key.clone()).keys_only()
    }
}

impl Seal {
    /// The guard's revision that the envelope compares.
    pub(crate) const fn under(&self) -> Revision {
        self.under
    }

    /// Takes the members' answers out of the envelope's, in their order.
    pub(crate) fn open(
        &self,
        response: TxnResponse,
    ) -> Result<Opened<Vec<TxnResponse>>, Malformed> {
        let ours = if response.succeeded {
            usize::from(self.receipt)
        } else {
            let guard = guard_in(&response)?;
            if guard != self.under {
                return Ok(opened_by(guard));
            }
            1
        };
        if self.members == 1 {
            return Ok(Opened::Answer(vec![without_first(response, ours)?]));
        }
        let answers = without_first(response, ours)?.responses.into_iter();
        let answers = answers.map(|answer| match answer {
            OpResponse::Txn(answer) => Ok(answer),
            OpResponse::Put | OpResponse::Delete { .. } | OpResponse::Range(_) => Err(Malformed),
        });
        let answers: Vec<_> = answers.collect::<Result<_, _>>()?;
        if answers.len() == self.members {
            Ok(Opened::Answer(answers))
        } else {
            Err(Malformed)
        }
    }
}

fn without_first(mut response: TxnResponse, count: usize) -> Result<TxnResponse, Malformed> {
    if response.responses.len() < count {
        return Err(Malformed);
    }
    response.responses.drain(..count);
    Ok(response)
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
