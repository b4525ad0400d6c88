//! What tests need: of this crate, and of programs that use it.

mod auditor;
mod board;

pub use self::{
    auditor::{Audit, Auditor, Calling, Held, Log, Promise, Violation},
    board::TestBoard,
};
pub use crate::local_etcd::{LocalEtcd, LocalEtcdBuilder, LocalEtcdError};
