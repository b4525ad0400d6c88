//! Reading where there is no space.
//!
//! etcd 3.5 refuses each transaction once its space is used up, those too that only read; it answers reads that
//! are no transactions (seen on 3.5.1; 3.4.23 answers both).

use futures::future::try_join_all;

use crate::store::{Error, Op, OpResponse, RangeRequest, Result, Store, TxnResponse};

/// Does a transaction that compares nothing and only reads, each read for itself, at the revision of the first.
///
/// # Errors
/// `refused` if it does anything else, or nothing at all; those of the reads.
pub(super) async fn each(store: &dyn Store, ops: Vec<Op>, refused: Error) -> Result<TxnResponse> {
    let reads = ops.into_iter().map(|op| match op {
        Op::Range(read) => Some(read),
        _ => None,
    });
    let reads: Option<Vec<RangeRequest>> = reads.collect();
    let mut reads = reads.unwrap_or_default().into_iter();
    let Some(first) = reads.next() else {
        return Err(refused);
    };
    let first = store.range(first).await?;
    let header = first.header;
    let others = reads.map(|mut read| {
        read.revision = read.revision.or(Some(header.revision));
        store.range(read)
    });
    let others = try_join_all(others).await?;
    let responses = [first].into_iter().chain(others);
    Ok(TxnResponse {
        header,
        succeeded: true,
        responses: responses.map(OpResponse::Range).collect(),
    })
}
