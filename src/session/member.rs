//! A verb on its way through the writer, whatever verb it is.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crate::{
    protocol::verb::{Evidence, Malformed, Settled, Verb},
    store::{self, RangeRequest, Txn, TxnResponse},
};

/// Why a verb has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// It was not sent in time, or was and did not happen: etcd could not be reached.
    #[error("etcd could not be reached: {0}")]
    Unreached(String),
    /// etcd refused it, and nothing happened.
    #[error(transparent)]
    Refused(#[from] store::Error),
    /// The session ended before it was sent: another session can send it.
    #[error("the session ended before it was sent")]
    NotSent,
    /// The session ended while it was under way, and its lease is gone.
    #[error("the session ended while it was under way")]
    Lost,
    /// It was sent, and etcd stayed out of reach past the deadline.
    #[error("no answer came, and etcd could not be asked what became of it: {0}")]
    Unknown(String),
    /// etcd's answer could not be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl WriteError {
    /// Nothing is left that would tell what became of the verb.
    pub(super) fn untold() -> Self {
        Self::Unknown("what would tell has gone with the session".to_owned())
    }
}

/// How far a verb has come, shared with who waits for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket(Arc<AtomicU8>);

const WAITING: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Ticket {
    /// Gives up on a verb that is waiting; false if it has been sent.
    pub(super) fn give_up(&self) -> bool {
        self.turn(WAITING, GIVEN_UP)
    }

    /// Marks the verb as sent; false if it was given up.
    fn send(&self) -> bool {
        self.turn(WAITING, SENT)
    }

    /// Marks the verb as waiting again: what was sent did not happen.
    fn wait(&self) {
        self.turn(SENT, WAITING);
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A verb with the one who waits for its outcome; their type is forgotten.
pub(super) trait Member: Send {
    /// Marks it as sent; false if nobody wants it any more.
    fn send(&self) -> bool;

    /// Marks it as waiting: what was sent did not happen.
    fn wait(&self);

    fn doing(&self) -> String;

    fn needs_receipt(&self) -> bool;

    fn txn(&self) -> Txn;

    fn probe(&self) -> Vec<RangeRequest>;

    /// Ends it with the outcome that the answer means.
    fn answer(self: Box<Self>, response: &TxnResponse);

    /// Ends it if the evidence tells what became of it.
    fn settle(self: Box<Self>, evidence: &Evidence<'_>) -> Verdict;

    /// Ends it without an outcome.
    fn fail(self: Box<Self>, error: WriteError);
}

/// What is to be done with a member after its evidence was seen.
pub(super) enum Verdict {
    /// Nothing: it has ended.
    Ended,
    /// It did not happen and will not: send it again.
    Again(Box<dyn Member>),
    /// Nobody can tell any more.
    CannotTell(Box<dyn Member>),
}

/// The member that carries `verb`, and calls `then` in the writer's task when it ends. `then` must
/// be quick, and must not panic.
pub(super) fn member<V, F>(verb: V, ticket: Ticket, then: F) -> Box<dyn Member>
where
    V: Verb,
    F: FnOnce(Result<V::Outcome, WriteError>) + Send + 'static,
{
    Box::new(Carried { verb, ticket, then })
}

struct Carried<V, F> {
    verb: V,
    ticket: Ticket,
    then: F,
}

impl<V, F> Member for Carried<V, F>
where
    V: Verb,
    F: FnOnce(Result<V::Outcome, WriteError>) + Send + 'static,
{
    fn send(&self) -> bool {
        self.ticket.send()
    }

    fn wait(&self) {
        self.ticket.wait();
    }

    fn doing(&self) -> String {
        self.verb.doing()
    }

    fn needs_receipt(&self) -> bool {
        V::NEEDS_RECEIPT
    }

    fn txn(&self) -> Txn {
        self.verb.txn()
    }

    fn probe(&self) -> Vec<RangeRequest> {
        self.verb.probe()
    }

    fn answer(self: Box<Self>, response: &TxnResponse) {
        (self.then)(self.verb.outcome(response).map_err(WriteError::from));
    }

    fn settle(self: Box<Self>, evidence: &Evidence<'_>) -> Verdict {
        match self.verb.settle(evidence) {
            Ok(Settled::DidNotHappen) => return Verdict::Again(self),
            Ok(Settled::CannotTell) => return Verdict::CannotTell(self),
            Ok(Settled::Known(outcome)) => (self.then)(Ok(outcome)),
            Err(malformed) => (self.then)(Err(malformed.into())),
        }
        Verdict::Ended
    }

    fn fail(self: Box<Self>, error: WriteError) {
        (self.then)(Err(error));
    }
}
