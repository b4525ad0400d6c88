//! Pages that belong to no single item.

#[doc = include_str!("docs/keyspace.md")]
pub mod keyspace {}
