//! Who this process has registered at the board, and the task that registers them again when their
//! session is lost.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::select_all;
use tokio::{
    sync::{Mutex, MutexGuard, Notify},
    time::{Duration, Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::failure;
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        entity::EntityRecord,
        register::{Deregister, Register},
    },
    session::{Backoff, Pool, Session, WriteError},
};

/// Registers entities, and keeps them registered.
#[derive(Clone)]
pub(super) struct Registrar(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    /// Held while something is written, so that one write at a time is about an entity.
    standing: Mutex<BTreeMap<Id, Standing>>,
    /// Tells the task that there is another session to watch.
    news: Notify,
    stop: CancellationToken,
}

/// Kind and name.
type Id = (String, String);

struct Standing {
    record: EntityRecord,
    session: Arc<Session>,
}

impl Registrar {
    /// Keeps nobody registered any more once `stop` has fired.
    pub(super) fn new(pool: Arc<Pool>, stop: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            pool,
            standing: Mutex::default(),
            news: Notify::new(),
            stop,
        }))
    }

    /// Keeps nobody registered any more: the sessions are about to end.
    pub(super) fn stop(&self) {
        self.0.stop.cancel();
    }

    pub(super) async fn register(
        &self,
        doing: &str,
        record: EntityRecord,
        deadline: Instant,
    ) -> Result<()> {
        let mut standing = self.standing(doing, deadline).await?;
        let entity = record.entity();
        let id = (entity.kind().to_owned(), entity.name().to_owned());
        let last = standing.get(&id).map(|one| Arc::clone(&one.session));
        let session = self.write(&record, last, deadline).await;
        let session = session.map_err(|error| failure::of_write(doing, error))?;
        standing.insert(id, Standing { record, session });
        self.0.news.notify_one();
        Ok(())
    }

    /// False if it was not registered here.
    pub(super) async fn deregister(
        &self,
        doing: &str,
        kind: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<bool> {
        let mut standing = self.standing(doing, deadline).await?;
        let id = (kind.to_owned(), name.to_owned());
        let Some(one) = standing.get(&id) else {
            return Ok(false);
        };
        let verb = |keys: &_, guard: &_| Deregister::new(keys, guard, kind, name);
        match one.session.write_own(verb, deadline).await {
            // What a lost session registered goes with its lease.
            Ok(_) | Err(WriteError::NotSent | WriteError::Lost) => {}
            Err(error) => return Err(failure::of_write(doing, error)),
        }
        standing.remove(&id);
        Ok(true)
    }

    /// Registers again what loses its session, until this is stopped. Each try ends after
    /// `patience`.
    pub(super) async fn keep(self, patience: Duration, mut backoff: Backoff) {
        let stop = self.0.stop.clone();
        stop.run_until_cancelled(async {
            loop {
                backoff.wait().await;
                self.session_lost().await;
                match self.register_again(Instant::now() + patience).await {
                    Ok(()) => backoff.succeed(),
                    Err(error) => {
                        tracing::warn!(%error, "an entity is not registered again yet");
                        backoff.fail();
                    }
                }
            }
        })
        .await;
    }

    /// Waits until a session is lost in which somebody is registered.
    async fn session_lost(&self) {
        loop {
            let sessions: Vec<_> = {
                let standing = self.0.standing.lock().await;
                standing
                    .values()
                    .map(|one| one.session.lost().clone())
                    .collect()
            };
            let lost = sessions
                .iter()
                .map(|lost| Box::pin(lost.cancelled()))
                .collect::<Vec<_>>();
            if lost.is_empty() {
                self.0.news.notified().await;
                continue;
            }
            tokio::select! {
                biased;
                _ = select_all(lost) => return,
                () = self.0.news.notified() => {}
            }
        }
    }

    async fn register_again(&self, deadline: Instant) -> Result<(), WriteError> {
        let mut standing = self.0.standing.lock().await;
        let lost = |one: &&mut Standing| one.session.lost().is_cancelled();
        for one in standing.values_mut().filter(lost) {
            one.session = self.write(&one.record, None, deadline).await?;
            let entity = one.record.entity();
            tracing::debug!(?entity, session = %one.session.id(), "registered again");
        }
        Ok(())
    }

    /// Writes an entity: in the session that it stands in, while that lives.
    async fn write(
        &self,
        record: &EntityRecord,
        last: Option<Arc<Session>>,
        deadline: Instant,
    ) -> Result<Arc<Session>, WriteError> {
        let mut last = last.filter(|session| !session.lost().is_cancelled());
        loop {
            let session = match last.take() {
                Some(session) => session,
                None => self.0.pool.session(deadline).await?,
            };
            let verb = |keys: &_, guard: &_| Register::new(keys, guard, record.clone());
            match session.write_own(verb, deadline).await {
                Ok(_) => return Ok(session),
                // It went with the lease, if it was written: another session can write it.
                Err(WriteError::NotSent | WriteError::Lost) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn standing(
        &self,
        doing: &str,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, BTreeMap<Id, Standing>>> {
        let standing = timeout_at(deadline, self.0.standing.lock()).await;
        standing.map_err(|_late| {
            let why = "another registration has no answer yet";
            Error::new(ErrorKind::Unavailable, doing, why)
        })
    }
}
