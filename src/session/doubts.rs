//! Verbs whose answers were lost, or do not tell, until it is known what became of them.
//!
//! The session *fences*: it puts its guard anew, which makes sure that nothing sent before can still
//! happen, and in the same transaction reads what tells what did. What does not fit into the fence is
//! read under the same guard after it, a slice at a time. What etcd has answered by there being no space needs no
//! fence, and is read alone.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use super::{
    member::{Member, Verdict},
    slots::Slot,
};
use crate::{
    protocol::{
        envelope::{Guard, Opened, Proof},
        verb::{Evidence, Malformed, Receipt},
    },
    store::{
        self, ErrorKind, Op, OpResponse, RangeRequest, RangeResponse, Revision, Store, Txn,
        TxnResponse,
    },
};

/// How many verbs are settled in one transaction, at first: each reads few keys, at most one record of
/// 1 MiB among them. Halved for once when a settling gets no answer, which can be too large to be
/// read; halved for good when the store does not do so much at once.
const SETTLED_AT_ONCE: usize = 16;

/// A verb of which it is not known what became of it.
pub(super) struct Doubt {
    pub(super) member: Box<dyn Member>,
    /// The guard's revision that its envelope compared.
    pub(super) under: Revision,
    /// Where its envelope left proof, and the place that keeps it.
    pub(super) proof: Option<(Proof, Arc<Slot>)>,
    /// What was answered, if anything was.
    pub(super) refusal: Option<Refusal>,
}

/// That etcd has no space, which it also answers to what it applied: what was under way when its space ran
/// out. Nothing more can come of that.
pub(super) enum Refusal {
    /// It was answered to this verb.
    OfOne(store::Error),
    /// It was answered to this verb and others.
    OfMany,
}

/// All that are in doubt, by their places in the line.
pub(super) struct Doubts {
    open: BTreeMap<u64, Doubt>,
    asking: Option<BoxFuture<'static, Asked>>,
    at_once: usize,
    at_once_at_most: usize,
}

/// Who was asked about, and what the store said.
pub(super) struct Asked {
    places: Vec<u64>,
    answer: Result<TxnResponse, store::Error>,
}

/// What became of the question.
pub(super) enum Found {
    /// The guard is at this revision, put by a fence: with this question, or before it was asked.
    Guard(Revision, Vec<(u64, Verdict, Option<Refusal>)>),
    /// The guard is gone.
    Gone,
    /// The store does not do, or answer, so much at once: fewer are to be asked about.
    TooMany,
    /// No answer came.
    Nothing(store::Error),
    /// The answer can not be understood.
    Malformed(Malformed),
}

impl Default for Doubts {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            asking: None,
            at_once: SETTLED_AT_ONCE,
            at_once_at_most: SETTLED_AT_ONCE,
        }
    }
}

impl Doubts {
    pub(super) fn add(&mut self, place: u64, doubt: Doubt) {
        self.open.insert(place, doubt);
    }

    /// Whether nothing may be sent: something is in doubt.
    pub(super) fn any(&self) -> bool {
        !self.open.is_empty() || self.asking.is_some()
    }

    /// Asks about some, unless that is under way: of what was refused with reads, as there can be no space for
    /// anything else; of the others with a fence if one of all could still happen, else with a look.
    pub(super) fn ask(&mut self, guard: &Guard, known: Revision, store: &Arc<dyn Store>) {
        if self.asking.is_some() || self.open.is_empty() {
            return;
        }
        let refused = self.open.values().any(|doubt| doubt.refusal.is_some());
        let (places, reads): (Vec<_>, Vec<_>) = self
            .open
            .iter()
            .filter(|(_, doubt)| doubt.refusal.is_some() == refused)
            .take(self.at_once)
            .map(|(place, doubt)| (*place, doubt.reads()))
            .unzip();
        let reads = reads.into_iter().flatten().collect();
        let store = Arc::clone(store);
        if refused {
            let guard = guard.clone();
            let asking = async move {
                let answer = look_by_reads(&guard, known, reads, &*store).await;
                Asked { places, answer }
            };
            self.asking = Some(asking.boxed());
            return;
        }
        let txn = if self.open.values().any(|doubt| doubt.under == known) {
            guard.fence(known, reads)
        } else {
            guard.look(known, reads)
        };
        let asking = async move {
            let answer = store.txn(txn).await;
            Asked { places, answer }
        };
        self.asking = Some(asking.boxed());
    }

