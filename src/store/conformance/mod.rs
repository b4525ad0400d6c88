//! What every [`Store`] must do, as functions that fail by a panic.
//!
//! Each law works below a prefix of its own, assumes neither an empty store nor any absolute
//! revision, and waits for what must happen instead of sleeping: so that many of them can run
//! against one server at a time. [`for_each_law!`](crate::for_each_law) lists them all, once. A
//! backend is tested by a macro that makes a test of one law:
//!
//! ```
//! use jobboard::store::{Memory, conformance};
//!
//! macro_rules! on_memory {
//!     ($kind:ident $area:ident $law:ident) => {
//!         # #[allow(dead_code)]
//!         // With #[tokio::test] here.
//!         async fn $law() {
//!             conformance::$area::$law(&Memory::new(), stringify!($law)).await;
//!         }
//!     };
//! }
//! jobboard::for_each_law!(on_memory);
//! # fn main() {}
//! ```
//!
//! The kind of a law is `shared`, or `alone` for those that must have the store to themselves
//! while they run: they compact it, or count its revisions.
//!
//! Two things have no law. etcd accepts a put and a delete of the same key if they are in two
//! nested transactions in this order, and refuses them in the other one: a backend may refuse
//! both. And no law can see that a dropped watch ends in the store as well.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a law that is broken panics, as an assertion does"
)]

pub mod compact;
pub mod compare;
pub mod lease;
pub mod page;
pub mod range;
pub mod refusal;
pub mod txn;
pub mod watch;

use std::{fmt::Display, time::Duration};

use futures::StreamExt;
use tokio::time::timeout;

use super::{
    ErrorKind, Event, Header, Key, KeyRange, KeyValue, Lease, Op, OpResponse, RangeRequest,
    Revision, Store, StoreExt, Txn, TxnResponse, WatchRequest, WatchStream,
};

/// Calls `$each!` once for each law of the store's contract, with its kind (`shared` or `alone`),
/// its module in `jobboard::store::conformance`, and its name.
#[macro_export]
macro_rules! for_each_law {
    ($each:ident) => {
        $crate::for_each_law! { @ $each shared range
            keys_come_in_the_order_of_their_bytes
            range_ends_before_its_end
            unbounded_range_has_no_end
            missing_key_is_an_empty_answer
            limit_bounds_the_keys_and_not_the_count
            limit_of_zero_gives_the_count_alone
            keys_only_leaves_the_values_out
            count_only_gives_no_key
            past_revision_is_read_as_it_was
            future_revision_is_refused
            revision_zero_is_not_the_newest
            read_sees_every_write_before_it
            all_answers_come_from_one_cluster
        }
        $crate::for_each_law! { @ $each shared page
            pages_together_are_one_read_of_one_revision
            pages_can_leave_the_values_out
            full_last_page_is_the_last
            empty_range_is_one_empty_page
        }
        $crate::for_each_law! { @ $each shared txn
            key_carries_its_revisions_and_its_version
            deleted_key_begins_anew
            all_of_a_transaction_is_one_revision
            reads_see_what_was_written_before_them
            nested_transactions_choose_for_themselves
            delete_tells_how_many_keys_there_were
            past_is_read_by_a_transaction_that_only_reads
            one_of_many_creators_wins
        }
        $crate::for_each_law! { @ $each alone txn
            transaction_that_changes_nothing_takes_no_revision
        }
        $crate::for_each_law! { @ $each shared compare
            branch_is_chosen_by_all_compares
            each_target_compares_with_what_the_key_has
            missing_key_compares_as_zero
            value_of_a_missing_key_never_holds
            compare_of_a_range_must_hold_for_each_key
            compare_of_an_empty_range_is_that_of_a_missing_key
            nested_compares_do_not_see_what_was_written_before_them
        }
        $crate::for_each_law! { @ $each shared refusal
            key_put_twice_is_refused
            key_both_put_and_deleted_is_refused
            branches_may_put_the_same_key
            key_may_be_deleted_twice
            too_many_operations_are_refused
            nested_operations_count_against_the_rest
            request_that_is_too_large_is_refused
            past_is_not_read_by_a_transaction_that_writes
            put_with_an_unknown_lease_changes_nothing
            unknown_lease_matters_only_where_it_would_be_put
        }
        $crate::for_each_law! { @ $each alone refusal
            refused_transaction_takes_no_revision
        }
        $crate::for_each_law! { @ $each shared lease
            lease_is_granted_for_what_was_asked_or_more
            leases_differ
            key_tells_its_lease
            revoked_lease_ends_with_all_its_keys_at_one_revision
            revoked_lease_is_not_found
            delete_of_expired_lease_is_seen_by_watch
            expired_lease_takes_no_put
            key_put_without_its_lease_outlives_it
            key_put_with_another_lease_ends_with_that
            key_that_came_again_outlives_the_lease_of_the_first
            keep_alive_keeps_a_lease_beyond_its_time
            keep_alive_tells_when_the_lease_is_gone
            keep_alive_stops_when_its_last_handle_is_dropped
        }
        $crate::for_each_law! { @ $each alone lease
            lease_without_keys_takes_no_revision
        }
        $crate::for_each_law! { @ $each shared watch
            watch_from_the_past_tells_all_since
            watch_from_the_future_tells_nothing_before
            watch_goes_on_from_the_past_into_the_present
            put_is_told_with_all_of_the_key
            delete_is_told_with_its_revision
            watch_tells_of_its_range_alone
            watch_of_one_key_tells_of_no_other
            revision_is_never_split
            delete_of_many_keys_is_one_revision
            every_watch_of_a_range_tells_the_same
            nothing_is_told_twice_or_left_out_under_concurrent_writers
        }
        $crate::for_each_law! { @ $each alone compact
            compacted_revision_is_still_read_and_none_before_it
            newest_values_outlive_a_compaction
            revision_is_compacted_once
            future_revision_is_not_compacted
            transaction_reads_no_compacted_revision
            watch_from_before_a_compaction_ends_as_compacted
            watch_from_after_a_compaction_tells_all
            pages_end_when_their_revision_is_compacted
        }
    };
    (@ $each:ident $kind:ident $area:ident $($law:ident)+) => {
        $( $each! { $kind $area $law } )+
    };
}

