//! etcd's primitives (range, transaction, watch, lease), and nothing about jobs.
//!
//! [`Store`] is the seam of the crate: small, so that a backend is little to write, and everything
//! above it behaves the same on each. There are two: [`Memory`], in this process, and `Etcd`
//! (feature `etcd`). What a backend must do is written as the functions of `store::conformance`
//! (feature `testing`), which both pass. Callers enjoy [`StoreExt`].
//!
//! Every failure says whether anything can have changed: see [`ErrorKind`].

#[cfg(feature = "testing")]
pub mod conformance;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "testing")]
mod faulty;
mod kv;
mod lease;
mod limits;
mod memory;
mod page;
mod size;
mod txn;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "etcd")]
pub use self::etcd::Etcd;
#[cfg(feature = "testing")]
pub use self::faulty::{Faults, Faulty};
pub use self::{
    error::{Error, ErrorKind, Result},
    kv::{Key, KeyRange, KeyValue, LeaseId, RangeEnd, Revision},
    lease::{Beat, KeepAlive, KeepAliveFeed, Lease},
    limits::Limits,
    memory::{Memory, MemoryBuilder},
    page::{Page, Pager},
    txn::{
        Compare, Content, Header, Op, OpResponse, Put, RangeRequest, RangeResponse, Relation,
        Target, Txn, TxnResponse,
    },
    watch::{Event, WatchBatch, WatchRequest, WatchStream},
};

/// A store with etcd's semantics.
///
/// Reads and transactions are linearizable. A call that fails with a kind other than
/// [`Ambiguous`](ErrorKind::Ambiguous) changed nothing and never will; after an ambiguous failure,
/// or when the future of a call is dropped, the request may have been applied or may still be. No
/// call is sent a second time once it can have been applied.
///
/// Every call ends within the time limit of the backend, with an answer or an error.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads a range.
    ///
    /// # Errors
    /// [`Compacted`](ErrorKind::Compacted) if it asks for a revision that is gone,
    /// [`Invalid`](ErrorKind::Invalid) for one that is still to come,
    /// [`TooLarge`](ErrorKind::TooLarge) if the answer is more than the client takes,
    /// [`Denied`](ErrorKind::Denied), and [`Unavailable`](ErrorKind::Unavailable) for everything
    /// else: a read changes nothing, so that it never fails as ambiguous.
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse>;

    /// Does a transaction.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if it writes a key twice, or if it writes and also reads at a
    /// past revision; [`TooManyOps`](ErrorKind::TooManyOps),
    /// [`RequestTooLarge`](ErrorKind::RequestTooLarge);
    /// [`LeaseNotFound`](ErrorKind::LeaseNotFound) if a put that would happen names a lease that
    /// does not exist; [`NoSpace`](ErrorKind::NoSpace), but for one that compares nothing and only reads;
    /// [`Denied`](ErrorKind::Denied), [`Unavailable`](ErrorKind::Unavailable),
    /// [`Ambiguous`](ErrorKind::Ambiguous).
    async fn txn(&self, txn: Txn) -> Result<TxnResponse>;

    /// Opens a watch. When this returns, the store has accepted it.
    ///
    /// # Errors
    /// Those of [`WatchStream`]; the first can come from here or from the stream.
    async fn watch(&self, request: WatchRequest) -> Result<WatchStream>;

    /// Grants a lease of `ttl`, rounded up to whole seconds. The store can give more.
    ///
    /// # Errors
    /// [`NoSpace`](ErrorKind::NoSpace), [`Denied`](ErrorKind::Denied),
    /// [`Unavailable`](ErrorKind::Unavailable), [`Ambiguous`](ErrorKind::Ambiguous): a lease that
    /// nobody knows ends by itself.
    async fn grant(&self, ttl: Duration) -> Result<Lease>;

    /// Ends a lease, and its keys with it, at one revision.
    ///
    /// # Errors
    /// [`LeaseNotFound`](ErrorKind::LeaseNotFound) if there is no such lease (any more), and as
    /// [`grant`](Self::grant). Doing it again is harmless.
    async fn revoke(&self, lease: LeaseId) -> Result<()>;

    /// Keeps `lease` alive, with a request each `every` until the returned handle and its clones
    /// are dropped or the lease is gone. Trouble on the way is retried; nothing of it is told but
    /// the lack of news.
    ///
    /// Must be called inside a tokio runtime.
    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive;

    /// Forgets all revisions before `revision`: reads and watches of them are refused from then on.
    ///
    /// # Errors
    /// [`Compacted`](ErrorKind::Compacted) if that was done before,
    /// [`Invalid`](ErrorKind::Invalid) for a revision that is still to come, and as
    /// [`grant`](Self::grant).
    async fn compact(&self, revision: Revision) -> Result<()>;

    /// What it does in one transaction. Defaults to etcd's defaults.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// Calls made of a [`Store`]'s own, for every store.
#[async_trait]
pub trait StoreExt: Store {
    /// Reads one key.
    ///
    /// # Errors
    /// Those of [`Store::range`].
    async fn get(&self, key: Key) -> Result<Option<KeyValue>> {
        Ok(self
            .range(RangeRequest::new(key))
            .await?
            .kvs
            .into_iter()
            .next())
    }

    /// Writes one key, without a lease, and gives the revision of the write.
    ///
    /// # Errors
    /// Those of [`Store::txn`].
    async fn put(&self, key: Key, value: Bytes) -> Result<Revision> {
        Ok(self
            .txn(Txn::new().then([Op::put(key, value)]))
            .await?
            .header
            .revision)
    }

    /// Deletes a range, and gives the revision at which it was gone.
    ///
    /// # Errors
    /// Those of [`Store::txn`].
    async fn delete(&self, range: KeyRange) -> Result<Revision> {
        Ok(self
            .txn(Txn::new().then([Op::delete(range)]))
            .await?
            .header
            .revision)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Arc<S> {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        self.as_ref().range(request).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        self.as_ref().txn(txn).await
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        self.as_ref().watch(request).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        self.as_ref().grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        self.as_ref().revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.as_ref().keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        self.as_ref().compact(revision).await
    }

    fn limits(&self) -> Limits {
        self.as_ref().limits()
    }
}
