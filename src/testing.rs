//! What tests need: of this crate, and of programs that use it.

mod board;

pub use self::board::TestBoard;
pub use crate::local_etcd::{LocalEtcd, LocalEtcdBuilder, LocalEtcdError};
