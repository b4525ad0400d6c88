//! The sessions of a board: one, as a rule.
//!
//! The first write opens it. Another is opened when it is lost, and beside it when it holds so many
//! claims that one lease should not carry more. Those of a claim's own stand beside these: nobody else
//! writes in them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{LeaseTerms, Loss, Parts, Place, Session, WriteError};
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
    /// Those in which all write, the newest last; those that are lost stay until they are over.
    shared: Vec<Arc<Session>>,
    /// Those of one claim each.
    own: Vec<Arc<Session>>,
}

impl Sessions {
    fn all(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.shared.iter().chain(&self.own)
    }

    /// Forgets those that are over.
    fn tidy(&mut self) {
        for sessions in [&mut self.shared, &mut self.own] {
            sessions.retain(|session| !session.is_over());
        }
    }
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
        // Whether it can have happened in a session that ended. It will not any more; those verbs that
        // can not be repeated without harm are not told this.
        let mut in_doubt = false;
        loop {
            let written = match self.session(deadline).await {
                Ok(session) => session.write(verb.clone(), deadline).await,
                Err(WriteError::NotSent) if !in_doubt => return Err(WriteError::NotSent),
                Err(WriteError::NotSent) => {
                    return Err(WriteError::Unknown("the board is closed".to_owned()));
                }
                Err(error) => Err(error),
            };
            match written {
                Err(WriteError::NotSent) => {}
                Err(WriteError::Lost) => in_doubt = true,
                Err(error) if in_doubt => return Err(error.in_doubt()),
                outcome => return outcome,
            }
        }
    }

    /// A session to write in.
    pub(crate) async fn session(&self, deadline: Instant) -> Result<Arc<Session>, WriteError> {
        self.session_with(|_| true, deadline).await
    }

    /// Where to claim a job: in a session of its own on these terms, if there are any.
    pub(crate) async fn place_to_claim(
        &self,
        own: Option<LeaseTerms>,
        deadline: Instant,
    ) -> Result<Place, WriteError> {
        let Some(terms) = own else {
            let fits = |session: &Session| session.claims.len() < CLAIMS;
            return self.session_with(fits, deadline).await.map(Place::shared);
        };
        if self.lock().closed {
            return Err(WriteError::NotSent);
        }
        let place = Place::own(Session::open(&self.parts, terms, deadline).await?);
        if self.take_in(place.session()) {
            return Ok(place);
        }
        place.session().close(deadline).await;
        Err(WriteError::NotSent)
    }

    /// Takes in a session of a claim's own; false if it is too late for that.
    fn take_in(&self, own: &Arc<Session>) -> bool {
        let mut sessions = self.lock();
        sessions.tidy();
        if !sessions.closed {
            sessions.own.push(Arc::clone(own));
        }
        !sessions.closed
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
        let terms = self.parts.settings.terms();
        let session = Session::open(&self.parts, terms, deadline).await?;
        let mut sessions = self.lock();
        if sessions.closed {
            return Err(WriteError::NotSent);
        }
        sessions.shared.push(Arc::clone(&session));
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
        sessions.tidy();
        let alive = |session: &&Arc<Session>| session.life.loss().is_none() && fits(session);
        Ok(sessions.shared.iter().rev().find(alive).map(Arc::clone))
    }

    /// The session of that name, if it is one of these and not over.
    pub(crate) fn find(&self, id: Uuid) -> Option<Arc<Session>> {
        self.lock()
            .all()
            .find(|session| session.id() == id)
            .map(Arc::clone)
    }

    /// All sessions that are not over.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().all().cloned().collect()
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
            let own = std::mem::take(&mut sessions.own);
            let mut all = std::mem::take(&mut sessions.shared);
            all.extend(own);
            all
        };
        let closing = sessions.iter().map(|session| session.close(deadline));
        futures::future::join_all(closing).await;
    }

    /// Held for a few instructions only, never across an await. No holder leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
