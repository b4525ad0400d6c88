//! What tests need: of this crate, and of programs that use it.

pub use crate::local_etcd::{LocalEtcd, LocalEtcdBuilder, LocalEtcdError};
