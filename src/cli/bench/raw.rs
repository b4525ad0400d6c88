//! The verbs by hand, with the raw etcd client: what a board is compared with.
//!
//! The same keys a job, the same records and the same compares of a verb, each verb one transaction;
//! with no guard and no receipt, as who writes against etcd directly has none, or with both.

use std::sync::Arc;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, KvClient, PutOptions, ResponseHeader, Txn, TxnOp,
    WatchOptions, WatchStream,
};
use serde_json::json;

use super::Failure;

/// Where the jobs by hand are kept, in the namespace of the board.
const PREFIX: &str = "/taskflow/jobs/raw/";

/// A connection, and a lease for the claims.
#[derive(Clone)]
pub(super) struct Raw {
    kv: KvClient,
    lease: i64,
    client: Arc<Client>,
}

/// A transaction's three lists: a plain one, or a member of a nested one.
pub(super) struct Parts {
    when: Vec<Compare>,
    then: Vec<TxnOp>,
    otherwise: Vec<TxnOp>,
}

impl Raw {
    pub(super) async fn connect(endpoint: &str) -> Result<Self, Failure> {
        let client = Client::connect([endpoint], None).await?;
        let lease = client.lease_client().grant(3_600, None).await?.id();
        Ok(Self {
            kv: client.kv_client(),
            lease,
            client: Arc::new(client),
        })
    }

    pub(super) async fn watch(&self) -> Result<WatchStream, Failure> {
        let range = WatchOptions::new().with_prefix();
        Ok(self
            .client
            .watch_client()
            .watch(PREFIX, Some(range))
            .await?)
    }

    pub(super) const fn kv(&self) -> &KvClient {
        &self.kv
    }

    /// Does a verb in a transaction of its own; gives its revision.
    pub(super) async fn alone(&mut self, parts: Parts) -> Result<i64, Failure> {
        let answer = self.kv.txn(parts.txn()).await?;
        if answer.succeeded() {
            Ok(revision_of(answer.header()))
        } else {
            Err(not_as_it_was())
        }
    }

    pub(super) fn post(number: usize) -> Parts {
        let record = json!({
            "uuid": "00000000-0000-4000-8000-000000000000", "name": "thumbnail",
            "priority": "NORMAL", "created_on": "2026-01-31T12:00:00.000000",
            "details": super::details(), "sequence": number, "jobboard": {"v": 1},
        });
        let absent = Compare::create_revision(key(number, ""), CompareOp::Equal, 0);
        Parts {
            when: vec![absent.with_range(format!("{PREFIX}job{number}/"))],
            then: vec![TxnOp::put(key(number, "data"), record.to_string(), None)],
            otherwise: Vec::new(),
        }
    }

    pub(super) fn claim(&self, number: usize, posted: i64) -> Parts {
        let owner = json!({
            "owner": "bench", "lease_id": self.lease, "jobboard": {
                "session": "00000000-0000-4000-8000-000000000000",
                "claim": "00000000-0000-4000-8000-000000000000",
            },
        });
        let state = json!({
            "attempts": 1, "unsettled": 1, "last_owner": "bench",
            "claim": "00000000-0000-4000-8000-000000000000",
        });
        let modified = json!({"last_modified": "2026-01-31T12:00:00.000000"});
        let leased = PutOptions::new().with_lease(self.lease);
        Parts {
            when: vec![
                Compare::create_revision(key(number, "data"), CompareOp::Equal, posted),
                Compare::create_revision(key(number, "lock"), CompareOp::Equal, 0),
                Compare::mod_revision(key(number, "state"), CompareOp::Equal, 0),
                Compare::create_revision("/taskflow/.control/raw/paused", CompareOp::Equal, 0),
            ],
            then: vec![
                TxnOp::put(key(number, "lock"), owner.to_string(), Some(leased)),
                TxnOp::put(key(number, "last_modified"), modified.to_string(), None),
                TxnOp::put(key(number, "state"), state.to_string(), None),
            ],
            otherwise: vec![
                TxnOp::get(key(number, "lock"), None),
                TxnOp::get(key(number, "state"), None),
            ],
        }
    }

    pub(super) fn consume(number: usize, token: i64) -> Parts {
        let held = Compare::create_revision(key(number, "lock"), CompareOp::Equal, token);
        let all = DeleteOptions::new().with_range(format!("{PREFIX}job{number}/"));
        Parts {
            when: vec![held],
            then: vec![TxnOp::delete(key(number, ""), Some(all))],
            otherwise: vec![TxnOp::get(key(number, "lock"), None)],
        }
    }

    /// A guard on the lease; gives its revision.
    pub(super) async fn guard(&mut self) -> Result<i64, Failure> {
        let leased = PutOptions::new().with_lease(self.lease);
        let put = self.kv.put(guard_key(), "{}", Some(leased)).await?;
        Ok(revision_of(put.header()))
    }

    /// As [`alone`](Self::alone); if there is a guard, under that, and with a receipt if there is a number
    /// for one.
    pub(super) async fn under(
        &mut self,
        guard: Option<i64>,
        receipt: Option<usize>,
        mut parts: Parts,
    ) -> Result<i64, Failure> {
        if let Some(guard) = guard {
            parts.when.push(guard_is(guard));
            let receipt = receipt.map(|number| self.receipt(number));
            parts.then.extend(receipt);
            parts.otherwise.push(TxnOp::get(guard_key(), None));
        }
        self.alone(parts).await
    }

    /// Puts verbs into one transaction, under a guard and with a receipt.
    pub(super) fn together(&self, guard: i64, receipt: usize, members: Vec<Parts>) -> Txn {
        let members = members.into_iter().map(|parts| TxnOp::txn(parts.txn()));
        let receipt = [self.receipt(receipt)].into_iter();
        Txn::new()
            .when([guard_is(guard)])
            .and_then(receipt.chain(members).collect::<Vec<_>>())
            .or_else([TxnOp::get(guard_key(), None)])
    }

    fn receipt(&self, number: usize) -> TxnOp {
        let leased = PutOptions::new().with_lease(self.lease);
        let key = format!("{}.{}", guard_key(), number % 2);
        TxnOp::put(key, number.to_string(), Some(leased))
    }
}

impl Parts {
    fn txn(self) -> Txn {
        Txn::new()
            .when(self.when)
            .and_then(self.then)
            .or_else(self.otherwise)
    }
}

/// The revision that an answer tells.
pub(super) fn revision_of(header: Option<&ResponseHeader>) -> i64 {
    header.map_or(0, ResponseHeader::revision)
}

/// A verb by hand was refused.
pub(super) fn not_as_it_was() -> Failure {
    Failure::new("a job by hand is not as it was")
}

impl From<etcd_client::Error> for Failure {
    fn from(error: etcd_client::Error) -> Self {
        Self::new(error.to_string())
    }
}

fn key(number: usize, part: &str) -> String {
    format!("{PREFIX}job{number}.{part}")
}

fn guard_is(revision: i64) -> Compare {
    Compare::mod_revision(guard_key(), CompareOp::Equal, revision)
}

const fn guard_key() -> &'static str {
    "/taskflow/.sessions/raw/00000000-0000-4000-8000-000000000000"
}
