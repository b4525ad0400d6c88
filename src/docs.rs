//! Pages that belong to no single item.

#[doc = include_str!("docs/keyspace.md")]
pub mod keyspace {}

#[doc = include_str!("docs/contract.md")]
pub mod contract {}

#[doc = include_str!("docs/taskflow.md")]
pub mod taskflow {}

#[doc = include_str!("docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("docs/security.md")]
pub mod security {}

#[doc = include_str!("docs/testing.md")]
pub mod testing {}

#[doc = include_str!("docs/operations.md")]
pub mod operations {}

#[doc = include_str!("docs/performance.md")]
#[doc = include_str!("docs/performance.svg")]
pub mod performance {}
