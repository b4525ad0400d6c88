//! Between the store's types and those of etcd's protocol: the one place where a number of etcd
//! becomes a [`Revision`] or a [`LeaseId`], and back.

use std::time::Duration;

use bytes::Bytes;
use etcd_client::{
    Compare as EtcdCompare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn as EtcdTxn,
    TxnOp, WatchOptions,
    proto::{
        PbEvent, PbKeyValue, PbRangeResponse, PbResponseHeader, PbTxnOpResponse, PbTxnResponse,
    },
};

use crate::store::{
    Compare, Content, Error, Event, Header, Key, KeyRange, KeyValue, LeaseId, Op, OpResponse,
    RangeEnd, RangeRequest, RangeResponse, Relation, Result, Revision, Target, Txn, TxnResponse,
};

/// An answer that etcd's protocol does not allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

type Answer<T> = Result<T, Malformed>;

/// The end that stands for no end.
const NO_END: &[u8] = &[0];
/// The types of events, as numbers of the protocol.
const PUT: i32 = 0;
const DELETE: i32 = 1;

// Requests.

pub(super) fn revision_number(revision: Revision) -> Result<i64> {
    number(revision.get(), "a revision")
}

pub(super) fn get_request(request: &RangeRequest) -> Result<(Vec<u8>, GetOptions)> {
    let mut options = GetOptions::new();
    if let Some(revision) = request.revision {
        // Zero stands for the newest in etcd; the oldest that can be read is 1.
        options = options.with_revision(revision_number(revision)?.max(1));
    }
    options = match (request.content, request.limit) {
        // Zero stands for no limit in etcd.
        (Content::CountOnly, _) | (_, Some(0)) => options.with_count_only(),
        (Content::KeysOnly, limit) => limited(options, limit).with_keys_only(),
        (Content::Full, limit) => limited(options, limit),
    };
    let (key, end) = bounds(&request.range);
    if let Some(end) = end {
        options = options.with_range(end);
    }
    Ok((key, options))
}

pub(super) fn watch_request(range: &KeyRange, from: Revision) -> Result<(Vec<u8>, WatchOptions)> {
    // Zero stands for now in etcd; the first revision of a store is 1.
    let from = revision_number(from)?.max(1);
    let mut options = WatchOptions::new().with_start_revision(from);
    let (key, end) = bounds(range);
    if let Some(end) = end {
        options = options.with_range(end);
    }
    Ok((key, options))
}

/// etcd's builder asserts the order in which it is called, and that each call comes once.
pub(super) fn txn_request(txn: &Txn) -> Result<EtcdTxn> {
    let compares = txn.compares.iter().map(compare);
    let then = txn.then.iter().map(operation);
    let otherwise = txn.otherwise.iter().map(operation);
    Ok(EtcdTxn::new()
        .when(compares.collect::<Result<Vec<_>>>()?)
        .and_then(then.collect::<Result<Vec<_>>>()?)
        .or_else(otherwise.collect::<Result<Vec<_>>>()?))
}

fn operation(op: &Op) -> Result<TxnOp> {
    Ok(match op {
        Op::Put(put) => {
            let lease = put.lease.map_or(0, LeaseId::get);
            let options = PutOptions::new().with_lease(lease);
            TxnOp::put(put.key.as_bytes(), &*put.value, Some(options))
        }
        Op::Delete(range) => {
            let (key, end) = bounds(range);
            let options = end.map(|end| DeleteOptions::new().with_range(end));
            TxnOp::delete(key, options)
        }
        Op::Range(request) => {
            let (key, options) = get_request(request)?;
            TxnOp::get(key, Some(options))
        }
        Op::Txn(txn) => TxnOp::txn(txn_request(txn)?),
    })
}

fn compare(compare: &Compare) -> Result<EtcdCompare> {
    let relation = match compare.relation {
        Relation::Equal => CompareOp::Equal,
        Relation::NotEqual => CompareOp::NotEqual,
        Relation::Greater => CompareOp::Greater,
        Relation::Less => CompareOp::Less,
    };
    let (key, end) = bounds(&compare.range);
    let made = match &compare.target {
        Target::CreateRevision(revision) => {
            EtcdCompare::create_revision(key, relation, revision_number(*revision)?)
        }
        Target::ModRevision(revision) => {
            EtcdCompare::mod_revision(key, relation, revision_number(*revision)?)
        }
        Target::Version(version) => {
            EtcdCompare::version(key, relation, number(*version, "a version")?)
        }
        Target::Value(value) => EtcdCompare::value(key, relation, &**value),
        Target::Lease(lease) => EtcdCompare::lease(key, relation, lease.map_or(0, LeaseId::get)),
    };
    Ok(match end {
        Some(end) => made.with_range(end),
        None => made,
    })
}

fn limited(options: GetOptions, limit: Option<usize>) -> GetOptions {
    match limit {
        Some(limit) => options.with_limit(i64::try_from(limit).unwrap_or(i64::MAX)),
        None => options,
    }
}

fn bounds(range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let end = match range.end() {
        RangeEnd::Single => None,
        RangeEnd::Before(end) => Some(end.as_bytes().to_vec()),
        RangeEnd::Unbounded => Some(NO_END.to_vec()),
    };
    (range.start().as_bytes().to_vec(), end)
}

fn number(number: u64, what: &str) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::invalid(format!("{number} is too high for {what}")))
}

