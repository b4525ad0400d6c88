//! Keeps registered what this process registered, from one session to the next.
//!
//! Entities are written one after the other. A write keeps its turn until its outcome is known, even
//! if that is after the deadline of its call, or when the caller has gone: so what comes later is
//! written later too, and what stands is known to whoever has the turn.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{Mutex, Notify, OwnedMutexGuard},
    time::{Instant, timeout_at},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use uuid::Uuid;

use crate::{
    protocol::{
        entity::{Entity, EntityRecord},
        register::{deregister, register},
    },
    random::Random,
    session::{Backoff, Pool, Session, WriteError},
    store::Revision,
};

/// Registers entities, and again whenever their session is lost. Dropping this ends that.
pub(in crate::board) struct Registrar {
    desk: Arc<Desk>,
    task: TaskTracker,
    stop: DropGuard,
}

struct Desk {
    pool: Arc<Pool>,
    ours: Arc<Mutex<Ours>>,
    /// Tells the task that an entity was registered, perhaps in a session that it does not watch.
    registered: Arc<Notify>,
    /// How long the task tries to write one entity.
    patience: Duration,
}

/// What this process registered, by kind and name.
type Ours = BTreeMap<(String, String), Standing>;

/// The turn to write. Who has it, knows what stands.
type Turn = OwnedMutexGuard<Ours>;

/// How an entity stands.
struct Standing {
    record: EntityRecord,
    session: Arc<Session>,
}

impl Standing {
    fn is_lost(&self) -> bool {
        self.session.lost().is_cancelled()
    }
}

impl Registrar {
    /// Starts the task that registers again what lost its session. `patience` is how long it tries
    /// to write one entity before it waits. Must be called inside a tokio runtime.
    pub(in crate::board) fn start(pool: Arc<Pool>, random: Random, patience: Duration) -> Self {
        let desk = Arc::new(Desk {
            pool,
            ours: Arc::default(),
            registered: Arc::default(),
            patience,
        });
        let stop = CancellationToken::new();
        let task = TaskTracker::new();
        let (keeping, until) = (Arc::clone(&desk), stop.clone());
        task.spawn(async move {
            until.run_until_cancelled(keeping.keep(random)).await;
        });
        task.close();
        let stop = stop.drop_guard();
        Self { desk, task, stop }
    }

    /// Stops the task and waits until it has ended: nothing is registered again from then on. Doing
    /// it again is harmless. Cancel safe.
    pub(in crate::board) async fn close(&self) {
        self.stop.token().cancel();
        self.task.wait().await;
    }

    /// Registers an entity, in place of one of the same kind and name. After a definite failure
    /// that one stands as before.
    pub(super) async fn register(
        &self,
        record: EntityRecord,
        deadline: Instant,
    ) -> Result<Revision, WriteError> {
        let turn = self.desk.turn(deadline).await?;
        self.desk.register(turn, record, deadline).await
    }

    /// Takes an entity off if it is the one that is meant; false if this process registered none of that kind
    /// and name, or another one since.
    pub(super) async fn deregister(
        &self,
        (kind, name): (&str, &str),
        is_meant: impl FnOnce(&Entity) -> bool + Send,
        deadline: Instant,
    ) -> Result<bool, WriteError> {
        let turn = self.desk.turn(deadline).await?;
        let place = (kind.to_owned(), name.to_owned());
        let Some(standing) = turn.get(&place) else {
            return Ok(false);
        };
        if !is_meant(standing.record.entity()) {
            return Ok(false);
        }
        let session = Arc::clone(&standing.session);
        let then = move |outcome| {
            let (mut turn, place) = (turn, place);
            // With its session, it is gone as well.
            if matches!(outcome, Ok(_) | Err(WriteError::Lost)) {
                turn.remove(&place);
            }
            (outcome, turn, place)
        };
        let written = session
            .write_own(
                |keys, guard| deregister(keys, guard, kind, name),
                deadline,
                then,
            )
            .await?;
        match written {
            (Ok(_) | Err(WriteError::Lost), ..) => Ok(true),
            // It goes with the lease of its session, and does not come back.
            (Err(WriteError::NotSent), mut turn, place) => {
                turn.remove(&place);
                Ok(true)
            }
            (Err(error), ..) => Err(error),
        }
    }
}

