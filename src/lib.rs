//! A job board on etcd: anyone posts jobs, clustered services claim them, and exactly one owner holds
//! a job. When the owner dies its lease ends, after its [time to live](JobBoardBuilder::ttl), and the job is claimable
//! again; a stale owner can change nothing; every call ends by its deadline and says what happened, or that it can not
//! be known.
//!
//! # A first look
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> jobboard::Result<()> {
//! use jobboard::{JobBoard, JobPriority, NewJob, store::Memory};
//! use serde_json::json;
//!
//! // On etcd: `.store(Etcd::connect(["http://127.0.0.1:2379"]).await?)`
//! let board = JobBoard::builder("images").store(Memory::new()).connect().await?;
//!
//! let new = NewJob::new("thumbnail").details(json!({"file": "a.png"}));
//! let job = board.post(new.priority(JobPriority::High)).await?;
//!
//! for job in board.fresh_jobs().await?.only_unclaimed() {
//!     println!("{job}"); // in order, live, no request per job
//! }
//!
//! let claim = board.claim(&job, "worker-7").await?;
//! tokio::select! {
//!     () = async { /* make the thumbnail */ } => { claim.consume().await?; }
//!     () = claim.lost() => {} // somebody else has it now
//! }
//! board.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A service that does jobs embeds a [`Conductor`].
//!
//! # What can be relied on
//! - At most one owner holds a job. A claim is over when its session's lease ends, when its owner
//!   gives it up, when it is [taken away](JobBoard::release) by force, or when the board is closed; [`Claim::lost`]
//!   tells.
//! - What an owner of the past sends changes nothing: every write compares the session's guard, and
//!   every verb of a claim its [token](Claim::token).
//! - A call ends within its [deadline](JobBoardBuilder::deadline) with what is true: it happened, it
//!   did not and never will; or, only when etcd stays out of reach or the claim ended while its verb was on its way, that it
//!   can have happened: [`ErrorKind::Unknown`], [`ErrorKind::Lost`].
//! - A job is consumed once, or is on the board, or in the trash.
//!
//! # What can not
//! - That a job's effects outside of etcd happen once: an owner can be paused between its last look
//!   at the claim and what it does. Hand the token on to where that matters.
//! - Anything against clients that do not keep these rules: TaskFlow's own consume and abandon read,
//!   then delete, unfenced.
//! - Strict priority: as long as urgent jobs keep coming, the others wait.
//!
//! # Features
//! `etcd` (default; its build needs `protoc`), `tls` (default), `cli` (the command `jobboard`),
//! `testing` ([`store`]'s conformance and an etcd of one's own for tests). `serde_json`'s feature
//! `arbitrary_precision` must be off in the whole program: a board refuses to be built with it.
//!
//! # Pages
//! - [`docs::guarantees`]: what each promise rests on, the test that would fail without it, and what is not promised
//! - [`docs::operations`]: what an operator sets up and watches over; which etcd
//! - [`docs::security`]: roles for etcd, and what is done with hostile records
//! - [`docs::contract`] and [`docs::taskflow`]: TaskFlow's contract with ours beside it, and one board for both
//! - [`docs::keyspace`]: what lies in etcd
//! - [`docs::testing`] and [`docs::performance`]: how all this is tested, and what was measured
#![cfg_attr(docsrs, feature(doc_cfg))]

mod alarm;
mod board;
mod cache;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
mod conductor;
mod delays;
pub mod docs;
mod error;
#[cfg(any(feature = "testing", feature = "cli"))]
mod local_etcd;
mod logbook;
mod panicked;
mod protocol;
pub mod random;
mod session;
mod signals;
pub mod store;
#[cfg(any(feature = "testing", feature = "cli"))]
pub mod testing;

#[cfg(all(fuzzing, feature = "cli"))]
#[doc(hidden)]
pub use crate::cli::fuzzing::arguments as fuzz_arguments;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use crate::protocol::fuzzing::{keys as fuzz_keys, records as fuzz_records};
pub use crate::{
    board::{
        CallbackId, CallbackOutcome, Cancelled, Claim, ClaimOptions, Ended, Entities, Event,
        EventKind, EventKinds, Events, Holder, Job, JobBoard, JobBoardBuilder, Jobs, NewJob,
        Notification, Notifier, Quarantined, Retry, TrashList, TrashReview, TrashedJob,
    },
    cache::{Counts, EntityEvent, Registered, Unreadable},
    conductor::{
        Conductor, ConductorBuilder, ConductorEvent, Context, Handler, HandlerError, Outcome, Step,
        StopReason,
    },
    error::{Error, ErrorKind, Result},
    logbook::{AtomDetail, FlowDetail, LogBook, LogBooks},
    protocol::{
        backoff::Backoff,
        cancel::CancelRequest,
        entity::Entity,
        keys::{BoardName, JobId, Namespace},
        pause::Pause,
        priority::JobPriority,
        progress::Progress,
        state::JobState,
    },
};
