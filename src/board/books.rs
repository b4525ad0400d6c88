//! What a board, its jobs and their claims have to do with logbooks.

use std::sync::Arc;

use super::{Claim, Job, JobBoard};
use crate::{
    error::{Error, ErrorKind, Result},
    logbook::{Access, LogBook, LogBooks},
    session::Pool,
};

impl JobBoard {
    /// The logbooks that are kept beside the jobs of the board.
    pub fn books(&self) -> LogBooks {
        LogBooks::new(self.parts(), self.0.clock.clone(), Arc::new(self.clone()))
    }
}

impl Job {
    /// Reads the logbook that the job refers to, as it is now; `None` if it refers to none. Who
    /// owns the job reads it after the claim: [`Claim::save_book`] takes no other.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the book is not kept here: it was deleted, or somebody
    /// else keeps it, as TaskFlow does; and those of [`LogBooks::load`].
    pub async fn book(&self) -> Result<Option<LogBook>> {
        let Some(book) = self.book_uuid() else {
            return Ok(None);
        };
        let doing = format!("load book {book} of job {}", self.id());
        self.board.books().load_while(book, &doing).await.map(Some)
    }
}

impl Claim {
    /// Saves what changed in the job's logbook since it was read or saved. If nothing did, it makes
    /// no request.
    ///
    /// # Guarantees
    /// Nothing is saved once the claim is over, whatever is still under way: the next owner
    /// resumes from what was there when it claimed the job. Up to 100 records and 1 MiB are saved
    /// in one piece; more go one part after the other, the atoms first, then the flows, then the
    /// book. What is not known to be saved stays marked as changed, and can be saved again.
    ///
    /// # Errors
    /// [`Lost`](ErrorKind::Lost) if the job is no longer held;
    /// [`NotFound`](ErrorKind::NotFound) if the book was deleted;
    /// [`Invalid`](ErrorKind::Invalid) if it is not the job's, was not created, or was read before
    /// the job was claimed, or if a name or a record in it passes its limit (255 bytes, 512 KiB);
    /// [`Unavailable`](ErrorKind::Unavailable) if nothing happened and the job is still held;
    /// [`Unknown`](ErrorKind::Unknown) if etcd stayed out of reach past the deadline, or if a part
    /// was saved and the next was not.
    ///
    /// # Examples
    /// See [`LogBook`].
    pub async fn save_book(&self, book: &mut LogBook) -> Result<()> {
        if self.job.book_uuid() != Some(book.uuid()) {
            let doing = format!("save book {} of job {}", book.uuid(), self.job.id());
            let why = "the job does not refer to it";
            return Err(Error::new(ErrorKind::Invalid, doing, why));
        }
        let books = self.job.board.books();
        books
            .save(self.held.session(), self.held.hold(), book)
            .await
    }
}

impl Access for JobBoard {
    fn to_read(&self, doing: &str) -> Result<()> {
        self.connection(doing).map(drop)
    }

    fn to_write(&self, doing: &str) -> Result<Arc<Pool>> {
        Ok(Arc::clone(self.connection_to_write(doing)?.pool()))
    }
}
