//! The keys of the store, and how a transaction changes them: etcd's rules, without a clock.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    history::{Change, Found, History, bounds},
    rules,
};
use crate::store::{
    Compare, Content, Error, ErrorKind, Header, Key, KeyRange, KeyValue, LeaseId, Op, OpResponse,
    Put, RangeRequest, RangeResponse, Relation, Result, Revision, Target, Txn, TxnResponse,
};

/// The revision of an empty store, as in etcd. Nothing was before it.
const FIRST: Revision = Revision::new(1);

/// All keys, at every revision that was not compacted away.
#[derive(Debug)]
pub(super) struct Mvcc {
    header: Header,
    current: BTreeMap<Key, Arc<KeyValue>>,
    /// The keys of each lease that has any.
    leased: BTreeMap<LeaseId, BTreeSet<Key>>,
    history: History,
}

/// A transaction whose compares, at all levels, have been evaluated: the branches that happen.
struct Decided {
    succeeded: bool,
    steps: Vec<Step>,
}

enum Step {
    Put(Put),
    Delete(KeyRange),
    Range(RangeRequest),
    Txn(Decided),
}

impl Mvcc {
    /// An empty store.
    pub(super) const fn new(cluster_id: u64, history: usize) -> Self {
        Self {
            header: Header {
                cluster_id,
                revision: FIRST,
            },
            current: BTreeMap::new(),
            leased: BTreeMap::new(),
            history: History::new(history),
        }
    }

    /// Does `txn`. A put may only name a lease that `lives`.
    pub(super) fn txn(&mut self, txn: Txn, lives: impl Fn(LeaseId) -> bool) -> Result<TxnResponse> {
        rules::check(&txn)?;
        let decided = self.decide(txn);
        if let Some(lease) = decided.find_lease(&|lease| !lives(lease)) {
            return Err(Error::new(
                ErrorKind::LeaseNotFound,
                format!("put with lease {lease}: there is no such lease"),
            ));
        }
        let mut header = self.header;
        if self.changes(&decided) {
            header.revision = header.revision.next();
        }
        let mut changes = Vec::new();
        let response = self.apply(decided, header, &mut changes)?;
        self.commit(changes);
        Ok(response)
    }

    /// Deletes the keys of `lease` at one revision.
    pub(super) fn end_lease(&mut self, lease: LeaseId) {
        let mut changes = Vec::new();
        for key in self.leased.remove(&lease).unwrap_or_default() {
            self.remove(&key, self.header.revision.next(), &mut changes);
        }
        self.commit(changes);
    }

