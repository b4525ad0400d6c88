//! Plays a script on a store and tells what came of it, in the terms of the script.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use jobboard::store::{
    Compare, ErrorKind, Event, Header, Key, KeyRange, KeyValue, LeaseId, Op, OpResponse, RangeEnd,
    RangeRequest, RangeResponse, Revision, Store, StoreExt, Target, Txn, TxnResponse, WatchRequest,
};

use crate::script::{SLOTS, Step};

/// Longer than any script is played.
const TTL: Duration = Duration::from_mins(10);

/// What came of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Played {
    answers: Vec<Answer>,
    told: Vec<Event>,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Txn(Result<TxnResponse, ErrorKind>),
    Range(Result<RangeResponse, ErrorKind>),
    Revoke(Result<(), ErrorKind>),
    Grant,
}

/// Plays `script` below `prefix`, which must hold nothing yet, and reads its changes by a watch
/// that was opened before it and by one that is opened after it. Nobody else may write to the
/// store meanwhile.
pub(crate) async fn play(store: &dyn Store, prefix: &str, script: Vec<Step>) -> Played {
    let mut stage = Stage::set(store, prefix).await;
    let all = WatchRequest::new(KeyRange::prefix(stage.key_of("")), stage.start.next());
    let mut live = store.watch(all.clone()).await.unwrap();
    let mut answers = Vec::new();
    for step in script {
        answers.push(stage.act(step).await);
    }
    let end = store.put(stage.key_of("z"), "".into()).await.unwrap();
    let mut late = store.watch(all).await.unwrap();
    let mut told = [Vec::new(), Vec::new()];
    for (watch, told) in [&mut live, &mut late].into_iter().zip(&mut told) {
        while told.last().map(Event::revision) != Some(end) {
            let batch = watch.next().await.unwrap().unwrap();
            told.extend(batch.events);
        }
    }
    stage.clear().await;
    let [live, late] = told;
    assert_eq!(live, late);
    let told = live.into_iter().map(|event| stage.unbind_event(event));
    Played {
        told: told.collect(),
        answers,
    }
}

/// Where a script is played: what its stand-ins stand for.
struct Stage<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    start: Revision,
    slots: BTreeMap<LeaseId, LeaseId>,
    /// The leases in the order in which they were granted.
    granted: Vec<LeaseId>,
}

impl<'a> Stage<'a> {
    async fn set(store: &'a dyn Store, prefix: &'a str) -> Self {
        let mut stage = Self {
            store,
            prefix,
            start: Revision::ZERO,
            slots: BTreeMap::new(),
            granted: Vec::new(),
        };
        for slot in SLOTS {
            stage.grant(LeaseId::new(slot).unwrap()).await;
        }
        let request = RangeRequest::new(KeyRange::prefix(stage.key_of("")));
        let empty = store.range(request).await.unwrap();
        assert_eq!(empty.count, 0);
        stage.start = empty.header.revision;
        stage
    }

    async fn act(&mut self, step: Step) -> Answer {
        match step {
            Step::Txn(txn) => {
                let answer = self.store.txn(self.bind_txn(txn)).await;
                Answer::Txn(
                    answer
                        .map(|answer| self.unbind_txn(answer))
                        .map_err(|error| error.kind()),
                )
            }
            Step::Range(request) => {
                let answer = self.store.range(self.bind_request(request)).await;
                Answer::Range(
                    answer
                        .map(|answer| self.unbind_range(answer))
                        .map_err(|error| error.kind()),
                )
            }
            Step::Revoke(slot) => {
                let answer = self.store.revoke(self.bind_lease(slot)).await;
                Answer::Revoke(answer.map_err(|error| error.kind()))
            }
            Step::Grant(slot) => {
                self.grant(slot).await;
                Answer::Grant
            }
        }
    }

    async fn grant(&mut self, slot: LeaseId) {
        let lease = self.store.grant(TTL).await.unwrap();
        self.slots.insert(slot, lease.id);
        self.granted.push(lease.id);
    }

    /// Ends what lives on, so that no lease ends in the middle of another script.
    async fn clear(&self) {
        for lease in &self.granted {
            let ended = self.store.revoke(*lease).await;
            let kind = ended.map_err(|error| error.kind());
            assert!(matches!(kind, Ok(()) | Err(ErrorKind::LeaseNotFound)));
        }
    }

    fn key_of(&self, name: &str) -> Key {
        Key::new(format!("{}/{name}", self.prefix)).unwrap()
    }

    fn bind_key(&self, key: &Key) -> Key {
        self.key_of(key.as_str().unwrap())
    }

