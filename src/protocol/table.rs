//! What the tables of the verbs' tests stand on: the keys of one job in any state, a verb's
//! transaction on them in its envelope, what is there afterwards, and what settling says when the
//! answer was lost.
//!
//! Every row runs on a store of its own, and along the same revisions: the guard is put at
//! [`GUARD`], what the verb has seen comes from [`SEEN`] on, what changed since then from [`SINCE`]
//! on; the verb is sent at [`SENT`], what happens later begins after that, and the fence is at
//! [`FENCED`].

mod scene;

use std::{fmt::Debug, time::Duration};

use futures::FutureExt;
use uuid::Uuid;

pub(super) use self::scene::{
    ANOTHER_POSTING, ANOTHERS, ANY, BARRIER, CANCEL, CLAIM, Change, DATA, DONE, FENCED, FOREIGN,
    FREE, GUARD, HELD, Keys, LAST_MODIFIED, LATER, NEIGHBOUR, OUR_OTHER, OURS, OWNER, PAUSED,
    POSTING, RECEIPT, RELEASED, REPLACED, SEEN, SENT, SEQUENCE, SESSION, SINCE, STATE, TASKFLOWS,
    TRASH, UNIQUE, UNIQUE_POSTING, UNREADABLE,
};
use super::{
    envelope::{Guard, Member, Opened, ReceiptSlot, Seal},
    holding::Hold,
    keys::{JobId, Keyspace},
    verb::{Evidence, Receipt, Settled, Verb},
};
use crate::store::{
    self, Compare, Header, Key, KeyRange, KeyValue, LeaseId, Memory, Op, RangeRequest,
    RangeResponse, Revision, Store, Txn, TxnResponse,
};

/// The job of all tables.
pub(super) fn job() -> JobId {
    JobId::new(7).unwrap()
}

/// A hold on the job of [`HELD`].
pub(super) fn hold(claim: Option<Uuid>) -> Hold {
    Hold {
        job: job(),
        posted: SEEN[0],
        token: SEEN[1],
        claim,
    }
}

/// A verb that is sent in some state, and answered.
#[derive(Debug)]
pub(super) struct Row<O> {
    pub(super) name: &'static str,
    /// What changed since the verb's view of the board was taken.
    pub(super) since: &'static [Change],
    pub(super) outcome: O,
    /// All keys afterwards but the guard.
    pub(super) after: Keys,
    /// What settling says if just this answer is lost.
    pub(super) settled: Settled<O>,
}

/// A verb whose answer is lost, and what happens before the fence.
#[derive(Debug)]
pub(super) struct Lost<O> {
    pub(super) name: &'static str,
    /// What happens after the verb was sent.
    pub(super) later: &'static [Change],
    /// What settling says where the request arrived before all that.
    pub(super) arrived: Settled<O>,
    /// What settling says where the request never arrived.
    pub(super) never_arrived: Settled<O>,
}

/// How a verb is sent: alone in its envelope, or as one member of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    AmongOthers,
}

const COMPANIES: [Company; 2] = [Company::Alone, Company::AmongOthers];

/// Sends `verb` in the state of each row, alone and among others.
#[track_caller]
pub(super) fn check<V: Verb<Outcome: Debug + PartialEq>>(
    seen: &[Change],
    verb: impl Fn(&Stage) -> V,
    rows: impl IntoIterator<Item = Row<V::Outcome>>,
) {
    for row in rows {
        for company in COMPANIES {
            let name = format_args!("{}, {company:?}", row.name);
            for is_gone in [false, true] {
                let stage = Stage::new(seen).in_company(company);
                let verb = verb(&stage);
                stage.change(row.since);
                stage.end_guard(is_gone);
                let before = stage.keys_there();
                let (sealed, seal) = stage.seal(&verb);
                let answer = seal.open(stage.txn(sealed)).unwrap();
                let refused = matches!(answer, Opened::Fenced(_) | Opened::Gone);
                assert!(refused, "without its guard: {name}");
                assert_eq!(stage.keys_there(), before, "without its guard: {name}");
            }
            let stage = Stage::new(seen).in_company(company);
            let verb = verb(&stage);
            stage.change(row.since);
            stage.pass(SENT);
            assert_eq!(stage.send(&verb), row.outcome, "outcome: {name}");
            let after = row.after.iter().map(|(name, put)| (key(name), *put));
            let after: Vec<_> = after.filter(|(key, _)| stage.counts(key)).collect();
            assert_eq!(stage.keys_there(), after, "after: {name}");
            stage.pass(FENCED);
            assert_eq!(stage.settle(&verb), row.settled, "settled: {name}");
        }
    }
}