/// Whole seconds of a time to live, rounded up; at least one, as zero is refused.
pub(super) fn ttl_seconds(ttl: Duration) -> Result<i64> {
    let seconds = ttl
        .as_secs()
        .saturating_add(u64::from(ttl.subsec_nanos() > 0));
    number(seconds.max(1), "a time to live")
}

// Answers.

pub(super) fn header(header: Option<PbResponseHeader>) -> Answer<Header> {
    let header = header.ok_or(Malformed)?;
    Ok(Header {
        cluster_id: header.cluster_id,
        revision: revision(header.revision)?,
    })
}

pub(super) fn range_response(mut response: PbRangeResponse) -> Answer<RangeResponse> {
    let header = header(response.header.take())?;
    keys(response, header)
}

pub(super) fn txn_response(mut response: PbTxnResponse) -> Answer<TxnResponse> {
    let header = header(response.header.take())?;
    branch(response, header)
}

pub(super) fn event(event: PbEvent) -> Answer<Event> {
    let kv = event.kv.ok_or(Malformed)?;
    match event.r#type {
        PUT => Ok(Event::Put(key_value(kv)?)),
        DELETE => Ok(Event::Delete {
            key: key(kv.key)?,
            revision: revision(kv.mod_revision)?,
        }),
        _ => Err(Malformed),
    }
}

pub(super) fn lease_id(number: i64) -> Answer<LeaseId> {
    LeaseId::new(number).ok_or(Malformed)
}

/// A time to live; a negative one is none at all.
pub(super) fn ttl(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// The answers inside a transaction have headers without a cluster: they are of the transaction.
fn branch(response: PbTxnResponse, header: Header) -> Answer<TxnResponse> {
    let responses = response.responses.into_iter().map(|response| {
        Ok(match response.response.ok_or(Malformed)? {
            PbTxnOpResponse::ResponsePut(_) => OpResponse::Put,
            PbTxnOpResponse::ResponseDeleteRange(response) => OpResponse::Delete {
                deleted: count(response.deleted)?,
            },
            PbTxnOpResponse::ResponseRange(response) => OpResponse::Range(keys(response, header)?),
            PbTxnOpResponse::ResponseTxn(response) => OpResponse::Txn(branch(response, header)?),
        })
    });
    Ok(TxnResponse {
        header,
        succeeded: response.succeeded,
        responses: responses.collect::<Answer<_>>()?,
    })
}

fn keys(response: PbRangeResponse, header: Header) -> Answer<RangeResponse> {
    Ok(RangeResponse {
        header,
        count: count(response.count)?,
        kvs: response
            .kvs
            .into_iter()
            .map(key_value)
            .collect::<Answer<_>>()?,
    })
}

fn key_value(kv: PbKeyValue) -> Answer<KeyValue> {
    Ok(KeyValue {
        key: key(kv.key)?,
        value: Bytes::from(kv.value),
        create_revision: revision(kv.create_revision)?,
        mod_revision: revision(kv.mod_revision)?,
        version: u64::try_from(kv.version).map_err(|_| Malformed)?,
        lease: LeaseId::new(kv.lease),
    })
}

fn key(bytes: Vec<u8>) -> Answer<Key> {
    Key::new(bytes).map_err(|_| Malformed)
}

fn revision(number: i64) -> Answer<Revision> {
    u64::try_from(number)
        .map(Revision::new)
        .map_err(|_| Malformed)
}

fn count(number: i64) -> Answer<usize> {
    usize::try_from(number).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbResponseOp;

    use super::*;

    fn kv(key: &str) -> PbKeyValue {
        PbKeyValue {
            key: key.into(),
            create_revision: 2,
            mod_revision: 3,
            version: 2,
            ..PbKeyValue::default()
        }
    }

    #[test]
    fn answers_that_etcd_does_not_give_are_malformed_and_not_a_panic() {
        assert!(header(None).is_err());
        assert!(key_value(kv("")).is_err());
        let negative = PbKeyValue {
            mod_revision: -1,
            ..kv("a")
        };
        assert!(key_value(negative).is_err());
        let unknown = PbEvent {
            r#type: 7,
            kv: Some(kv("a")),
            prev_kv: None,
        };
        assert!(event(unknown).is_err());
        let empty = PbTxnResponse {
            header: Some(PbResponseHeader::default()),
            responses: vec![PbResponseOp { response: None }],
            ..PbTxnResponse::default()
        };
        assert!(txn_response(empty).is_err());
    }

    #[test]
    fn answers_inside_a_transaction_have_its_header() {
        let response = PbTxnResponse {
            header: Some(PbResponseHeader {
                cluster_id: 9,
                revision: 4,
                ..Default::default()
            }),
            succeeded: true,
            responses: vec![PbResponseOp {
                response: Some(PbTxnOpResponse::ResponseRange(PbRangeResponse {
                    kvs: vec![kv("a")],
                    count: 1,
                    ..PbRangeResponse::default()
                })),
            }],
        };
        let response = txn_response(response).unwrap();
        let range = response.responses[0].as_range().unwrap();
        assert_eq!(range.header, response.header);
        assert_eq!(range.header.cluster_id, 9);
    }

    #[test]
    fn time_to_live_is_rounded_up() {
        assert_eq!(ttl_seconds(Duration::ZERO).unwrap(), 1);
        assert_eq!(ttl_seconds(Duration::from_millis(2001)).unwrap(), 3);
        assert!(ttl_seconds(Duration::MAX).is_err());
    }

    #[test]
    fn revision_beyond_etcds_numbers_is_refused() {
        assert!(revision_number(Revision::new(u64::MAX)).is_err());
    }
}
