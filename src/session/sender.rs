//! What sends a session's verbs, and keeps at it until each answer is definite.
//!
//! What waits while envelopes are under way goes together into the next one ([`Line`]); nothing waits
//! while fewer are under way than may be. Of an envelope that was sent:
//!
//! - answered: each member has its outcome;
//! - refused by the guard because of a fence: they did not happen, and wait again in their old places;
//! - not sent (etcd was out of reach): the same, after a backoff;
//! - refused as a whole, for one member or for its size: the same, each alone or fewer together;
//! - refused for lack of space: the session looks whether it happened, as etcd can have applied it;
//! - answer lost: the session *fences*, and learns what became of each ([`Doubts`]). One fence at a
//!   time; nothing else is sent until all doubts are settled.
//!
//! Nothing is ever sent again that could still happen. When the guard is gone, or the session is
//! lost for another reason, the lease is revoked, and only then is answered what was under way
//! ([`super::windup`]).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, task::yield_now, time::Instant};

use super::{
    Parts,
    backoff::Backoff,
    doubts::{Asked, Doubt, Doubts, Found, Refusal},
    keeper::{Life, Loss},
    line::{Grouping, Line, Load, Order},
    member::{Member, Verdict, WriteError},
    plan::Contents,
    slots::{Slot, Slots},
};
use crate::{
    alarm::at,
    protocol::{
        envelope::{Guard, Opened, ReceiptSlot, Seal},
        keys::Keyspace,
    },
    random::Random,
    store::{self, ErrorKind, Revision, Store, TxnResponse},
};

/// How many verbs wait in the writer at most. Who comes after them waits before handing in.
const WAITING: usize = 4_096;

/// After how long without an answer an envelope no longer keeps others from being sent: its endpoint
/// has stalled, and another may not have. Far more than an answer takes.
const STALLED: Duration = Duration::from_millis(250);

/// How many envelopes are under way at most, the stalled and those of one member that goes alone
/// among them.
const UNDER_WAY: usize = 16;

/// An envelope that was sent.
struct Envelope {
    /// Its members, each with its place in the line.
    members: Vec<(u64, Box<dyn Member>)>,
    contents: Contents,
    seal: Seal,
    receipt: Option<(ReceiptSlot, Arc<Slot>)>,
    at: Instant,
}

type Answer = Result<TxnResponse, store::Error>;

/// What sends.
pub(super) struct Sender {
    pub(super) store: Arc<dyn Store>,
    keys: Keyspace,
    pub(super) guard: Guard,
    /// The newest revision at which the guard is known to have been put.
    known: Revision,
    line: Line,
    /// What was sent and has no answer, by the envelopes' names: in the order in which it was sent.
    sent: BTreeMap<u64, Envelope>,
    doubts: Doubts,
    pub(super) answers: FuturesUnordered<BoxFuture<'static, (u64, Answer)>>,
    /// How many envelopes are under way at once.
    under_way: usize,
    slots: Slots,
    /// How many names were given, to envelopes and to places in the line.
    names: u64,
    last_trouble: String,
    /// Whether any of those in doubt did not happen.
    missed: bool,
    backoff: Backoff,
    pub(super) random: Random,
}

impl Sender {
    pub(super) fn new(parts: &Parts, guard: Guard, known: Revision) -> Self {
        let limits = parts.store.limits();
        let grouping = Grouping::new(parts.settings.group_commit, limits);
        Self {
            store: Arc::clone(&parts.store),
            keys: parts.keys.clone(),
            guard,
            known,
            under_way: grouping.under_way,
            line: Line::new(grouping, limits),
            sent: BTreeMap::new(),
            doubts: Doubts::default(),
            answers: FuturesUnordered::new(),
            slots: Slots::default(),
            names: 0,
            last_trouble: "nothing was sent before the deadline".to_owned(),
            missed: false,
            backoff: Backoff::new(parts.random.clone()),
            random: parts.random.clone(),
        }
    }