/// Loses the answer to `verb`, sent alone and among others, and settles in the state of each row.
#[track_caller]
pub(super) fn check_lost<V: Verb<Outcome: Debug + PartialEq>>(
    seen: &[Change],
    verb: impl Fn(&Stage) -> V,
    rows: impl IntoIterator<Item = Lost<V::Outcome>>,
) {
    for row in rows {
        for (arrives, settled) in [(true, &row.arrived), (false, &row.never_arrived)] {
            for company in COMPANIES {
                let stage = Stage::new(seen).in_company(company);
                let verb = verb(&stage);
                stage.pass(SENT);
                if arrives {
                    stage.send(&verb);
                }
                stage.pass(LATER[0]);
                stage.change(row.later);
                stage.pass(FENCED);
                let name = format_args!("{}, arrives: {arrives}, {company:?}", row.name);
                assert_eq!(&stage.settle(&verb), settled, "{name}");
            }
        }
    }
}

/// What is found of a verb whose answer was lost: the keys that are there, each put once, what the
/// receipt says, and what settling makes of both.
pub(super) type Found<'a, O> = (
    &'static str,
    &'a [(&'static str, &'static [u8], Revision)],
    Receipt,
    Settled<O>,
);

/// Settles `verb` by what each row finds.
#[track_caller]
pub(super) fn check_found<'a, V: Verb<Outcome: Debug + PartialEq>>(
    verb: &V,
    rows: impl IntoIterator<Item = Found<'a, V::Outcome>>,
) {
    for (name, there, receipt, settled) in rows {
        let evidence = Evidence {
            at: FENCED,
            reads: &reads(verb, there),
            receipt,
        };
        assert_eq!(verb.settle(&evidence), Ok(settled), "{name}");
    }
}

/// A board, and a session on it whose guard stands.
#[derive(Debug)]
pub(super) struct Stage {
    store: Memory,
    pub(super) keys: Keyspace,
    pub(super) guard: Guard,
    company: Company,
}

impl Stage {
    pub(super) fn new(seen: &[Change]) -> Self {
        let store = Memory::new();
        let hour = Duration::from_hours(1);
        let lease = store.grant(hour).now_or_never().unwrap().unwrap().id;
        let keys = Keyspace::new(&"/t".parse().unwrap(), &"b".parse().unwrap());
        let guard = Guard::new(&keys, SESSION, lease);
        let stage = Self {
            store,
            keys,
            guard,
            company: Company::Alone,
        };
        stage.txn(stage.guard.open());
        stage.change(seen);
        stage.pass(SINCE[0]);
        stage
    }

    fn in_company(self, company: Company) -> Self {
        Self { company, ..self }
    }

    pub(super) fn txn(&self, txn: Txn) -> TxnResponse {
        self.store.txn(txn).now_or_never().unwrap().unwrap()
    }

    pub(super) fn change(&self, changes: &[Change]) {
        for change in changes {
            let op = match *change {
                Change::Put(name, value) => Op::put(key(name), value),
                Change::Delete(name) => Op::delete(key(name)),
            };
            self.txn(Txn::new().then([op]));
        }
    }

    /// A lease that is not the session's.
    pub(super) fn grant(&self) -> LeaseId {
        let hour = Duration::from_hours(1);
        self.store.grant(hour).now_or_never().unwrap().unwrap().id
    }

    /// Ends a lease, and its keys with it.
    pub(super) fn end(&self, lease: LeaseId) {
        self.store.revoke(lease).now_or_never().unwrap().unwrap();
    }

    /// What the store says to `verb` instead of doing it.
    pub(super) fn refusal<V: Verb>(&self, verb: &V) -> store::ErrorKind {
        let (sealed, _) = self.seal_one(GUARD, None, verb.txn());
        let refused = self.store.txn(sealed).now_or_never().unwrap();
        refused.unwrap_err().kind()
    }

    /// Ends the session's lease, and the guard with it.
    pub(super) fn revoke(&self) {
        self.end(self.guard.lease());
    }

    /// Writes elsewhere until the next write has revision `until`.
    pub(super) fn pass(&self, until: Revision) {
        while self.txn(Txn::new()).header.revision.next() < until {
            self.txn(Txn::new().then([Op::put(key("/elsewhere"), ANY)]));
        }
    }

    /// An envelope of one member.
    pub(super) fn seal_one(
        &self,
        known: Revision,
        receipt: Option<&ReceiptSlot>,
        txn: Txn,
    ) -> (Txn, Seal) {
        let needs_receipt = receipt.is_some();
        self.guard
            .seal(known, receipt, vec![Member { txn, needs_receipt }])
    }