    /// Waits for the answer to a question, if one is under way; for ever, if not. Cancel safe.
    pub(super) async fn asked(&mut self) -> Asked {
        let Some(asking) = &mut self.asking else {
            return std::future::pending().await;
        };
        let asked = asking.await;
        self.asking = None;
        asked
    }

    /// Judges each of those asked about by its part of the reads. `known` is the guard's revision
    /// under which the question was asked.
    pub(super) fn judge(&mut self, asked: Asked, known: Revision) -> Found {
        let response = match asked.answer {
            Ok(response) => response,
            Err(error) => {
                let more_than_one = asked.places.len() > 1;
                self.at_once = (self.at_once / 2).max(1);
                return match error.kind() {
                    ErrorKind::TooManyOps if more_than_one => {
                        self.at_once_at_most = self.at_once;
                        Found::TooMany
                    }
                    // What a fence's answer does not fit into, a look's does not either.
                    ErrorKind::TooLarge if more_than_one => Found::TooMany,
                    _ => Found::Nothing(error),
                };
            }
        };
        self.at_once = self.at_once_at_most;
        let at = response.header.revision;
        let fenced = matches!(response.responses.first(), Some(OpResponse::Put));
        match Guard::reads(response) {
            Ok(Opened::Answer(reads)) => {
                let verdicts = self.verdicts(&asked.places, at, reads);
                Found::Guard(if fenced { at } else { known }, verdicts)
            }
            Ok(Opened::Fenced(guard)) => Found::Guard(guard, Vec::new()),
            Ok(Opened::Gone) => Found::Gone,
            Err(malformed) => Found::Malformed(malformed),
        }
    }

    fn verdicts(
        &mut self,
        places: &[u64],
        at: Revision,
        reads: Vec<RangeResponse>,
    ) -> Vec<(u64, Verdict, Option<Refusal>)> {
        let mut reads = reads.into_iter();
        let judge = |place: &u64| {
            let mut doubt = self.open.remove(place)?;
            let count = doubt.reads().len();
            let own: Vec<_> = reads.by_ref().take(count).collect();
            let refusal = doubt.refusal.take();
            Some((*place, doubt.judge(at, &own), refusal))
        };
        places.iter().filter_map(judge).collect()
    }

    /// Takes out all that are in doubt.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Box<dyn Member>> {
        let doubts = std::mem::take(&mut self.open);
        doubts.into_values().map(|doubt| doubt.member)
    }
}

/// As a [look](Guard::look), by reads alone, which a store also answers that has no space for anything else. The
/// answer is as a look's.
async fn look_by_reads(
    guard: &Guard,
    known: Revision,
    reads: Vec<RangeRequest>,
    store: &dyn Store,
) -> store::Result<TxnResponse> {
    let all = [guard.range()].into_iter().chain(reads);
    let mut response = store.txn(Txn::new().then(all.map(Op::Range))).await?;
    let read = response.responses.first().and_then(OpResponse::as_range);
    let put = read.and_then(|guard| Some(guard.first()?.mod_revision));
    response.succeeded = put == Some(known);
    if response.succeeded {
        response.responses.remove(0);
    } else {
        response.responses.truncate(1);
    }
    Ok(response)
}

impl Doubt {
    /// What tells what became of it: its verb's probe, then its proof.
    fn reads(&self) -> Vec<RangeRequest> {
        let mut reads = self.member.probe();
        if let Some((proof, _)) = &self.proof {
            reads.extend(proof.reads());
        }
        reads
    }

    fn judge(self, at: Revision, reads: &[RangeResponse]) -> Verdict {
        let (reads, proofs) = reads.split_at(self.member.probe().len().min(reads.len()));
        let receipt = match &self.proof {
            Some((proof, _)) => proof.receipt(proofs),
            None => Receipt::DoesNotName,
        };
        self.member.settle(&Evidence { at, reads, receipt })
    }
}
