//! The one way to write: verbs in, definite answers out.
//!
//! A task of its own sends every verb in the session's envelope and keeps at it until the answer
//! is definite:
//!
//! - answered: the verb has its outcome;
//! - refused by the guard because of a fence: it did not happen, and waits again in its old place;
//! - not sent (etcd was out of reach): the same, after a backoff;
//! - answer lost: the session *fences*. It puts its guard anew, which makes sure that nothing sent
//!   before can still happen, and in the same transaction reads what tells what did. One fence at
//!   a time; nothing else is sent until all doubts are settled.
//!
//! Nothing is ever sent again that could still happen. When the guard is gone, or the session is
//! lost for another reason, the writer revokes the lease and only then answers what was under way
//! ([`super::windup`]).
//!
//! When a call ends, by its deadline or because its future was dropped, what was sent is followed to
//! its end; what was not is not sent any more.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    backoff::Backoff,
    keeper::{Life, Loss},
    member::{Member, Ticket, Verdict, WriteError, member},
    slots::Slots,
};
use crate::{
    protocol::{
        envelope::{Guard, Opened, ReceiptSlot},
        keys::Keyspace,
        verb::{Evidence, Receipt, Verb},
    },
    random::Random,
    store::{
        self, ErrorKind, OpResponse, RangeRequest, RangeResponse, Revision, Store, TxnResponse,
    },
};

/// How many envelopes are under way at once. What waits beyond that waits in the writer.
const IN_FLIGHT: usize = 256;

/// How many verbs wait in the writer at most. Who comes after them waits before handing in.
const WAITING: usize = 4_096;

/// How many verbs are settled in one transaction, at first: each reads at most one record of 1 MiB.
/// Halved when a settling gets no answer, which can be too large to be read.
const SETTLED_AT_ONCE: usize = 16;

/// The end of the writer at which verbs are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
}

pub(super) type Order = Box<dyn Member>;

impl Writer {
    /// A writer of the session whose guard was put at `known`, and the task that it works in.
    pub(super) fn new(
        store: Arc<dyn Store>,
        keys: Keyspace,
        guard: Guard,
        known: Revision,
        life: Arc<Life>,
        random: Random,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (orders, incoming) = mpsc::channel(IN_FLIGHT);
        let task = Line {
            store,
            keys,
            guard,
            known,
            waiting: BTreeMap::new(),
            sent: BTreeMap::new(),
            doubts: 0,
            answers: FuturesUnordered::new(),
            settling: None,
            settled_at_once: SETTLED_AT_ONCE,
            slots: Slots::default(),
            names: 0,
            last_trouble: "nothing was sent before the deadline".to_owned(),
            backoff: Backoff::new(random.clone()),
            random,
        };
        (Self { orders }, task.run(incoming, life))
    }

    /// Writes `verb`, and waits for its outcome until `deadline`.
    pub(crate) async fn write<V: Verb>(
        &self,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        self.write_then(verb, deadline, |outcome| outcome).await
    }

    /// Writes `verb`, and waits until `deadline` for what `then` makes of its outcome.
    ///
    /// `then` is called in the writer's task, even if the outcome comes after the deadline or when
    /// the caller has gone. It must be quick, and must not panic. When this ends, the verb has its
    /// outcome, or is not sent (again); what was sent can still happen.
    pub(super) async fn write_then<V, T, F>(
        &self,
        verb: V,
        deadline: Instant,
        then: F,
    ) -> Result<T, WriteError>
    where
        V: Verb,
        T: Send + 'static,
        F: FnOnce(Result<V::Outcome, WriteError>) -> Result<T, WriteError> + Send + 'static,
    {
        let call = Call(Ticket::default());
        let (tell, mut told) = oneshot::channel();
        // Who does not listen any more does not mind.
        let then = move |outcome| _ = tell.send(then(outcome));
        let order = member(verb, call.0.clone(), then);
        match timeout_at(deadline, self.orders.reserve()).await {
            Ok(Ok(place)) => place.send(order),
            Ok(Err(_over)) => order.fail(WriteError::NotSent),
            Err(_late) => order.fail(WriteError::Unreached("too much is waiting".to_owned())),
        }
        if let Ok(outcome) = timeout_at(deadline, &mut told).await {
            let ended = |_| Err(WriteError::Unknown("the writer has ended".to_owned()));
            return outcome.unwrap_or_else(ended);
        }
        let why = "the deadline of the call is over".to_owned();
        if call.0.give_up() {
            return Err(WriteError::Unreached(why));
        }
        told.try_recv().unwrap_or(Err(WriteError::Unknown(why)))
    }
}

