//! Where logbooks are kept.

use std::{fmt, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Kept, LogBook,
    assemble::{Broken, assemble},
    draft::{Draft, Which, mark_all_saved, mark_saved},
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    protocol::{
        book::{CreateBook, DeleteBook, SaveBook, SaveRefusal, sweep_book},
        detail::DetailRecord,
        holding::Hold,
    },
    session::{Parts, Pool, Read, Session, WriteError, failure},
    store::{KeyValue, Revision},
};

/// How many names are read at once.
const READ_AT_ONCE: usize = 16;

/// The logbooks of a board; made by [`JobBoard::books`](crate::JobBoard::books). Clones are handles
/// to the same.
///
/// A book is kept until it is [deleted](Self::delete), also when the job that refers to it is done.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use jobboard::JobBoard;
///
/// let board = JobBoard::builder("images").connect().await?;
/// let books = board.books();
/// let mut book = books.new_book("thumbnails of a.png");
/// book.add_flow("thumbnails").add_atom("fetch").set_state("PENDING");
/// books.create(&mut book).await?;
///
/// let again = books.load(book.uuid()).await?;
/// let flow = again.flow("thumbnails").expect("it was added");
/// assert_eq!(flow.atom("fetch").and_then(|atom| atom.state()), Some("PENDING"));
/// assert!(books.delete(book.uuid()).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LogBooks {
    parts: Parts,
    clock: Clock,
    access: Arc<dyn Access>,
}

/// What lets logbooks be read and written, as long as it is connected.
pub(crate) trait Access: Send + Sync {
    /// An error if nothing can be read.
    fn to_read(&self, doing: &str) -> Result<()>;

    /// What is written with; an error if nothing can be written.
    fn to_write(&self, doing: &str) -> Result<Arc<Pool>>;
}

impl LogBooks {
    pub(crate) const fn new(parts: Parts, clock: Clock, access: Arc<dyn Access>) -> Self {
        Self {
            parts,
            clock,
            access,
        }
    }

    /// A new book of that name, which other books can have too: 1 to 255 bytes, which is checked
    /// when it is created. Nobody else sees it before.
    pub fn new_book(&self, name: impl Into<String>) -> LogBook {
        LogBook::new(name.into(), self.parts.random.clone())
    }

    /// Keeps a new book with all that is in it. From then on jobs can refer to it
    /// ([`NewJob::book`](crate::NewJob::book)).
    ///
    /// # Guarantees
    /// The book is there when it is whole. If this fails nobody sees a part of it.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if there is a book of that uuid, or if a name or a record
    /// passes its limit (255 bytes, 512 KiB); [`Denied`](ErrorKind::Denied),
    /// [`Closed`](ErrorKind::Closed), [`Unavailable`](ErrorKind::Unavailable), and
    /// [`Unknown`](ErrorKind::Unknown) if etcd stayed out of reach past the deadline.
    pub async fn create(&self, book: &mut LogBook) -> Result<()> {
        let uuid = book.uuid();
        let doing = format!("create book {uuid}");
        let pool = self.access.to_write(&doing)?;
        let deadline = self.deadline();
        let now = self.clock.now();
        let draft = Draft::of(book, &self.parts.keys, Which::All, now, &doing)?;
        let mut created = Revision::ZERO;
        for part in draft.into_parts() {
            let verb = CreateBook::new(&self.parts.keys, uuid, part);
            let outcome = pool.write(verb, deadline).await;
            created = outcome
                .map_err(|error| failure::of_write(&doing, error))?
                .map_err(|_exists| {
                    let why = "there is a book of that uuid";
                    Error::new(ErrorKind::Invalid, &doing, why)
                })?;
        }
        mark_all_saved(book, now);
        book.kept = Some(Kept {
            created,
            seen: created,
        });
        Ok(())
    }

    /// Reads a book, as it was at one moment. Tries again while etcd can not be reached, until the
    /// deadline of the call.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no such book is kept here;
    /// [`Corrupt`](ErrorKind::Corrupt), with the record that can not be read;
    /// [`Closed`](ErrorKind::Closed), [`Denied`](ErrorKind::Denied),
    /// [`Unavailable`](ErrorKind::Unavailable).
    pub async fn load(&self, book: Uuid) -> Result<LogBook> {
        self.load_while(book, &format!("load book {book}")).await
    }

    /// As [`load`](Self::load), while doing something of which that is a part.
    pub(crate) async fn load_while(&self, book: Uuid, doing: &str) -> Result<LogBook> {
        self.access.to_read(doing)?;
        let Parts { keys, random, .. } = &self.parts;
        let read = Read::all(keys.all_of_book(book));
        let (seen, found) = self.read(read, self.deadline(), doing).await?;
        assemble(keys, random, book, seen, found).map_err(|broken| {
            let kind = match broken {
                Broken::Missing => ErrorKind::NotFound,
                Broken::Unreadable(..) => ErrorKind::Corrupt,
            };
            Error::new(kind, doing, broken.to_string())
        })
    }