impl Desk {
    async fn turn(&self, deadline: Instant) -> Result<Turn, WriteError> {
        let turn = Arc::clone(&self.ours).lock_owned();
        timeout_at(deadline, turn).await.map_err(|_late| {
            WriteError::Unreached("an earlier registration has no answer yet".to_owned())
        })
    }

    /// Registers an entity in the session in which it stands, if that lives, else in any.
    async fn register(
        &self,
        mut turn: Turn,
        record: EntityRecord,
        deadline: Instant,
    ) -> Result<Revision, WriteError> {
        let place = place_of(&record);
        loop {
            let session = match turn.get(&place) {
                Some(standing) if !standing.is_lost() => Arc::clone(&standing.session),
                _ => self.pool.session(deadline).await?,
            };
            let standing = Standing {
                record: record.clone(),
                session: Arc::clone(&session),
            };
            let (place, registered) = (place.clone(), Arc::clone(&self.registered));
            let then = move |outcome: Result<Revision, WriteError>| {
                let mut turn = turn;
                if outcome.is_ok() {
                    turn.insert(place, standing);
                    registered.notify_one();
                }
                (outcome, turn)
            };
            let written = session
                .write_own(|keys, guard| register(keys, guard, &record), deadline, then)
                .await?;
            match written {
                // Without its session it does not stand: another session can register it.
                (Err(WriteError::NotSent | WriteError::Lost), back) => turn = back,
                (outcome, _) => return outcome,
            }
        }
    }

    /// Registers again what lost its session, as long as there are sessions.
    async fn keep(&self, random: Random) {
        let mut backoff = Backoff::new(random);
        loop {
            self.until_some_are_lost().await;
            match self.register_lost().await {
                Ok(()) => backoff.succeed(),
                // Only a pool that is closed has no session.
                Err(WriteError::NotSent) => return,
                Err(error) => {
                    tracing::warn!(%error, "entities are not registered again yet");
                    backoff.fail();
                    backoff.wait().await;
                }
            }
        }
    }

    async fn until_some_are_lost(&self) {
        loop {
            let sessions: BTreeMap<Uuid, CancellationToken> = {
                let ours = self.ours.lock().await;
                let sessions = ours.values().map(|standing| &standing.session);
                let lost = |session: &Arc<Session>| (session.id(), session.lost().clone());
                sessions.map(lost).collect()
            };
            let mut lost: FuturesUnordered<_> = sessions
                .values()
                .map(CancellationToken::cancelled)
                .collect();
            tokio::select! {
                biased;
                Some(()) = lost.next() => return,
                () = self.registered.notified() => {}
            }
        }
    }

    /// Registers all that lost their session. One that etcd refuses holds up no other.
    async fn register_lost(&self) -> Result<(), WriteError> {
        let lost: Vec<_> = {
            let ours = self.ours.lock().await;
            let lost = ours.iter().filter(|(_, standing)| standing.is_lost());
            lost.map(|(place, _)| place.clone()).collect()
        };
        let mut outcome = Ok(());
        for place in lost {
            let turn = Arc::clone(&self.ours).lock_owned().await;
            // It can have been taken off meanwhile.
            let Some(record) = turn.get(&place).map(|standing| standing.record.clone()) else {
                continue;
            };
            let deadline = Instant::now() + self.patience;
            match self.register(turn, record, deadline).await {
                Ok(at) => {
                    let (kind, name) = place;
                    tracing::info!(kind, name, %at, "registered again in another session");
                }
                Err(error @ WriteError::Refused(_)) => outcome = Err(error),
                Err(error) => return Err(error),
            }
        }
        outcome
    }
}

fn place_of(record: &EntityRecord) -> (String, String) {
    let entity = record.entity();
    (entity.kind().to_owned(), entity.name().to_owned())
}

#[cfg(test)]
mod tests;
