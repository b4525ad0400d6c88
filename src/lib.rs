//! A job board on etcd.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod board;
#[allow(
    dead_code,
    unused_imports,
    reason = "the board that uses all of it is being built on it"
)]
mod cache;
pub mod clock;
#[allow(
    dead_code,
    reason = "the board that uses all of it is being built on it"
)]
mod error;
#[cfg(any(feature = "testing", feature = "cli"))]
mod local_etcd;
#[allow(
    dead_code,
    unused_imports,
    reason = "the board that uses all of it is being built on it"
)]
mod protocol;
pub mod random;
#[allow(
    dead_code,
    unused_imports,
    reason = "the board that uses all of it is being built on it"
)]
mod session;
pub mod store;
#[cfg(any(feature = "testing", feature = "cli"))]
pub mod testing;

pub use crate::{
    board::{Claim, Job, JobBoard, JobBoardBuilder, Jobs, NewJob},
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::{BoardName, JobId, Namespace},
        priority::JobPriority,
        state::JobState,
    },
};
