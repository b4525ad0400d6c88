//! Logbooks: where the owners of a job note each step that is done, so that the next owner goes on
//! from there.
//!
//! A job refers to a book ([`NewJob::book`](crate::NewJob::book)). A book has flows, a flow has
//! atoms: the steps. Each is a record of its own in the store, by its uuid, and names the records
//! in it in their order; so a step that is noted writes that step.
//!
//! # Who writes
//! The owner of the job, through its claim. Every save compares the claim's token and that the book
//! is there, so that a stale owner can never overwrite what the next one goes on from. And a book
//! is saved through a claim only if it was read after that claim was made: what an owner still has
//! from an earlier claim is as stale. Who creates or deletes a book needs no claim.
//!
//! # What is atomic
//! Up to 100 records and 1 MiB are written in one transaction, wholly or not at all. More go in
//! several: the atoms first, then the flows, the book last. A save that ends between two of them
//! leaves what came first. A record comes before the one that names it, so that a book can be read
//! at any time; a new record whose turn to be named did not come belongs to nothing, and goes with
//! the book. A book that is created is there when its own record is, and whole then.

mod assemble;
mod atom;
mod books;
mod detail;
mod draft;
mod flow;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

pub(crate) use self::books::Access;
use self::detail::Detail;
pub use self::{atom::AtomDetail, books::LogBooks, flow::FlowDetail};
use crate::{random::Random, store::Revision};

/// A logbook: what is known of the steps of a job, for whoever owns it next.
///
/// It is a copy of what is kept. What is changed in it stays here until it is saved:
/// [`LogBooks::create`] the first time, [`Claim::save_book`](crate::Claim::save_book) from then on,
/// which writes only what changed. It is shown without what it says: that can carry secrets.
///
/// # Caveats
/// Of two copies that one owner saves, the record that is saved last stands.
///
/// # Examples
/// An owner that resumes does not know whether it is the first:
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobboard::Result<()> {
/// use jobboard::{JobBoard, NewJob};
/// use serde_json::json;
///
/// let board = JobBoard::builder("images").connect().await?;
/// let books = board.books();
/// let mut book = books.new_book("thumbnails of a.png");
/// books.create(&mut book).await?;
/// let job = board.post(NewJob::new("thumbnails").book(&book)).await?;
///
/// let claim = board.claim(&job, "worker-7").await?;
/// let mut book = claim.job().book().await?.expect("it was posted with one");
/// for step in ["fetch", "resize", "upload"] {
///     let atom = book.add_flow("thumbnails").add_atom(step);
///     if atom.state() == Some("SUCCESS") {
///         continue; // an owner before this one did it
///     }
///     // … the work …
///     atom.set_results(json!({"bytes": 1_024})).set_state("SUCCESS");
///     claim.save_book(&mut book).await?; // `Lost` if another owns the job by now
/// }
/// claim.consume().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LogBook {
    detail: Detail,
    flows: Vec<FlowDetail>,
    random: Random,
    kept: Option<Kept>,
}

/// What is known of a book that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    /// The revision at which its own record came to be.
    created: Revision,
    /// The revision at which it was read or created: what others did later it does not show.
    seen: Revision,
}

impl LogBook {
    fn new(name: String, random: Random) -> Self {
        Self {
            detail: Detail::new(random.uuid(), name),
            flows: Vec::new(),
            random,
            kept: None,
        }
    }

    /// The flow of that name, added if there is none: 1 to 255 bytes, which is checked when the
    /// book is saved.
    pub fn add_flow(&mut self, name: &str) -> &mut FlowDetail {
        let there = self.flows.iter().position(|flow| flow.name() == name);
        let place = there.unwrap_or(self.flows.len());
        if there.is_none() {
            let flow = FlowDetail::new(name.to_owned(), self.random.clone());
            self.detail.add(flow.uuid());
            self.flows.push(flow);
        }
        &mut self.flows[place]
    }

    /// The flow of that name, to change it.
    pub fn flow_mut(&mut self, name: &str) -> Option<&mut FlowDetail> {
        self.flows.iter_mut().find(|flow| flow.name() == name)
    }

    /// Replaces what is noted about the book. Defaults to nothing.
    pub fn set_meta(&mut self, meta: Map<String, Value>) -> &mut Self {
        self.detail.edit().meta = meta;
        self
    }

    /// The flow of that name.
    pub fn flow(&self, name: &str) -> Option<&FlowDetail> {
        self.flows.iter().find(|flow| flow.name() == name)
    }

    /// The flows, in the order in which they were added.
    pub fn flows(&self) -> &[FlowDetail] {
        &self.flows
    }

    /// The uuid of the book.
    pub const fn uuid(&self) -> Uuid {
        self.detail.record().uuid
    }

    /// The name of the book, which other books can have too.
    pub fn name(&self) -> &str {
        &self.detail.record().name
    }

    /// What is noted about the book.
    pub const fn meta(&self) -> &Map<String, Value> {
        &self.detail.record().meta
    }

    /// When the book was created, by the clock of who did so; `None` if it was not yet.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.detail.record().created_at()
    }

    /// When anything in the book was last saved, by the clock of who did so; `None` if nothing was.
    pub fn updated_at(&self) -> Option<DateTime<Utc>> {
        let flows = self.flows.iter().map(FlowDetail::updated_at);
        flows.fold(self.detail.record().updated_at(), Option::max)
    }

    /// Whether everything in the book is saved as it stands here.
    pub fn is_saved(&self) -> bool {
        self.detail.is_saved() && self.flows.iter().all(FlowDetail::is_saved)
    }
}

impl fmt::Display for LogBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (uuid={})", self.name(), self.uuid())
    }
}

/// Leaves out what the book says.
impl fmt::Debug for LogBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBook")
            .field("uuid", &self.uuid())
            .field("name", &self.name())
            .field("flows", &self.flows)
            .finish_non_exhaustive()
    }
}
