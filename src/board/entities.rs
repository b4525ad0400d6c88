//! Who works at a board: entities, registered for as long as their process lives.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::broadcast::{self, error::RecvError};

use super::JobBoard;
use crate::{
    cache::{Batch, EntityEvent, EntityReader, Registered, Unreadable},
    error::{Error, ErrorKind, Result},
    protocol::entity::{Entity, EntityRecord},
    store::Revision,
};

impl JobBoard {
    /// Registers `entity` at the board: everybody can see that it is there, until the board is
    /// closed, the entity is [deregistered](Self::deregister_entity), or this process dies and its
    /// lease ends. The same kind and name again replaces the metadata.
    ///
    /// # Guarantees
    /// If this returns, the entity is in etcd. When its session is lost (no word from etcd in time),
    /// it goes with that, and is registered again in the next as soon as etcd can be reached. A
    /// process that was started again stands beside its namesake of before until that one's lease
    /// ends.
    ///
    /// # Caveats
    /// A handle that was closed and connects again does not register anybody by itself. After
    /// [`Unknown`](ErrorKind::Unknown), or if the call's future was dropped, the entity may stand
    /// until the session ends.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if a limit is passed, and those of [`post`](Self::post).
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{Entity, JobBoard};
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// board.register_entity(&Entity::new("conductor", "thumbnails@host-3:4711")).await?;
    /// assert_eq!(board.entities().await?.of_kind("conductor").len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register_entity(&self, entity: &Entity) -> Result<()> {
        let doing = format!("register {} {:?}", entity.kind(), entity.name());
        let record = EntityRecord::new(&doing, entity)?;
        let connection = self.connection_to_write(&doing)?;
        let deadline = self.deadline();
        connection
            .registrar()
            .register(&doing, record, deadline)
            .await
    }

    /// Takes an entity off that this handle or a clone of it registered; false if none of that kind
    /// and name is.
    ///
    /// # Errors
    /// Those of [`post`](Self::post).
    pub async fn deregister_entity(&self, kind: &str, name: &str) -> Result<bool> {
        let doing = format!("deregister {kind} {name:?}");
        let connection = self.connection_to_write(&doing)?;
        let deadline = self.deadline();
        connection
            .registrar()
            .deregister(&doing, kind, name, deadline)
            .await
    }

    /// Who is registered at the board: a live view, that shows everybody whose registration returned
    /// before this call began. Kept by a watch of its own from the first call on.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed), [`Denied`](ErrorKind::Denied), and
    /// [`Unavailable`](ErrorKind::Unavailable).
    pub async fn entities(&self) -> Result<Entities> {
        let connection = self.connection(DOING)?;
        let reader = connection.entities(DOING, self.deadline()).await?;
        Ok(Entities(reader))
    }
}

const DOING: &str = "list the entities of the board";

/// Who is registered at a board; made by [`JobBoard::entities`]. Clones see the same. Looking makes
/// no request. When the board is closed, it shows what it saw last.
#[derive(Clone)]
pub struct Entities(EntityReader);

impl Entities {
    /// All that are registered, by kind, name and age.
    pub fn list(&self) -> Vec<Registered> {
        self.0.list()
    }

    /// All of one kind that are registered, by name and age.
    pub fn of_kind(&self, kind: &str) -> Vec<Registered> {
        self.0.of_kind(kind)
    }

    /// The keys among those of the entities that can not be read, a thousand at most. The view does
    /// without them; nothing deletes them: a person is needed.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.0.unreadable()
    }

    /// The revision of the store that is shown.
    pub fn revision(&self) -> Revision {
        self.0.applied()
    }

    /// Waits until the view shows a revision other than `seen`, at once if it does, and gives it.
    /// By push. Cancel safe.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub async fn changed(&self, seen: Revision) -> Result<Revision> {
        let mut reader = self.0.clone();
        while reader.applied() == seen {
            let changed = reader.changed().await;
            changed.map_err(|closed| Error::new(ErrorKind::Closed, DOING, closed.to_string()))?;
        }
        Ok(reader.applied())
    }

    /// What changes from now on, as a stream. What is told can be seen, and each change is told
    /// once, in the order of the store's revisions; over a gap that etcd has compacted, the
    /// differences are told.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub fn events(&self) -> Result<EntityEvents> {
        let closed = || Error::new(ErrorKind::Closed, DOING, "the board is closed");
        let batches = self.0.listen().ok_or_else(closed)?;
        let listening = (batches, VecDeque::new());
        Ok(EntityEvents(stream::unfold(listening, next).boxed()))
    }
}

impl fmt::Debug for Entities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

/// What changes among the entities of a board; made by [`Entities::events`]. It ends when the board
/// is closed.
pub struct EntityEvents(BoxStream<'static, EntityEvent>);

impl EntityEvents {
    /// The next event; `None` once the board is closed and all was told. Cancel safe.
    pub async fn next(&mut self) -> Option<EntityEvent> {
        self.0.next().await
    }
}

impl Stream for EntityEvents {
    type Item = EntityEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for EntityEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntityEvents")
    }
}

type Listening = (broadcast::Receiver<Batch>, VecDeque<EntityEvent>);

async fn next((mut batches, mut waiting): Listening) -> Option<(EntityEvent, Listening)> {
    loop {
        if let Some(told) = waiting.pop_front() {
            return Some((told, (batches, waiting)));
        }
        match batches.recv().await {
            Ok(batch) => waiting.extend(batch.iter().cloned()),
            Err(RecvError::Lagged(_)) => waiting.push_back(EntityEvent::Lagged),
            Err(RecvError::Closed) => return None,
        }
    }
}