/// A call that waits for a verb. When it ends, however it does, the verb is not sent any more.
struct Call(Ticket);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// A verb that was sent.
pub(super) struct Envelope {
    pub(super) member: Order,
    /// The guard's revision that it compares.
    under: Revision,
    receipt: Option<(usize, ReceiptSlot)>,
    answer_lost: bool,
}

type Answer = Result<TxnResponse, store::Error>;

/// The writer's task.
pub(super) struct Line {
    pub(super) store: Arc<dyn Store>,
    keys: Keyspace,
    pub(super) guard: Guard,
    /// The newest revision at which the guard is known to have been put.
    known: Revision,
    /// What waits, by its place in the line: the order in which it was handed in first.
    pub(super) waiting: BTreeMap<u64, Order>,
    /// What was sent, by its place in the line.
    pub(super) sent: BTreeMap<u64, Envelope>,
    /// How many of the sent have lost their answers.
    doubts: usize,
    pub(super) answers: FuturesUnordered<BoxFuture<'static, (u64, Answer)>>,
    settling: Option<BoxFuture<'static, (Vec<u64>, Answer)>>,
    settled_at_once: usize,
    slots: Slots,
    names: u64,
    last_trouble: String,
    backoff: Backoff,
    pub(super) random: Random,
}

impl Line {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, life: Arc<Life>) {
        loop {
            self.send_what_can_be(&life);
            tokio::select! {
                biased;
                () = life.lost().cancelled() => break,
                Some((place, answer)) = self.answers.next() => self.answered(place, answer, &life),
                (asked, answer) = pending_if_none(self.settling.as_mut()) => {
                    self.settling = None;
                    self.settled(&asked, answer, &life);
                }
                () = self.backoff.wait(), if self.backoff.waits() => {}
                order = orders.recv(), if self.waiting.len() < WAITING => match order {
                    Some(order) => self.queue(order),
                    None => life.lose(Loss::Closed),
                },
            }
        }
        self.wind_up(orders, &life).await;
    }

    pub(super) fn queue(&mut self, order: Order) {
        let place = self.name();
        self.waiting.insert(place, order);
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn send_what_can_be(&mut self, life: &Life) {
        if self.backoff.waits() || self.settling.is_some() || life.loss().is_some() {
            return;
        }
        if self.doubts > 0 {
            return self.settle_some();
        }
        while self.sent.len() < IN_FLIGHT {
            let Some((place, member)) = self.waiting.pop_first() else {
                return;
            };
            if member.send() {
                self.send(place, member);
            } else {
                member.fail(WriteError::Unreached(self.last_trouble.clone()));
            }
        }
    }

    fn send(&mut self, place: u64, member: Order) {
        let receipt = member.needs_receipt().then(|| {
            let (slot, envelope) = (self.slots.take(), self.name());
            let key = self.keys.receipt(self.guard.session(), slot);
            (slot, ReceiptSlot { key, envelope })
        });
        let proof = receipt.as_ref().map(|(_, proof)| proof);
        let txn = self.guard.seal(self.known, proof, member.txn());
        let store = Arc::clone(&self.store);
        self.answers
            .push(async move { (place, store.txn(txn).await) }.boxed());
        let envelope = Envelope {
            member,
            under: self.known,
            receipt,
            answer_lost: false,
        };
        self.sent.insert(place, envelope);
    }

    pub(super) fn answered(&mut self, place: u64, answer: Answer, life: &Life) {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.unanswered(place, error, life),
        };
        self.backoff.succeed();
        let Some(envelope) = self.take(place) else {
            return;
        };
        match Guard::unseal(envelope.under, envelope.receipt.is_some(), response) {
            Ok(Opened::Answer(response)) => envelope.member.answer(&response),
            Ok(Opened::Fenced(guard)) => {
                self.known = self.known.max(guard);
                self.again(place, envelope.member);
            }
            Ok(Opened::Gone) => {
                // It did not happen: the guard was compared.
                life.lose(Loss::GuardGone);
                self.again(place, envelope.member);
            }
            Err(malformed) => envelope.member.fail(malformed.into()),
        }
    }

    fn unanswered(&mut self, place: u64, error: store::Error, life: &Life) {
        match error.kind() {
            ErrorKind::Ambiguous => {
                let Some(envelope) = self.sent.get_mut(&place) else {
                    return;
                };
                tracing::debug!(verb = envelope.member.doing(), %error, "answer lost");
                envelope.answer_lost = true;
                self.doubts += 1;
                self.last_trouble = error.to_string();
                return;
            }
            ErrorKind::Unavailable => {
                self.last_trouble = error.to_string();
                self.trouble();
            }
            ErrorKind::LeaseNotFound if !self.sent_with_a_foreign_lease(place) => {
                life.lose(Loss::LeaseGone);
            }
            _ => {
                if let Some(envelope) = self.take(place) {
                    envelope.member.fail(error.into());
                }
                return;
            }
        }
        if let Some(envelope) = self.take(place) {
            self.again(place, envelope.member);
        }
    }

    fn sent_with_a_foreign_lease(&self, place: u64) -> bool {
        let envelope = self.sent.get(&place);
        envelope.is_some_and(|envelope| envelope.member.foreign_lease())
    }

    /// Takes out what was sent and has ended.
    fn take(&mut self, place: u64) -> Option<Envelope> {
        let envelope = self.sent.remove(&place)?;
        self.doubts -= usize::from(envelope.answer_lost);
        if let Some((slot, _)) = envelope.receipt {
            self.slots.give_back(slot);
        }
        Some(envelope)
    }

    /// Lets what did not happen wait again, in its old place, if it is still wanted.
    fn again(&mut self, place: u64, member: Order) {
        if member.wait() {
            self.waiting.insert(place, member);
        } else {
            member.fail(WriteError::Unreached(self.last_trouble.clone()));
        }
    }

    /// Asks what became of some that lost their answers: with a fence if one of them could still
    /// happen, else with a look.
    fn settle_some(&mut self) {
        let doubts = || {
            self.sent
                .iter()
                .filter(|(_, envelope)| envelope.answer_lost)
        };
        let fence = doubts().any(|(_, envelope)| envelope.under == self.known);
        let (asked, reads): (Vec<_>, Vec<_>) = doubts()
            .take(self.settled_at_once)
            .map(|(place, envelope)| (*place, envelope.reads()))
            .unzip();
        let reads = reads.into_iter().flatten().collect();
        let txn = if fence {
            self.guard.fence(self.known, reads)
        } else {
            self.guard.look(self.known, reads)
        };
        let store = Arc::clone(&self.store);
        self.settling = Some(async move { (asked, store.txn(txn).await) }.boxed());
    }

    fn settled(&mut self, asked: &[u64], answer: Answer, life: &Life) {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.unsettled(&error, life),
        };
        self.settled_at_once = SETTLED_AT_ONCE;
        let at = response.header.revision;
        let fenced = matches!(response.responses.first(), Some(OpResponse::Put));
        match Guard::reads(response) {
            Ok(Opened::Answer(reads)) => {
                if fenced {
                    self.known = at;
                }
                self.hand_out(asked, at, reads);
            }
            Ok(Opened::Fenced(guard)) => self.known = self.known.max(guard),
            Ok(Opened::Gone) => life.lose(Loss::GuardGone),
            Err(malformed) => {
                tracing::error!(error = %malformed, "ending the session");
                life.lose(Loss::GuardGone);
            }
        }
    }

    fn unsettled(&mut self, error: &store::Error, life: &Life) {
        tracing::debug!(%error, "the fence got no answer");
        self.last_trouble = error.to_string();
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Ambiguous => {
                self.settled_at_once = (self.settled_at_once / 2).max(1);
                self.trouble();
            }
            ErrorKind::LeaseNotFound => life.lose(Loss::LeaseGone),
            // The guard can not be put (for lack of space, say): revoking the lease fences as well.
            _ => life.lose(Loss::GuardGone),
        }
    }

    /// Waits a while before anything is sent. What fails together is one trouble.
    fn trouble(&mut self) {
        if !self.backoff.waits() {
            self.backoff.fail();
        }
    }

    /// Gives each of those asked about its part of the reads.
    fn hand_out(&mut self, asked: &[u64], at: Revision, reads: Vec<RangeResponse>) {
        let mut reads = reads.into_iter();
        for place in asked {
            let Some(envelope) = self.take(*place) else {
                continue;
            };
            let own: Vec<_> = reads.by_ref().take(envelope.reads().len()).collect();
            let receipt = match (&envelope.receipt, own.last()) {
                (Some((_, proof)), Some(read)) if proof.is_in(read) => Receipt::Names,
                _ => Receipt::DoesNotName,
            };
            match envelope.member.settle(&Evidence {
                at,
                reads: &own,
                receipt,
            }) {
                Verdict::Ended => {}
                Verdict::Again(member) => {
                    // What loses its answer each time must not fence the others all the time.
                    self.trouble();
                    self.again(*place, member);
                }
                Verdict::CannotTell(member) => member.fail(WriteError::untold()),
            }
        }
    }
}

impl Envelope {
    /// What tells what became of it: its verb's probe, then its receipt.
    fn reads(&self) -> Vec<RangeRequest> {
        let receipt = self.receipt.as_ref().map(|(_, proof)| proof.key.clone());
        self.member
            .probe()
            .into_iter()
            .chain(receipt.map(RangeRequest::new))
            .collect()
    }
}

/// Waits for a future that may not be there.
async fn pending_if_none<T>(future: Option<&mut BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