    /// The books that are kept, each by its uuid, in the order of these, with its name; `None`
    /// instead if that can not be read ([`load`](Self::load) tells why).
    ///
    /// # Errors
    /// Those of [`load`](Self::load), without `NotFound` and `Corrupt`.
    pub async fn list(&self) -> Result<Vec<(Uuid, Option<String>)>> {
        const DOING: &str = "list the books";
        self.access.to_read(DOING)?;
        let keys = &self.parts.keys;
        let deadline = self.deadline();
        let read = Read::keys(keys.all_books());
        let (_, all) = self.read(read, deadline, DOING).await?;
        let books = all.into_iter().filter_map(|kv| keys.parse_book(&kv.key));
        let named = stream::iter(books).map(|book| async move {
            let read = Read::all(keys.book(book));
            let (_, found) = self.read(read, deadline, DOING).await?;
            let own = found.first();
            let record = own.map(|own| DetailRecord::read(book, &own.value));
            // One that was deleted meanwhile is none.
            Ok(record.map(|record| (book, record.ok().map(|record| record.name))))
        });
        let named = named.buffered(READ_AT_ONCE);
        let there = named.try_filter_map(|found| async move { Ok(found) });
        there.try_collect().await
    }

    /// Deletes a book with all that is in it, in one piece; false if there is none: then what a creation that
    /// ended half-way has left of it is deleted. An owner that saves to it from then on gets
    /// [`NotFound`](ErrorKind::NotFound).
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied), [`Closed`](ErrorKind::Closed),
    /// [`Unavailable`](ErrorKind::Unavailable), [`Unknown`](ErrorKind::Unknown).
    pub async fn delete(&self, book: Uuid) -> Result<bool> {
        let doing = format!("delete book {book}");
        let pool = self.access.to_write(&doing)?;
        let (keys, deadline) = (&self.parts.keys, self.deadline());
        let deleted = async {
            let was_there = pool.write(DeleteBook::new(keys, book), deadline).await?;
            if !was_there {
                pool.write(sweep_book(keys, book), deadline).await?;
            }
            Ok(was_there)
        };
        let deleted: Result<bool, WriteError> = deleted.await;
        deleted.map_err(|error| failure::of_write(doing, error))
    }

    /// Saves what changed in `book`, as the owner of a job who holds it in `session`.
    pub(crate) async fn save(
        &self,
        session: &Session,
        hold: Hold,
        book: &mut LogBook,
    ) -> Result<()> {
        let uuid = book.uuid();
        let doing = format!("save book {uuid} of job {}", hold.job);
        let invalid = |why| Err(Error::new(ErrorKind::Invalid, &doing, why));
        let Some(Kept { created, seen }) = book.kept else {
            return invalid("it was not created yet");
        };
        if seen < hold.token {
            return invalid("it was read before the job was claimed: read it again");
        }
        let deadline = self.deadline();
        let now = self.clock.now();
        let parts = Draft::of(book, &self.parts.keys, Which::Changed, now, &doing)?.into_parts();
        let all = parts.len();
        for (done, part) in parts.into_iter().enumerate() {
            let count = part.len();
            let verb = SaveBook::new(&self.parts.keys, hold, uuid, created, part);
            let outcome = session.write_held(hold, verb, deadline).await;
            match outcome.map_err(|error| failure::of_settle(&doing, &hold, error)) {
                Ok(Ok(_at)) => mark_saved(book, count, now),
                Ok(Err(SaveRefusal::NotHeld(not_held))) => {
                    return Err(failure::of_not_held(doing, not_held));
                }
                Ok(Err(SaveRefusal::NotKept)) => {
                    let why = "it is not kept here any more";
                    return Err(Error::new(ErrorKind::NotFound, doing, why));
                }
                Err(error) if done > 0 && error.kind() != ErrorKind::Lost => {
                    let why = format!("{done} of its {all} parts were saved, the next was not");
                    return Err(Error::new(ErrorKind::Unknown, doing, why).with_source(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        read: Read,
        deadline: Instant,
        doing: &str,
    ) -> Result<(Revision, Vec<KeyValue>)> {
        let Parts { store, random, .. } = &self.parts;
        read.at_one_revision(&**store, random, deadline, doing)
            .await
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.parts.settings.deadline
    }
}

impl fmt::Debug for LogBooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogBooks")
    }
}
