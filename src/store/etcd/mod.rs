//! etcd, behind the [`Store`] trait.
//!
//! | file | knows |
//! |---|---|
//! | `settings`, `endpoint`, `version` | what can be set, where etcd is, which etcd it is |
//! | `connection` | which member is asked, what is tried again, how long a call takes |
//! | `health` | whether an answer can still come |
//! | `classify` | what an error says about the request |
//! | `convert` | etcd's protocol |
//! | `reads` | how a full etcd is read |
//! | `watch`, `keepalive` | the two kinds of streams |
//!
//! Requests, watches and keep-alives have a connection each, so that neither a large answer nor a
//! watch that is not read delays another. No type of the client shows outside.

mod classify;
mod connection;
mod convert;
mod endpoint;
mod health;
mod keepalive;
mod probe;
mod reads;
mod settings;
mod version;
mod watch;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

#[cfg(feature = "tls")]
pub use self::settings::Tls;
use self::{
    classify::Effect,
    connection::{Connection, Line, Target},
    endpoint::Endpoint,
    keepalive::Keeper,
};
pub use self::{
    settings::{Settings, User},
    version::{NoVersion, Version},
};
use super::{
    Error, ErrorKind, KeepAlive, Lease, LeaseId, Limits, RangeRequest, RangeResponse, Result,
    Revision, Store, Txn, TxnResponse, WatchRequest, WatchStream,
};

/// A [`Store`] that is etcd, version 3.4 or newer.
///
/// Connections belong to the runtime in which they were made: use it in the one that called
/// [`connect`](Self::connect). Keep-alives run on a thread of their own, whatever becomes of it.
///
/// With several endpoints it stays with one of them while that answers; a request that could not be
/// sent to one is sent to the next. A member that stands still is left after some two seconds, and
/// what was sent under a leader that is none any more is not waited for.
pub struct Etcd {
    target: Arc<Target>,
    requests: Line,
    watches: Arc<Line>,
    keeper: Keeper,
    cluster_id: u64,
    version: Version,
}

impl Etcd {
    /// Connects to the members of one cluster, given as `http://host:port` or `host:port`, with the
    /// default [`Settings`].
    ///
    /// # Errors
    /// Those of [`connect_with`](Self::connect_with).
    pub async fn connect<E: AsRef<str>>(
        endpoints: impl IntoIterator<Item = E> + Send,
    ) -> Result<Self> {
        Self::connect_with(endpoints, Settings::default()).await
    }

    /// Connects to the members of one cluster. One that answers and has a leader is enough.
    ///
    /// # Errors
    /// Within [`Settings::connect_timeout`]: [`Invalid`](super::ErrorKind::Invalid) for an endpoint
    /// that is none, for endpoints of different clusters, or for a user where etcd knows none;
    /// [`Denied`](super::ErrorKind::Denied) for a wrong user or password, or for none where etcd
    /// wants one; [`Unavailable`](super::ErrorKind::Unavailable), naming the endpoints, if none
    /// answers, or none proves by TLS who it is and takes the client's certificate.
    pub async fn connect_with<E: AsRef<str>>(
        endpoints: impl IntoIterator<Item = E> + Send,
        settings: Settings,
    ) -> Result<Self> {
        let secure = is_secure(&settings);
        let endpoints = endpoints
            .into_iter()
            .map(|endpoint| Endpoint::parse(endpoint.as_ref(), secure))
            .collect::<Result<Vec<_>>>()?;
        let target = Arc::new(Target::new(endpoints, settings)?);
        let found = probe::probe(&target).await?;
        Ok(Self {
            requests: Line::new(Arc::clone(&target), found.endpoint),
            watches: Arc::new(Line::new(Arc::clone(&target), found.endpoint)),
            keeper: Keeper::new(Arc::clone(&target), found.endpoint),
            cluster_id: found.cluster_id,
            version: found.version,
            target,
        })
    }