    /// Whether a key is looked at after a verb was sent: proofs are not, where they are not the
    /// verb's alone.
    fn counts(&self, key: &Key) -> bool {
        let proofs = KeyRange::prefix(self.slot().key);
        self.company == Company::Alone || !proofs.contains(key)
    }

    /// All keys of the board but the guard.
    pub(super) fn keys_there(&self) -> Vec<(Key, Revision)> {
        let request = RangeRequest::new(KeyRange::prefix(key("/t/")));
        let read = self.store.range(request).now_or_never().unwrap().unwrap();
        read.kvs
            .into_iter()
            .filter(|kv| kv.key != self.keys.guard(SESSION) && self.counts(&kv.key))
            .map(|kv| (kv.key, kv.mod_revision))
            .collect()
    }

    /// The value of a key that is there.
    pub(super) fn value(&self, name: &'static str) -> String {
        let request = RangeRequest::new(key(name));
        let read = self.store.range(request).now_or_never().unwrap().unwrap();
        String::from_utf8(read.first().unwrap().value.to_vec()).unwrap()
    }

    /// Where an envelope of this stage leaves proof.
    pub(super) fn slot(&self) -> ReceiptSlot {
        ReceiptSlot {
            key: self.keys.receipt(SESSION, 0),
            envelope: 5,
        }
    }

    /// Ends what the session may write under its guard: with the lease, or by a fence.
    fn end_guard(&self, is_gone: bool) {
        if is_gone {
            self.revoke();
        } else {
            self.txn(self.guard.fence(GUARD, Vec::new()));
        }
    }

    pub(super) fn send<V: Verb>(&self, verb: &V) -> V::Outcome {
        let (sealed, seal) = self.seal(verb);
        let answer = seal.open(self.txn(sealed)).unwrap();
        let Opened::Answer(responses) = answer else {
            panic!("{answer:?}");
        };
        verb.outcome(&responses[self.others().len()]).unwrap()
    }

    /// The envelope of a verb.
    fn seal<V: Verb>(&self, verb: &V) -> (Txn, Seal) {
        let slot = V::NEEDS_RECEIPT.then(|| self.slot());
        let member = Member {
            txn: verb.txn(),
            needs_receipt: V::NEEDS_RECEIPT,
        };
        let mut members = self.others();
        members.push(member);
        self.guard.seal(GUARD, slot.as_ref(), members)
    }

    /// Who goes before the verb in its envelope: one holds, one is refused. They write nothing, so that
    /// the revisions are the verb's.
    fn others(&self) -> Vec<Member> {
        let nowhere = || key("/nowhere");
        let other = |compare| Member {
            txn: Txn::new().when([compare]).then([Op::get(nowhere())]),
            needs_receipt: false,
        };
        let others = [Compare::absent(nowhere()), Compare::present(nowhere())];
        match self.company {
            Company::Alone => Vec::new(),
            Company::AmongOthers => others.map(other).into(),
        }
    }

    fn settle<V: Verb>(&self, verb: &V) -> Settled<V::Outcome> {
        let before = self.others().len();
        let proof = self.slot().proof(before, before + 1);
        let mut reads = verb.probe();
        let own = reads.len();
        reads.extend(proof.reads());
        let response = self.txn(self.guard.fence(GUARD, reads));
        let at = response.header.revision;
        let Opened::Answer(reads) = Guard::reads(response).unwrap() else {
            panic!("the guard is gone");
        };
        let (reads, proofs) = reads.split_at(own);
        let receipt = proof.receipt(proofs);
        verb.settle(&Evidence { at, reads, receipt }).unwrap()
    }
}

/// The answers to a verb's probe of single keys where these are there, each put once.
pub(super) fn reads<V: Verb>(
    verb: &V,
    there: &[(&'static str, &'static [u8], Revision)],
) -> Vec<RangeResponse> {
    let answer = |request: RangeRequest| {
        let kvs = there.iter().map(|&(name, value, put)| KeyValue {
            key: key(name),
            value: value.into(),
            create_revision: put,
            mod_revision: put,
            version: 1,
            lease: None,
        });
        let kvs: Vec<_> = kvs.filter(|kv| request.range.contains(&kv.key)).collect();
        RangeResponse {
            header: Header {
                cluster_id: 1,
                revision: FENCED,
            },
            count: kvs.len(),
            kvs,
        }
    };
    verb.probe().into_iter().map(answer).collect()
}

fn key(name: &'static str) -> Key {
    Key::new(name).unwrap()
}