/// How long a law waits for what must happen, far longer than any lease in it lives.
const PATIENCE: Duration = Duration::from_secs(30);

/// The part of a store that a law has to itself.
#[derive(Clone, Copy)]
struct Space<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
}

impl<'a> Space<'a> {
    const fn new(store: &'a dyn Store, prefix: &'a str) -> Self {
        Self { store, prefix }
    }

    fn key(&self, name: impl Display) -> Key {
        Key::new(format!("{}/{name}", self.prefix)).unwrap()
    }

    fn keys(&self, names: impl IntoIterator<Item = impl Display>) -> Vec<Key> {
        names.into_iter().map(|name| self.key(name)).collect()
    }

    /// From one name to before another.
    fn between(&self, start: &str, end: &str) -> KeyRange {
        KeyRange::between(self.key(start), self.key(end)).unwrap()
    }

    /// All keys of this space.
    fn all(&self) -> KeyRange {
        KeyRange::prefix(self.key(""))
    }

    async fn put(&self, name: impl Display, value: &'static str) -> Revision {
        let put = self.store.put(self.key(name), value.into());
        put.await.unwrap()
    }

    async fn put_with_lease(&self, name: impl Display, lease: &Lease) -> Revision {
        let put = Op::put_with_lease(self.key(name), "leased", lease.id);
        self.txn(Txn::new().then([put])).await.header.revision
    }

    async fn delete(&self, name: impl Display) -> Revision {
        self.store.delete(self.key(name).into()).await.unwrap()
    }

    async fn get(&self, name: impl Display) -> Option<KeyValue> {
        self.store.get(self.key(name)).await.unwrap()
    }

    async fn txn(&self, txn: Txn) -> TxnResponse {
        self.store.txn(txn).await.unwrap()
    }

    /// Why `txn` is refused, as it must be.
    async fn refused(&self, txn: Txn) -> ErrorKind {
        self.store.txn(txn).await.unwrap_err().kind()
    }

    async fn revoke(&self, lease: &Lease) {
        self.store.revoke(lease.id).await.unwrap();
    }

    /// What the store tells of itself.
    async fn header(&self) -> Header {
        let request = RangeRequest::new(self.all()).count_only();
        self.store.range(request).await.unwrap().header
    }

    /// Grants a lease. A law that leaves keys on it revokes it: else its end would come in the
    /// middle of another law, and take a revision there.
    async fn grant(&self, seconds: u64) -> Lease {
        self.store
            .grant(Duration::from_secs(seconds))
            .await
            .unwrap()
    }

    /// Watches all keys of this space.
    async fn watch(&self, from: Revision) -> Watch {
        Watch::open(self.store, self.all(), from).await
    }
}

/// A watch of which something is expected.
struct Watch(WatchStream);

impl Watch {
    async fn open(store: &dyn Store, range: KeyRange, from: Revision) -> Self {
        Self(store.watch(WatchRequest::new(range, from)).await.unwrap())
    }

    /// The next batch, which must be in order, and no newer than the store that tells it.
    async fn batch(&mut self) -> Vec<Event> {
        let next = timeout(PATIENCE, self.0.next()).await;
        let batch = next.expect("the watch tells something").unwrap().unwrap();
        let revisions: Vec<_> = batch.events.iter().map(Event::revision).collect();
        assert!(revisions.is_sorted(), "{revisions:?}");
        assert!(revisions.last() <= Some(&batch.header.revision));
        assert!(!revisions.is_empty());
        batch.events
    }

    /// The batches up to the one with the change of `last`.
    async fn batches_until(&mut self, last: &Key) -> Vec<Vec<Event>> {
        let mut batches = Vec::new();
        loop {
            let batch = self.batch().await;
            let done = batch.iter().any(|event| event.key() == last);
            batches.push(batch);
            if done {
                return batches;
            }
        }
    }

    /// The changes up to the revision `last`, which must change something.
    async fn until_revision(&mut self, last: Revision) -> Vec<Event> {
        let mut events = Vec::new();
        while events.last().map(Event::revision) < Some(last) {
            events.extend(self.batch().await);
        }
        events
    }

    /// The changes up to that of `last`.
    async fn until(&mut self, last: &Key) -> Vec<Event> {
        self.batches_until(last).await.concat()
    }
}

fn keys_of(kvs: &[KeyValue]) -> Vec<Key> {
    kvs.iter().map(|kv| kv.key.clone()).collect()
}

/// Each change as its key and its revision.
fn changes_of(events: &[Event]) -> Vec<(Key, Revision)> {
    let change = |event: &Event| (event.key().clone(), event.revision());
    events.iter().map(change).collect()
}

fn nested(then: impl IntoIterator<Item = Op>) -> Op {
    Op::Txn(Txn::new().then(then))
}

/// The answer of the nested transaction that was the operation number `index`.
fn nested_answer(answer: &TxnResponse, index: usize) -> &TxnResponse {
    match &answer.responses[index] {
        OpResponse::Txn(answer) => answer,
        other => panic!("operation {index} is a transaction, not {other:?}"),
    }
}

fn count(response: &OpResponse) -> usize {
    response.as_range().expect("the answer to a read").count
}
