//! A job board on etcd.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
mod error;
mod protocol;
pub mod random;
mod session;
pub mod store;

pub use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{
        keys::{BoardName, JobId, Namespace},
        priority::JobPriority,
        state::JobState,
    },
};
