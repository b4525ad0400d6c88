//! A job board on etcd.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
pub mod random;
pub mod store;