    /// Forgets all revisions before `revision`.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<()> {
        if revision > self.header.revision {
            return Err(self.still_to_come(format_args!("compact to revision {revision}")));
        }
        self.history.compact(revision)
    }

    /// Reads a range.
    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse> {
        self.read(request, self.header)
    }

    /// The changes of `range` in the next revisions from `from` on.
    pub(super) fn find(&self, range: &KeyRange, from: Revision) -> Result<Found> {
        self.history.find(range, from.max(FIRST))
    }

    /// The store, and its revision.
    pub(super) const fn header(&self) -> Header {
        self.header
    }

    /// Evaluates the compares of `txn`, and of what is nested in the branches that happen.
    fn decide(&self, txn: Txn) -> Decided {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { txn.then } else { txn.otherwise };
        let step = |op| match op {
            Op::Put(put) => Step::Put(put),
            Op::Delete(range) => Step::Delete(range),
            Op::Range(request) => Step::Range(request),
            Op::Txn(nested) => Step::Txn(self.decide(nested)),
        };
        Decided {
            succeeded,
            steps: ops.into_iter().map(step).collect(),
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let mut kvs = self
            .current
            .range::<Key, _>(bounds(&compare.range))
            .peekable();
        if kvs.peek().is_none() {
            return compare_key(compare, None);
        }
        kvs.all(|(_, kv)| compare_key(compare, Some(kv)))
    }

    /// Whether `decided` changes anything. A delete can only find what was there before, unless
    /// the transaction puts something: so that it is enough to look before it begins.
    fn changes(&self, decided: &Decided) -> bool {
        decided.steps.iter().any(|step| match step {
            Step::Put(_) => true,
            Step::Delete(range) => self.current.range::<Key, _>(bounds(range)).next().is_some(),
            Step::Range(_) => false,
            Step::Txn(nested) => self.changes(nested),
        })
    }

    /// Can fail only where nothing is written: then a read can be of a past revision.
    fn apply(
        &mut self,
        decided: Decided,
        header: Header,
        changes: &mut Vec<Change>,
    ) -> Result<TxnResponse> {
        let mut responses = Vec::with_capacity(decided.steps.len());
        for step in decided.steps {
            responses.push(match step {
                Step::Put(put) => {
                    self.put(put, header.revision, changes);
                    OpResponse::Put
                }
                Step::Delete(range) => OpResponse::Delete {
                    deleted: self.delete(&range, header.revision, changes),
                },
                Step::Range(request) => OpResponse::Range(self.read(&request, header)?),
                Step::Txn(nested) => OpResponse::Txn(self.apply(nested, header, changes)?),
            });
        }
        Ok(TxnResponse {
            header,
            succeeded: decided.succeeded,
            responses,
        })
    }

    fn put(&mut self, put: Put, revision: Revision, changes: &mut Vec<Change>) {
        let old = self.current.get(&put.key);
        let kv = Arc::new(KeyValue {
            key: put.key,
            value: put.value,
            create_revision: old.map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.map_or(1, |old| old.version + 1),
            lease: put.lease,
        });
        if let Some(old) = self.current.insert(kv.key.clone(), Arc::clone(&kv)) {
            self.detach(&old);
        }
        if let Some(lease) = kv.lease {
            self.leased.entry(lease).or_default().insert(kv.key.clone());
        }
        changes.push(Change::Put(kv));
    }

    fn delete(&mut self, range: &KeyRange, revision: Revision, changes: &mut Vec<Change>) -> usize {
        let keys: Vec<Key> = self
            .current
            .range::<Key, _>(bounds(range))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            self.remove(key, revision, changes);
        }
        keys.len()
    }

    fn remove(&mut self, key: &Key, revision: Revision, changes: &mut Vec<Change>) {
        if let Some(old) = self.current.remove(key) {
            self.detach(&old);
            changes.push(Change::Delete {
                key: key.clone(),
                revision,
            });
        }
    }

    fn detach(&mut self, old: &KeyValue) {
        if let Some(lease) = old.lease
            && let Some(keys) = self.leased.get_mut(&lease)
        {
            keys.remove(&old.key);
            if keys.is_empty() {
                self.leased.remove(&lease);
            }
        }
    }

    /// Makes `changes` the next revision, if there are any.
    fn commit(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.header.revision = self.header.revision.next();
            self.history.push(self.header.revision, changes);
        }
    }

    fn read(&self, request: &RangeRequest, header: Header) -> Result<RangeResponse> {
        let newest = self.header.revision;
        match request.revision {
            Some(revision) if revision > newest => Err(self.still_to_come(format_args!(
                "read {:?} at revision {revision}",
                request.range
            ))),
            Some(revision) if revision < newest => {
                let kvs = self.history.at(&request.range, revision.max(FIRST))?;
                Ok(answer(request, header, kvs))
            }
            _ => {
                let kvs = self.current.range::<Key, _>(bounds(&request.range));
                Ok(answer(request, header, kvs.map(|(_, kv)| kv.as_ref())))
            }
        }
    }

    fn still_to_come(&self, request: std::fmt::Arguments<'_>) -> Error {
        let newest = self.header.revision;
        Error::invalid(format!("{request}: the newest revision is {newest}"))
    }
}

impl Decided {
    /// A lease that is put and that `wanted` picks.
    fn find_lease(&self, wanted: &dyn Fn(LeaseId) -> bool) -> Option<LeaseId> {
        self.steps.iter().find_map(|step| match step {
            Step::Put(put) => put.lease.filter(|lease| wanted(*lease)),
            Step::Delete(_) | Step::Range(_) => None,
            Step::Txn(nested) => nested.find_lease(wanted),
        })
    }
}

fn answer<'a>(
    request: &RangeRequest,
    header: Header,
    kvs: impl Iterator<Item = &'a KeyValue>,
) -> RangeResponse {
    let limit = match request.content {
        Content::CountOnly => 0,
        Content::Full | Content::KeysOnly => request.limit.unwrap_or(usize::MAX),
    };
    let mut response = RangeResponse {
        header,
        kvs: Vec::new(),
        count: 0,
    };
    for kv in kvs {
        if response.kvs.len() < limit {
            let mut kv = kv.clone();
            if request.content == Content::KeysOnly {
                kv.value = Bytes::new();
            }
            response.kvs.push(kv);
        }
        response.count += 1;
    }
    response
}

/// Whether a compare holds of one key, or of a missing one.
fn compare_key(compare: &Compare, kv: Option<&KeyValue>) -> bool {
    let ordering = match &compare.target {
        Target::CreateRevision(target) => kv
            .map_or(Revision::ZERO, |kv| kv.create_revision)
            .cmp(target),
        Target::ModRevision(target) => kv.map_or(Revision::ZERO, |kv| kv.mod_revision).cmp(target),
        Target::Version(target) => kv.map_or(0, |kv| kv.version).cmp(target),
        Target::Lease(target) => number(kv.and_then(|kv| kv.lease)).cmp(&number(*target)),
        Target::Value(target) => match kv {
            Some(kv) => kv.value.cmp(target),
            None => return false,
        },
    };
    match compare.relation {
        Relation::Equal => ordering == Ordering::Equal,
        Relation::NotEqual => ordering != Ordering::Equal,
        Relation::Greater => ordering == Ordering::Greater,
        Relation::Less => ordering == Ordering::Less,
    }
}

fn number(lease: Option<LeaseId>) -> i64 {
    lease.map_or(0, LeaseId::get)
}

#[cfg(test)]
mod tests;
