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
    /// Whether it was refused for its size alone: nothing happened, and less of it may pass.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused(why) if why.kind() == store::ErrorKind::RequestTooLarge)
    }

    /// What is to be said where the verb can have happened when it was sent before.
    pub(super) fn in_doubt(self) -> Self {
        match self {
            Self::Unreached(why) => Self::Unknown(why),
            Self::Refused(error) => Self::Unknown(error.to_string()),
            Self::NotSent => Self::Lost,
            told => told,
        }
    }

    /// Nothing is left that would tell what became of the verb.
    pub(super) fn untold() -> Self {
        Self::Unknown("what would tell has gone with the session".to_owned())
    }
}

/// What a verb and the call that waits for it tell each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket(Arc<AtomicU8>);

/// The verb was sent, and could happen.
const SENT: u8 = 1;

/// The call has ended: the verb is not to be sent (again).
const GIVEN_UP: u8 = 2;

/// What was sent before can have happened.
const IN_DOUBT: u8 = 4;

impl Ticket {
    /// Ends the call. True if the verb has not happened and will not: it was not sent, or what was
    /// sent did not happen.
    pub(super) fn give_up(&self) -> bool {
        self.0.fetch_or(GIVEN_UP, Ordering::AcqRel) & (SENT | IN_DOUBT) == 0
    }

    /// Marks the verb as sent; false if the call has ended.
    fn send(&self) -> bool {
        let send = |state| (state & GIVEN_UP == 0).then_some(state | SENT);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, send)
            .is_ok()
    }

    /// Notes that what was sent can have happened, although it will be sent again.
    fn doubt(&self) {
        self.0.fetch_or(IN_DOUBT, Ordering::AcqRel);
    }

    fn is_in_doubt(&self) -> bool {
        self.0.load(Ordering::Acquire) & IN_DOUBT != 0
    }

    /// Marks the verb as not sent: what was sent did not happen. False if the call has ended.
    fn wait(&self) -> bool {
        self.0.fetch_and(!SENT, Ordering::AcqRel) & GIVEN_UP == 0
    }
}

/// A verb with the one who waits for its outcome; their type is forgotten.
pub(super) trait Member: Send {
    /// Marks it as sent; false if nobody wants it any more.
    fn send(&self) -> bool;

    /// Marks it as waiting: what was sent did not happen. False if nobody wants it any more.
    fn wait(&self) -> bool;

    fn doing(&self) -> String;

    fn needs_receipt(&self) -> bool;

    fn foreign_lease(&self) -> bool;

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

    fn wait(&self) -> bool {
        self.ticket.wait()
    }

    fn doing(&self) -> String {
        self.verb.doing()
    }

    fn needs_receipt(&self) -> bool {
        V::NEEDS_RECEIPT
    }

    fn foreign_lease(&self) -> bool {
        V::FOREIGN_LEASE
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
            Ok(Settled::Repeat) => {
                self.ticket.doubt();
                return Verdict::Again(self);
            }
            Ok(Settled::CannotTell) => return Verdict::CannotTell(self),
            Ok(Settled::Known(outcome)) => (self.then)(Ok(outcome)),
            Err(malformed) => (self.then)(Err(malformed.into())),
        }
        Verdict::Ended
    }

    fn fail(self: Box<Self>, error: WriteError) {
        let error = if self.ticket.is_in_doubt() {
            error.in_doubt()
        } else {
            error
        };
        (self.then)(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        protocol::{
            barrier::barrier,
            keys::{BoardName, Keyspace, Namespace},
            verb::Receipt,
        },
        store::Revision,
    };

    #[test]
    fn verb_that_can_have_happened_is_not_told_as_one_that_did_not() {
        let keys = Keyspace::new(&Namespace::default(), &BoardName::default());
        let told = Arc::new(Mutex::new(None));
        for (error, known) in [
            (WriteError::Unreached("away".to_owned()), "no answer came"),
            (
                WriteError::NotSent,
                "the session ended while it was under way",
            ),
        ] {
            let (ticket, tell) = (Ticket::default(), Arc::clone(&told));
            let then = move |outcome: Result<Revision, WriteError>| {
                *tell.lock().unwrap() = outcome.err();
            };
            let carried = member(barrier(&keys), ticket.clone(), then);
            assert!(carried.send());
            let evidence = Evidence {
                at: Revision::new(9),
                reads: &[],
                receipt: Receipt::DoesNotName,
            };
            let Verdict::Again(carried) = carried.settle(&evidence) else {
                panic!("it is to be sent again");
            };
            assert!(carried.wait() && carried.send() && carried.wait());
            carried.fail(error);
            let error = told.lock().unwrap().take().unwrap();
            assert!(error.to_string().starts_with(known), "{error}");
            assert!(!ticket.give_up(), "it could have happened");
        }
    }

    #[test]
    fn verb_of_a_call_that_ended_is_not_sent() {
        let ticket = Ticket::default();
        assert!(ticket.give_up());
        assert!(!ticket.send());
    }

    #[test]
    fn verb_of_a_call_that_ended_is_not_sent_again() {
        let ticket = Ticket::default();
        assert!(ticket.send());
        assert!(!ticket.give_up(), "it could happen");
        assert!(!ticket.wait());
        assert!(!ticket.send());
        assert!(ticket.give_up(), "it did not");
    }

    #[test]
    fn verb_that_did_not_happen_is_sent_again_while_its_call_lasts() {
        let ticket = Ticket::default();
        assert!(ticket.send());
        assert!(ticket.wait());
        assert!(ticket.send());
    }
}
