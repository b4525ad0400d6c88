//! A job board on etcd.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod board;
mod cache;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
mod error;
#[cfg(any(feature = "testing", feature = "cli"))]
mod local_etcd;
mod protocol;
pub mod random;
mod session;
pub mod store;
#[cfg(any(feature = "testing", feature = "cli"))]
pub mod testing;

pub use crate::{
    board::{Claim, Job, JobBoard, JobBoardBuilder, Jobs, NewJob},
    cache::{Counts, Unreadable},
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::{BoardName, JobId, Namespace},
        priority::JobPriority,
        state::JobState,
    },
};
