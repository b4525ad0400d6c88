//! Reading a range at one revision, however often that must be tried.

use tokio::time::{Instant, timeout_at};

use super::{Backoff, failure};
use crate::{
    error::{Error, ErrorKind, Result},
    random::Random,
    store::{self, KeyRange, KeyValue, Pager, Revision, Store},
};

/// How many records are read at once, at most: the pager asks for less where they are large.
const PAGE: usize = 64;

/// How many keys without their values are read at once.
const PAGE_OF_KEYS: usize = 1_000;

/// Something to be read.
#[derive(Debug)]
pub(crate) struct Read {
    range: KeyRange,
    keys_only: bool,
}

impl Read {
    /// All of a range.
    pub(crate) fn all(range: impl Into<KeyRange>) -> Self {
        let range = range.into();
        Self {
            range,
            keys_only: false,
        }
    }

    /// The keys of a range.
    pub(crate) const fn keys(range: KeyRange) -> Self {
        Self {
            range,
            keys_only: true,
        }
    }

    fn pager(&self) -> Pager {
        let range = self.range.clone();
        if self.keys_only {
            Pager::new(range, PAGE_OF_KEYS).keys_only()
        } else {
            Pager::new(range, PAGE)
        }
    }

    /// Reads it, and tells the revision that was read. Tries again until `deadline` while the store
    /// can not be reached.
    pub(crate) async fn at_one_revision(
        &self,
        store: &dyn Store,
        random: &Random,
        deadline: Instant,
        doing: &str,
    ) -> Result<(Revision, Vec<KeyValue>)> {
        self.picked(store, random, deadline, doing, Some).await
    }

    /// As [`at_one_revision`](Self::at_one_revision), but keeps only what `pick` makes of each key.
    pub(crate) async fn picked<T: Send>(
        &self,
        store: &dyn Store,
        random: &Random,
        deadline: Instant,
        doing: &str,
        pick: impl Fn(KeyValue) -> Option<T> + Send,
    ) -> Result<(Revision, Vec<T>)> {
        let mut backoff = Backoff::new(random.clone());
        let mut trouble = None;
        let (mut pager, mut found, mut at) = (self.pager(), Vec::new(), Revision::ZERO);
        loop {
            match timeout_at(deadline, pager.next(store)).await {
                Ok(Ok(Some(page))) => {
                    at = page.at;
                    found.extend(page.kvs.into_iter().filter_map(&pick));
                    backoff.succeed();
                    continue;
                }
                Ok(Ok(None)) => return Ok((at, found)),
                Ok(Err(error)) => match error.kind() {
                    store::ErrorKind::Unavailable => trouble = Some(error),
                    store::ErrorKind::Compacted => {
                        (pager, found) = (self.pager(), Vec::new());
                        trouble = Some(error);
                    }
                    _ => return Err(failure::of_read(doing, error)),
                },
                Err(_late) => return Err(late(doing, trouble)),
            }
            backoff.fail();
            if timeout_at(deadline, backoff.wait()).await.is_err() {
                return Err(late(doing, trouble));
            }
        }
    }
}

fn late(doing: &str, trouble: Option<store::Error>) -> Error {
    match trouble {
        Some(trouble) => {
            let why = trouble.to_string();
            Error::new(ErrorKind::Unavailable, doing, why).with_source(trouble)
        }
        None => Error::new(ErrorKind::Unavailable, doing, "etcd did not answer in time"),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex, time::Duration};

    use async_trait::async_trait;

    use super::*;
    use crate::store::{
        Error as StoreError, ErrorKind as Trouble, KeepAlive, Key, Lease, LeaseId, Memory,
        RangeRequest, RangeResponse, StoreExt, Txn, TxnResponse, WatchRequest, WatchStream,
    };

    /// A store in memory whose next reads get into this trouble, one after the other.
    #[derive(Debug, Default)]
    struct Troubled {
        memory: Memory,
        troubles: Mutex<VecDeque<Option<Trouble>>>,
        always: Option<Trouble>,
    }

    #[async_trait]
    impl Store for Troubled {
        async fn range(&self, request: RangeRequest) -> store::Result<RangeResponse> {
            let trouble = self.troubles.lock().unwrap().pop_front().flatten();
            match trouble.or(self.always) {
                Some(trouble) => Err(StoreError::new(trouble, "in trouble")),
                None => self.memory.range(request).await,
            }
        }

        async fn txn(&self, txn: Txn) -> store::Result<TxnResponse> {
            self.memory.txn(txn).await
        }

        async fn watch(&self, request: WatchRequest) -> store::Result<WatchStream> {
            self.memory.watch(request).await
        }

        async fn grant(&self, ttl: Duration) -> store::Result<Lease> {
            self.memory.grant(ttl).await
        }

        async fn revoke(&self, lease: LeaseId) -> store::Result<()> {
            self.memory.revoke(lease).await
        }

        fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
            self.memory.keep_alive(lease, every)
        }

        async fn compact(&self, revision: Revision) -> store::Result<()> {
            self.memory.compact(revision).await
        }
    }

    /// More keys than a page has.
    const COUNT: usize = PAGE + 1;

    async fn setup(
        troubles: impl IntoIterator<Item = Option<Trouble>>,
        always: Option<Trouble>,
    ) -> Troubled {
        let store = Troubled {
            memory: Memory::new(),
            troubles: Mutex::new(troubles.into_iter().collect()),
            always,
        };
        for number in 0..COUNT {
            let key = Key::new(format!("/k/{number}")).unwrap();
            store.put(key, "value".into()).await.unwrap();
        }
        store
    }

    async fn read(store: &Troubled) -> Result<(Revision, Vec<KeyValue>)> {
        let read = Read::all(KeyRange::prefix(Key::new("/k/").unwrap()));
        let deadline = Instant::now() + Duration::from_secs(10);
        let random = Random::seeded(1);
        read.at_one_revision(store, &random, deadline, "read").await
    }

    #[tokio::test(start_paused = true)]
    async fn read_is_whole_whatever_troubles_it_meets() {
        let (away, compacted) = (Some(Trouble::Unavailable), Some(Trouble::Compacted));
        for troubles in [
            vec![],
            vec![away, away],
            vec![None, away],
            vec![None, compacted],
            vec![None, away, compacted, None, away, compacted],
        ] {
            let store = setup(troubles.clone(), None).await;
            let (at, found) = read(&store).await.unwrap();
            assert_eq!(found.len(), COUNT, "{troubles:?}");
            assert_eq!(at, found.iter().map(|kv| kv.mod_revision).max().unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn store_that_stays_away_is_unavailable_when_time_is_up() {
        let start = Instant::now();
        let error = read(&setup([], Some(Trouble::Unavailable)).await).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.to_string(), "read: in trouble");
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_is_not_tried_again() {
        let error = read(&setup([Some(Trouble::Denied)], None).await).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Denied);
    }
}
