//! What a verb of the board is: a pure pair of functions, from the verb to a transaction and from
//! the answer to an outcome, and a second pair for when the answer was lost.

use std::fmt;

use crate::store::{KeyValue, RangeRequest, RangeResponse, Revision, Txn, TxnResponse};

/// A verb of the board, about to be written by a session.
///
/// The session wraps the transaction into its guard, so that the verb happens at most once and
/// only while the session lives. A lost answer is resolved after a fence: the verb's
/// [`probe`](Self::probe) is read at a revision after which the lost request can not happen any
/// more, and [`settle`](Self::settle) tells from it what became of the verb.
pub(crate) trait Verb: fmt::Debug + Send + 'static {
    /// What came of it: done, or refused and why.
    type Outcome: Send + 'static;

    /// Whether the verb makes something that others can take away before anybody looks, so that
    /// it needs a receipt.
    const NEEDS_RECEIPT: bool = false;

    /// Whether the verb puts a key on a lease that is not its session's. That lease can be gone while
    /// the session lives, and then the verb is refused.
    const FOREIGN_LEASE: bool = false;

    /// What is being done, for messages: "claim job 42".
    fn doing(&self) -> String;

    /// The transaction that does it.
    fn txn(&self) -> Txn;

    /// What the answer to the transaction means.
    fn outcome(&self, response: &TxnResponse) -> Result<Self::Outcome, Malformed>;

    /// What must be read to tell what became of a verb whose answer was lost.
    fn probe(&self) -> Vec<RangeRequest>;

    /// What became of it.
    fn settle(&self, evidence: &Evidence<'_>) -> Result<Settled<Self::Outcome>, Malformed>;
}

/// What was read after a fence about a verb whose answer was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The revision that was read: what happened, happened at it or before.
    pub(crate) at: Revision,
    /// The answers to the verb's probe, in its order.
    pub(crate) reads: &'a [RangeResponse],
    /// What the receipt says; only to be asked by verbs that need one.
    pub(crate) receipt: Receipt,
}

/// What is known of the receipt under which a verb was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It names the envelope that carried the verb: that one was written.
    Names,
    /// It does not name it: that one was not written.
    DoesNotName,
    /// It went with its session.
    Gone,
}

/// What became of a verb whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled<O> {
    /// This came of it.
    Known(O),
    /// Nothing happened, and nothing will: it can be sent again.
    DidNotHappen,
    /// It can have happened, and will not any more: to do it again leaves the same.
    Repeat,
    /// Nobody can tell any more.
    CannotTell,
}

/// What a verb compares is not as it was read (any more): it is to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

/// An answer that does not have the shape of its question. Never seen from etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer of etcd does not have the shape of the question")]
pub(crate) struct Malformed;

/// The answer to the `index`-th operation of the branch that happened, a read.
pub(crate) fn read_of(response: &TxnResponse, index: usize) -> Result<&RangeResponse, Malformed> {
    response
        .responses
        .get(index)
        .and_then(|answer| answer.as_range())
        .ok_or(Malformed)
}

impl Evidence<'_> {
    /// What the `index`-th read of the probe, of a single key, found.
    pub(crate) fn key(&self, index: usize) -> Result<Option<&KeyValue>, Malformed> {
        Ok(self.reads.get(index).ok_or(Malformed)?.first())
    }

    /// The revision at which the `index`-th read's key came to be; zero if it is not there.
    pub(crate) fn create_revision(&self, index: usize) -> Result<Revision, Malformed> {
        Ok(create_revision(self.key(index)?))
    }

    /// The revision of the last put of the `index`-th read's key; zero if it is not there.
    pub(crate) fn mod_revision(&self, index: usize) -> Result<Revision, Malformed> {
        Ok(mod_revision(self.key(index)?))
    }

    /// What became of a verb of which the receipt tells: if it happened, what is `done`. Once the
    /// receipt has gone, what was read can still show it `undone`.
    pub(crate) fn by_receipt<O>(&self, done: O, undone: bool) -> Settled<O> {
        match self.receipt {
            Receipt::Names => Settled::Known(done),
            Receipt::DoesNotName => Settled::DidNotHappen,
            Receipt::Gone if undone => Settled::DidNotHappen,
            Receipt::Gone => Settled::CannotTell,
        }
    }
}

/// The revision at which a key came to be; zero, as etcd compares it, if it is not there.
pub(crate) fn create_revision(kv: Option<&KeyValue>) -> Revision {
    kv.map_or(Revision::ZERO, |kv| kv.create_revision)
}

/// The revision of a key's last put; zero, as etcd compares it, if it is not there.
pub(crate) fn mod_revision(kv: Option<&KeyValue>) -> Revision {
    kv.map_or(Revision::ZERO, |kv| kv.mod_revision)
}