    /// The number of the cluster.
    pub const fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// The oldest version among the members that answered when it connected, within a tenth of a second of the first;
    /// 0.0.0 for one that does not tell its version.
    pub const fn version(&self) -> Version {
        self.version
    }
}

#[cfg(feature = "tls")]
const fn is_secure(settings: &Settings) -> bool {
    settings.tls.is_some()
}

#[cfg(not(feature = "tls"))]
const fn is_secure(_: &Settings) -> bool {
    false
}

#[async_trait]
impl Store for Etcd {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse> {
        let doing = || format!("read {:?}", request.range);
        let (key, options) = convert::get_request(&request)?;
        let limit = self.requests.max_response_bytes();
        let attempt = |Connection { client, .. }| {
            let (key, options) = (key.clone(), options.clone());
            let kv = client.kv_client();
            async move {
                kv.max_decoding_message_size(limit)
                    .get(key, Some(options))
                    .await
            }
        };
        let response = self.requests.call(Effect::Nothing, doing, attempt).await?;
        convert::range_response(response.0)
            .map_err(|_| classify::malformed(Effect::Nothing, &doing()))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnResponse> {
        let writes = txn.writes();
        if writes && txn.reads_the_past() {
            return Err(Error::invalid(
                "a transaction that writes can not read at a past revision",
            ));
        }
        let effect = if writes {
            Effect::Change
        } else {
            Effect::Nothing
        };
        let (then, otherwise) = (txn.then.len(), txn.otherwise.len());
        let doing = || format!("transaction of {then} or {otherwise} operations");
        // Made anew for each attempt: most have one, and a copy of all keys and values is spared.
        let first = Mutex::new(Some(convert::txn_request(&txn)?));
        let limit = self.requests.max_response_bytes();
        let attempt = |Connection { client, .. }| {
            let again = || convert::txn_request(&txn).expect("it was made once before");
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            let request = first.take().unwrap_or_else(again);
            let kv = client.kv_client();
            async move { kv.max_decoding_message_size(limit).txn(request).await }
        };
        let response = match self.requests.call(effect, doing, attempt).await {
            Err(error) if error.kind() == ErrorKind::NoSpace && txn.compares.is_empty() => {
                return reads::each(self, txn.then, error).await;
            }
            response => response?,
        };
        convert::txn_response(response.0).map_err(|_| classify::malformed(effect, &doing()))
    }

    async fn watch(&self, request: WatchRequest) -> Result<WatchStream> {
        watch::open(&self.watches, request).await
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease> {
        let doing = || format!("grant a lease of {ttl:?}");
        let seconds = convert::ttl_seconds(ttl)?;
        let attempt = |Connection { client, .. }| async move {
            let sent_at = Instant::now();
            let granted = client.lease_client().grant(seconds, None).await?;
            Ok((sent_at, granted))
        };
        let (sent_at, granted) = self.requests.call(Effect::Change, doing, attempt).await?;
        let malformed = |_| classify::malformed(Effect::Change, &doing());
        Ok(Lease {
            id: convert::lease_id(granted.id()).map_err(malformed)?,
            ttl: convert::ttl(granted.ttl()),
            sent_at,
        })
    }

    async fn revoke(&self, lease: LeaseId) -> Result<()> {
        let attempt = |Connection { client, .. }| async move {
            client.lease_client().revoke(lease.get()).await
        };
        let doing = || format!("revoke lease {lease}");
        self.requests.call(Effect::Change, doing, attempt).await?;
        Ok(())
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.keeper.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> Result<()> {
        let number = convert::revision_number(revision)?;
        let attempt = |Connection { client, .. }| async move {
            client.kv_client().compact(number, None).await
        };
        let doing = || format!("compact to revision {revision}");
        self.requests.call(Effect::Change, doing, attempt).await?;
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits {
            slow_after_bursts: self.version.is_slow_after_bursts(),
            ..Limits::default()
        }
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("endpoints", &self.target.endpoints)
            .field("cluster_id", &self.cluster_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
