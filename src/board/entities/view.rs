//! What is seen of the entities of a board, without a request.

use std::{fmt, future};

use crate::{
    board::Events,
    cache::{Batch, EntityEvent, EntityReader, Registered, Unreadable},
    error::{Error, ErrorKind, Result},
    store::Revision,
};

/// A live view of who is registered at a board; made by [`JobBoard::entities`]. Clones see the same.
///
/// No call makes a request. The view is behind the store by a little, and by more while the store
/// can not be reached. Once the board is closed it shows what it showed last.
///
/// [`JobBoard::entities`]: crate::JobBoard::entities
#[derive(Clone)]
pub struct Entities {
    pub(super) reader: EntityReader,
}

impl Entities {
    /// All that are registered, by kind, name and age.
    ///
    /// A process that was started again stands beside its namesake of before until the session of
    /// that one ends.
    pub fn list(&self) -> Vec<Registered> {
        self.reader.list()
    }

    /// All of one kind that are registered, by name and age.
    pub fn of_kind(&self, kind: &str) -> Vec<Registered> {
        self.reader.of_kind(kind)
    }

    /// The keys among those of the entities that can not be read, a thousand at most. The view does
    /// without them; nothing deletes them, but those that are on a lease end with it.
    pub fn unreadable(&self) -> Vec<Unreadable> {
        self.reader.unreadable()
    }

    /// The revision of the store that is shown. What was registered at a revision up to this one
    /// can be seen.
    pub fn revision(&self) -> Revision {
        self.reader.applied()
    }

    /// Waits until the view shows a revision other than `seen`, at once if it does, and gives it:
    /// for who looks at the list whenever something is new. By push. Cancel safe.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub async fn changed(&self, seen: Revision) -> Result<Revision> {
        let mut reader = self.reader.clone();
        loop {
            let now = reader.applied();
            if now != seen {
                return Ok(now);
            }
            let changed = reader.changed().await;
            changed.map_err(|closed| closed.while_doing("wait for a change of the entities"))?;
        }
    }

    /// What happens to entities from now on, in order.
    ///
    /// Each change is told when the view shows it. Where the view lost sight of the store for a
    /// while, and at each [`JobBoard::entities`](crate::JobBoard::entities), which lists anew, the
    /// changes between what it showed and what it shows then are told, those in between merged.
    /// Whoever is more than 256 revisions behind misses the oldest, and is told
    /// [`Lagged`](EntityEvent::Lagged) in their place.
    ///
    /// Who asks for this first and for the [`list`](Self::list) then misses nothing; what the list
    /// shows already can be told once more.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub fn events(&self) -> Result<Events<EntityEvent>> {
        let doing = "listen to the entities";
        let closed = || Error::new(ErrorKind::Closed, doing, "the board is closed");
        let batches = self.reader.listen().ok_or_else(closed)?;
        let read = |batch: Result<Batch, u64>| match batch {
            Ok(batch) => batch.to_vec(),
            Err(_missed) => vec![EntityEvent::Lagged],
        };
        // Nothing more can come once the view has ended.
        Ok(Events::of(batches, future::pending(), read))
    }
}

impl fmt::Debug for Entities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entities(at revision {})", self.revision())
    }
}
