//! The sessions of a board: one, as a rule.
//!
//! The first write opens it. Another is opened when it is lost, and beside it when it holds so many
//! claims that one lease should not carry more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Loss, Parts, Session, WriteError};
use crate::protocol::verb::Verb;

/// How many claims one session carries: all keys of a lease end in one revision, and are checked
/// one by one where etcd has users.
const CLAIMS: usize = 1_000;

/// The sessions in which one connection of a board writes.
#[derive(Debug)]
pub(crate) struct Pool {
    parts: Parts,
    sessions: Mutex<Sessions>,
    /// Held while a session is opened, so that those who wait for one share it.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Sessions {
    closed: bool,
    /// The newest last; those that are lost stay until they are over.
    all: Vec<Arc<Session>>,
}

impl Pool {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            sessions: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Writes a verb that any session can write, in another one if the first ends before it did.
    pub(crate) async fn write<V: Verb + Clone>(
        &self,
        verb: V,
        deadline: Instant,
    ) -> Result<V::Outcome, WriteError> {
        loop {
            let session = self.session(deadline).await?;
            match session.write(verb.clone(), deadline).await {
                // A verb that was under way when its lease was revoked did not happen later; those
                // for which it matters whether it happened before are not told this.
                Err(WriteError::NotSent | WriteError::Lost) => {}
                outcome => return outcome,
            }
        }
    }

    /// A session to write in.
    pub(crate) async fn session(&self, deadline: Instant) -> Result<Arc<Session>, WriteError> {
        self.session_with(|_| true, deadline).await
    }

    /// A session to claim in.
    pub(crate) async fn session_to_claim(
        &self,
        deadline: Instant,
    ) -> Result<Arc<Session>, WriteError> {
        self.session_with(|session| session.claims.len() < CLAIMS, deadline)
            .await
    }

    async fn session_with(
        &self,
        fits: impl Fn(&Session) -> bool,
        deadline: Instant,
    ) -> Result<Arc<Session>, WriteError> {
        if let Some(session) = self.find_alive(&fits)? {
            return Ok(session);
        }
        let late = |_| WriteError::Unreached("no session was opened in time".to_owned());
        let _opening = timeout_at(deadline, self.opening.lock())
            .await
            .map_err(late)?;
        if let Some(session) = self.find_alive(&fits)? {
            return Ok(session);
        }
        let session = Session::open(&self.parts, deadline).await?;
        let mut sessions = self.lock();
        if sessions.closed {
            return Err(WriteError::NotSent);
        }
        sessions.all.push(Arc::clone(&session));
        Ok(session)
    }

    fn find_alive(
        &self,
        fits: &impl Fn(&Session) -> bool,
    ) -> Result<Option<Arc<Session>>, WriteError> {
        let mut sessions = self.lock();
        if sessions.closed {
            return Err(WriteError::NotSent);
        }
        sessions.all.retain(|session| !session.is_over());
        let alive = |session: &&Arc<Session>| session.life.loss().is_none() && fits(session);
        Ok(sessions.all.iter().rev().find(alive).map(Arc::clone))
    }

    /// The session of that name, if it is one of these and not over.
    pub(crate) fn find(&self, id: Uuid) -> Option<Arc<Session>> {
        self.lock()
            .all
            .iter()
            .find(|session| session.id() == id)
            .map(Arc::clone)
    }

    /// All sessions that are not over.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().all.clone()
    }

    /// Ends all sessions as lost.
    pub(crate) fn lose(&self, why: Loss) {
        for session in self.all() {
            session.life.lose(why);
        }
    }

    /// Ends all sessions, and waits for that until `deadline`. No other is opened.
    pub(crate) async fn close(&self, deadline: Instant) {
        let sessions = {
            let mut sessions = self.lock();
            sessions.closed = true;
            std::mem::take(&mut sessions.all)
        };
        let closing = sessions.iter().map(|session| session.close(deadline));
        futures::future::join_all(closing).await;
    }

    /// Held for a few instructions only, never across an await. No holder leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