    fn bind_range(&self, range: &KeyRange) -> KeyRange {
        let start = self.bind_key(range.start());
        match range.end() {
            RangeEnd::Single => start.into(),
            RangeEnd::Before(end) => KeyRange::between(start, self.bind_key(end)).unwrap(),
            RangeEnd::Unbounded => unreachable!("a script leaves the keys of others alone"),
        }
    }

    const fn bind_revision(&self, revision: Revision) -> Revision {
        match revision.get() {
            0 => Revision::ZERO,
            after => Revision::new(self.start.get() + after),
        }
    }

    fn bind_lease(&self, slot: LeaseId) -> LeaseId {
        self.slots[&slot]
    }

    fn bind_request(&self, mut request: RangeRequest) -> RangeRequest {
        request.range = self.bind_range(&request.range);
        request.revision = request
            .revision
            .map(|revision| self.bind_revision(revision));
        request
    }

    fn bind_compare(&self, compare: Compare) -> Compare {
        let target = match compare.target {
            Target::CreateRevision(revision) => {
                Target::CreateRevision(self.bind_revision(revision))
            }
            Target::ModRevision(revision) => Target::ModRevision(self.bind_revision(revision)),
            Target::Lease(slot) => Target::Lease(slot.map(|slot| self.bind_lease(slot))),
            target @ (Target::Version(_) | Target::Value(_)) => target,
        };
        Compare::new(self.bind_range(&compare.range), compare.relation, target)
    }

    fn bind_op(&self, op: Op) -> Op {
        match op {
            Op::Put(mut put) => {
                put.key = self.bind_key(&put.key);
                put.lease = put.lease.map(|slot| self.bind_lease(slot));
                Op::Put(put)
            }
            Op::Delete(range) => Op::Delete(self.bind_range(&range)),
            Op::Range(request) => Op::Range(self.bind_request(request)),
            Op::Txn(txn) => Op::Txn(self.bind_txn(txn)),
        }
    }

    fn bind_txn(&self, txn: Txn) -> Txn {
        let ops = |ops: Vec<Op>| {
            ops.into_iter()
                .map(|op| self.bind_op(op))
                .collect::<Vec<_>>()
        };
        let compares = txn.compares.into_iter();
        Txn::new()
            .when(compares.map(|compare| self.bind_compare(compare)))
            .then(ops(txn.then))
            .otherwise(ops(txn.otherwise))
    }

    fn unbind_key(&self, key: &Key) -> Key {
        let name = key.as_str().and_then(|key| key.strip_prefix(self.prefix));
        Key::new(name.expect("a key of the script").to_owned()).unwrap()
    }

    fn unbind_revision(&self, revision: Revision) -> Revision {
        let after = revision.get().checked_sub(self.start.get());
        Revision::new(after.expect("no revision from before the script"))
    }

    const fn unbind_header(&self, header: Header) -> Header {
        Header {
            cluster_id: 0,
            revision: Revision::new(header.revision.get() - self.start.get()),
        }
    }

    fn unbind_kv(&self, kv: KeyValue) -> KeyValue {
        let lease = kv.lease.map(|lease| {
            let number = self.granted.iter().position(|granted| *granted == lease);
            let number = number.expect("a lease of the script");
            LeaseId::new(i64::try_from(number).unwrap() + 1).unwrap()
        });
        KeyValue {
            key: self.unbind_key(&kv.key),
            create_revision: self.unbind_revision(kv.create_revision),
            mod_revision: self.unbind_revision(kv.mod_revision),
            lease,
            ..kv
        }
    }

    fn unbind_range(&self, mut answer: RangeResponse) -> RangeResponse {
        answer.header = self.unbind_header(answer.header);
        let kvs = answer.kvs.into_iter();
        answer.kvs = kvs.map(|kv| self.unbind_kv(kv)).collect();
        answer
    }

    fn unbind_txn(&self, answer: TxnResponse) -> TxnResponse {
        let unbind = |response| match response {
            OpResponse::Range(answer) => OpResponse::Range(self.unbind_range(answer)),
            OpResponse::Txn(answer) => OpResponse::Txn(self.unbind_txn(answer)),
            plain @ (OpResponse::Put | OpResponse::Delete { .. }) => plain,
        };
        TxnResponse {
            header: self.unbind_header(answer.header),
            succeeded: answer.succeeded,
            responses: answer.responses.into_iter().map(unbind).collect(),
        }
    }

    fn unbind_event(&self, event: Event) -> Event {
        match event {
            Event::Put(kv) => Event::Put(self.unbind_kv(kv)),
            Event::Delete { key, revision } => Event::Delete {
                key: self.unbind_key(&key),
                revision: self.unbind_revision(revision),
            },
        }
    }
}