    /// Sends what comes, until the session is over.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>, life: Arc<Life>) {
        loop {
            self.send_what_can_be(&life);
            let blocked = self.blocked_until();
            tokio::select! {
                biased;
                () = life.lost().cancelled() => break,
                Some((name, answer)) = self.answers.next() => self.answered(name, answer, &life),
                asked = self.doubts.asked() => self.settle(asked, &life),
                () = self.backoff.wait(), if self.backoff.waits() => {}
                order = orders.recv(), if self.line.len() < WAITING => match order {
                    Some(order) => {
                        self.queue(order);
                        if !self.sent.is_empty() {
                            // One turn of the runtime for who was woken together with this one.
                            yield_now().await;
                        }
                        self.queue_all(&mut orders);
                    }
                    None => life.lose(Loss::Closed),
                },
                () = at(blocked) => {}
            }
        }
        self.wind_up(orders, &life).await;
    }

    /// Takes in the orders that have come.
    fn queue_all(&mut self, orders: &mut mpsc::Receiver<Order>) {
        while self.line.len() < WAITING {
            match orders.try_recv() {
                Ok(order) => self.queue(order),
                Err(_none) => return,
            }
        }
    }

    pub(super) fn queue(&mut self, order: Order) {
        let place = self.name();
        self.line.push(place, order);
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn send_what_can_be(&mut self, life: &Life) {
        if self.backoff.waits() || life.loss().is_some() {
            return;
        }
        if self.doubts.any() {
            return self.doubts.ask(&self.guard, self.known, &self.store);
        }
        while self.may_send() {
            let Some(load) = self.line.next(&self.last_trouble) else {
                return;
            };
            self.send(load);
        }
    }

    /// Whether fewer are under way than may be; those that have stalled do not count.
    fn may_send(&self) -> bool {
        if self.line.is_empty() {
            return false;
        }
        let most = self.under_way.max(UNDER_WAY);
        let now = Instant::now();
        let has_stalled = |sent: &&Envelope| now.duration_since(sent.at) >= STALLED;
        let stalled = self.sent.values().take_while(has_stalled);
        let counted = if self.line.first_is_alone() {
            0
        } else {
            self.sent.len() - stalled.count()
        };
        counted < self.under_way && self.sent.len() < most
    }

    /// When the next envelope counts as stalled, where something waits for that.
    fn blocked_until(&self) -> Option<Instant> {
        if self.line.is_empty() || self.sent.len() < self.under_way {
            return None;
        }
        let now = Instant::now();
        let mut stalls = self.sent.values().map(|sent| sent.at + STALLED);
        stalls.find(|stalls| *stalls > now)
    }

    fn send(&mut self, load: Load) {
        let needs_receipt = load.txns.iter().any(|member| member.needs_receipt);
        let receipt = needs_receipt.then(|| {
            let (slot, envelope) = (self.slots.take(), self.name());
            let key = self.keys.receipt(self.guard.session(), slot.number());
            (ReceiptSlot { key, envelope }, Arc::new(slot))
        });
        let proof = receipt.as_ref().map(|(proof, _)| proof);
        let (txn, seal) = self.guard.seal(self.known, proof, load.txns);
        let (name, store) = (self.name(), Arc::clone(&self.store));
        self.answers
            .push(async move { (name, store.txn(txn).await) }.boxed());
        let envelope = Envelope {
            members: load.members,
            contents: load.contents,
            seal,
            receipt,
            at: Instant::now(),
        };
        self.sent.insert(name, envelope);
    }

    pub(super) fn answered(&mut self, name: u64, answer: Answer, life: &Life) {
        let Some(envelope) = self.sent.remove(&name) else {
            return;
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.unanswered(envelope, error, life),
        };
        self.backoff.succeed();
        match envelope.seal.open(response) {
            Ok(Opened::Answer(responses)) => {
                for ((_, member), response) in envelope.members.into_iter().zip(responses) {
                    member.answer(&response);
                }
            }
            Ok(Opened::Fenced(guard)) => {
                self.known = self.known.max(guard);
                self.again(envelope.members, false);
            }
            Ok(Opened::Gone) => {
                // It did not happen: the guard was compared.
                life.lose(Loss::GuardGone);
                self.again(envelope.members, false);
            }
            Err(malformed) => {
                for (_, member) in envelope.members {
                    member.fail(malformed.into());
                }
            }
        }
    }

    fn unanswered(&mut self, envelope: Envelope, error: store::Error, life: &Life) {
        match error.kind() {
            ErrorKind::Ambiguous => {
                tracing::debug!(members = envelope.members.len(), %error, "answer lost");
                self.last_trouble = error.to_string();
                self.doubt(envelope, None);
            }
            ErrorKind::NoSpace => self.doubt(envelope, Some(error)),
            ErrorKind::Unavailable => {
                self.last_trouble = error.to_string();
                self.trouble();
                self.again(envelope.members, false);
            }
            ErrorKind::LeaseNotFound if !envelope.has_a_foreign_lease() => {
                life.lose(Loss::LeaseGone);
                self.again(envelope.members, false);
            }
            refusal => self.refused(envelope, refusal, error),
        }
    }

    /// A refusal is of the envelope; who of many members is to blame is seen when each goes alone.
    fn refused(&mut self, mut envelope: Envelope, refusal: ErrorKind, error: store::Error) {
        if envelope.members.len() == 1 {
            if let Some((_, member)) = envelope.members.pop() {
                member.fail(error.into());
            }
            return;
        }
        tracing::debug!(members = envelope.members.len(), %error, "refused together");
        let fewer_will_do = self.line.learn(refusal, envelope.contents);
        self.again(envelope.members, !fewer_will_do);
    }

    /// Finds out what became of an envelope that was not answered, or refused though it can have happened.
    fn doubt(&mut self, envelope: Envelope, mut refused: Option<store::Error>) {
        let count = envelope.members.len();
        let under = envelope.seal.under();
        for (index, (place, member)) in envelope.members.into_iter().enumerate() {
            let receipt = envelope.receipt.as_ref().filter(|_| member.needs_receipt());
            let proof =
                receipt.map(|(receipt, slot)| (receipt.proof(index, count), Arc::clone(slot)));
            let refusal = match count {
                1 => refused.take().map(Refusal::OfOne),
                _ => refused.as_ref().map(|_| Refusal::OfMany),
            };
            let doubt = Doubt {
                member,
                under,
                proof,
                refusal,
            };
            self.doubts.add(place, doubt);
        }
    }

    /// Lets what did not happen wait again, each in its old place, if it is still wanted.
    fn again(&mut self, members: Vec<(u64, Box<dyn Member>)>, alone: bool) {
        for (place, member) in members {
            if member.wait() {
                self.line.again(place, member, alone);
            } else {
                member.fail(WriteError::Unreached(self.last_trouble.clone()));
            }
        }
    }

    fn settle(&mut self, asked: Asked, life: &Life) {
        match self.doubts.judge(asked, self.known) {
            Found::Guard(guard, verdicts) => {
                self.known = self.known.max(guard);
                for (place, verdict, refusal) in verdicts {
                    match verdict {
                        Verdict::Ended => {}
                        Verdict::Again(member) => self.did_not_happen(place, member, refusal),
                        Verdict::CannotTell(member) => member.fail(WriteError::untold()),
                    }
                }
                // What loses its answer each time must not fence the others all the time; the questions
                // themselves wait for nothing.
                if !self.doubts.any() && std::mem::take(&mut self.missed) {
                    self.trouble();
                }
            }
            Found::Gone => life.lose(Loss::GuardGone),
            // Which sends nothing but the next question.
            Found::TooMany => {}
            Found::Nothing(error) => self.unsettled(&error, life),
            Found::Malformed(malformed) => {
                tracing::error!(error = %malformed, "ending the session");
                life.lose(Loss::GuardGone);
            }
        }
    }

    fn did_not_happen(&mut self, place: u64, member: Box<dyn Member>, refusal: Option<Refusal>) {
        match refusal {
            Some(Refusal::OfOne(error)) => member.fail(error.into()),
            // There can be space for what others of them do, or leave no proof of.
            Some(Refusal::OfMany) => self.again(vec![(place, member)], true),
            None => {
                self.missed = true;
                self.again(vec![(place, member)], false);
            }
        }
    }

    fn unsettled(&mut self, error: &store::Error, life: &Life) {
        tracing::debug!(%error, "the fence got no answer");
        self.last_trouble = error.to_string();
        match error.kind() {
            // Of a past revision is only read what needs no fence.
            ErrorKind::Unavailable | ErrorKind::Ambiguous | ErrorKind::Compacted => self.trouble(),
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

    /// What waits: it was not sent, or did not happen.
    pub(super) fn take_the_waiting(&mut self) -> impl Iterator<Item = Box<dyn Member>> {
        self.line.take_all()
    }

    /// What was sent and can have happened.
    pub(super) fn take_what_was_sent(&mut self) -> Vec<Box<dyn Member>> {
        let sent = std::mem::take(&mut self.sent);
        let members = sent.into_values().flat_map(|envelope| envelope.members);
        let members = members.map(|(_, member)| member);
        members.chain(self.doubts.take_all()).collect()
    }
}

impl Envelope {
    fn has_a_foreign_lease(&self) -> bool {
        self.members
            .iter()
            .any(|(_, member)| member.foreign_lease())
    }
}
