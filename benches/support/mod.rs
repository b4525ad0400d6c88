//! What the benchmarks share: processes that take orders, and the rows of one table.

pub(crate) mod process;
pub(crate) mod row;
