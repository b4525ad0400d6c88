//! Entities of a board: registering them, and seeing who is there.

mod registrar;
mod view;

use tokio::time::timeout_at;

pub(super) use self::registrar::Registrar;
pub use self::view::Entities;
use super::JobBoard;
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        entity::{Entity, EntityRecord},
        limits::check_name,
    },
    session::failure,
};

impl JobBoard {
    /// Registers `entity` at the board, for all to see.
    ///
    /// # Guarantees
    /// If this returns, everybody who asks for the [`entities`](Self::entities) from then on sees
    /// it. It stands until it is [taken off](Self::deregister_entity) or this handle is closed; if
    /// the process dies, until its session ends, a time to live later at most. When the session is
    /// lost meanwhile, it is registered again in the next one, however often that must be tried.
    ///
    /// Registering the same kind and name again replaces the metadata. If that fails, what stood
    /// before stands.
    ///
    /// # Caveats
    /// A process that was started again is listed at once, beside its namesake of before, whose
    /// session ends by itself. [`Registered::session`](crate::Registered::session) tells the two
    /// apart. While a lost session's lease has not ended, an entity can be listed twice likewise.
    ///
    /// What a closed handle had registered is not registered again when it connects again.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the kind or the name is empty or has more than 255 bytes,
    /// or the metadata are no JSON object or have more than 16 KiB;
    /// [`Closed`](ErrorKind::Closed), [`Denied`](ErrorKind::Denied),
    /// [`Unavailable`](ErrorKind::Unavailable), and [`Unknown`](ErrorKind::Unknown) if etcd stayed
    /// out of reach past the deadline.
    ///
    /// # Examples
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> jobboard::Result<()> {
    /// use jobboard::{Entity, JobBoard};
    /// use serde_json::json;
    ///
    /// let board = JobBoard::builder("images").connect().await?;
    /// let entity = Entity::new("conductor", "thumbnails@host-3:4711");
    /// board.register_entity(&entity.with_metadata(json!({"slots": 8}))).await?;
    ///
    /// let conductors = board.entities().await?.of_kind("conductor");
    /// assert_eq!(conductors[0].entity.metadata()["slots"], 8);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn register_entity(&self, entity: &Entity) -> Result<()> {
        let doing = format!("register {} {:?}", entity.kind(), entity.name());
        let record = EntityRecord::new(&doing, entity)?;
        let connection = self.connection_to_write(&doing)?;
        let registered = connection.registrar().register(record, self.deadline());
        registered
            .await
            .map_err(|error| failure::of_write(&doing, error))?;
        Ok(())
    }

    /// Takes an entity off that this handle or a clone of it registered; false if there is none of
    /// that kind and name. One whose session is lost goes with that session's lease.
    ///
    /// # Errors
    /// Those of [`register_entity`](Self::register_entity). After all but
    /// [`Unknown`](ErrorKind::Unknown) it stands as before.
    pub async fn deregister_entity(&self, kind: &str, name: &str) -> Result<bool> {
        self.deregister(kind, name, |_| true).await
    }

    /// As [`deregister_entity`](Self::deregister_entity), if nobody registered another one in its place.
    pub(crate) async fn deregister_this(&self, entity: &Entity) -> Result<bool> {
        let is_it = |standing: &Entity| standing == entity;
        self.deregister(entity.kind(), entity.name(), is_it).await
    }

    async fn deregister(
        &self,
        kind: &str,
        name: &str,
        is_meant: impl FnOnce(&Entity) -> bool + Send,
    ) -> Result<bool> {
        let doing = format!("deregister {kind} {name:?}");
        check_name(&doing, "the kind", kind)?;
        check_name(&doing, "the name", name)?;
        let connection = self.connection_to_write(&doing)?;
        let gone = connection
            .registrar()
            .deregister((kind, name), is_meant, self.deadline());
        gone.await.map_err(|error| failure::of_write(&doing, error))
    }

    /// A live view of who is registered at the board.
    ///
    /// # Guarantees
    /// Every entity is shown whose registration returned before this call began, unless it is gone
    /// again.
    ///
    /// # Caveats
    /// Each call reads the list of the entities, so keep the view: it stays up to date. The first
    /// call begins to watch them, until the handle is closed. A read-only handle can do so too.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed); [`Denied`](ErrorKind::Denied) if etcd refuses the user;
    /// [`Unavailable`](ErrorKind::Unavailable) if they could not be listed within the
    /// [deadline](crate::JobBoardBuilder::deadline).
    pub async fn entities(&self) -> Result<Entities> {
        const DOING: &str = "list the entities";
        let connection = self.connection(DOING)?;
        let (cache, started) = connection.entities();
        let reader = cache.reader();
        let shown = async {
            let listed = reader.ready().await;
            listed.map_err(|error| failure::of_store(DOING, error))?;
            if !started {
                // The list that is shown can have begun before this call.
                let relisted = reader.relist().await;
                relisted.map_err(|unlisted| unlisted.while_doing(DOING))?;
            }
            Ok(())
        };
        let late = |_| {
            let why = reader.status().why_unlisted();
            Err(Error::new(ErrorKind::Unavailable, DOING, why))
        };
        timeout_at(self.deadline(), shown)
            .await
            .unwrap_or_else(late)?;
        let reader = reader.clone();
        Ok(Entities { reader })
    }
}
