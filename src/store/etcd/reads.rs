//! Reading where there is no space.
//!
//! etcd 3.5 refuses each transaction once its space is used up, those too that only read; it answers reads that
//! are no transactions (seen on 3.5.1; 3.4.23 answers both).

use crate::store::{Error, Header, Op, OpResponse, Result, Store, TxnResponse};

/// Does a transaction that compares nothing and only reads, one read after the other, at the revision of the first.
///
/// # Errors
/// `refused` if it does anything else, or nothing at all; those of the reads.
pub(super) async fn one_by_one(
    store: &dyn Store,
    ops: Vec<Op>,
    refused: Error,
) -> Result<TxnResponse> {
    let mut header: Option<Header> = None;
    let mut responses = Vec::with_capacity(ops.len());
    for op in ops {
        let Op::Range(mut read) = op else {
            return Err(refused);
        };
        let first = header.map(|header| header.revision);
        read.revision = read.revision.or(first);
        let answer = store.range(read).await?;
        header.get_or_insert(answer.header);
        responses.push(OpResponse::Range(answer));
    }
    header.map_or(Err(refused), |header| {
        Ok(TxnResponse {
            header,
            succeeded: true,
            responses,
        })
    })
}
