//! How a job ended, by what is kept of it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    done::DoneRecord,
    keys::{JobId, JobPart, Keyspace},
    posting::Posting,
    quarantined::QuarantineRecord,
    record,
    verb::{Malformed, read_of},
};
use crate::store::{KeyValue, Op, RangeResponse, Revision, Txn, TxnResponse};

/// How a job ended that is not on its board any more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// It was consumed; with this result, if one is kept.
    Consumed(Option<Value>),
    /// It was trashed, for this reason if one was given.
    Trashed(Option<String>),
    /// It has not: its key is there, or was moved into the trash by a person, and what stands in it can
    /// not be read.
    Unreadable,
    /// It was consumed, and a newer version of this library left its result; this is what is to be said
    /// of that.
    NewerResult(String),
    /// It has not (any more): it was restored from the trash, and this is its posting again, with the
    /// revision at which that came to be.
    Restored(Revision, Bytes),
}

/// Reads what tells how a job ended.
pub(crate) fn ask(keys: &Keyspace, job: JobId) -> Txn {
    Txn::new().then([
        Op::get(keys.done(job)),
        Op::get(keys.trash(job, 0)),
        Op::get(keys.more_trash(job)),
        // As a rule it is not there.
        Op::get(keys.job(job, JobPart::Data)),
        Op::get(keys.quarantine_of_job(job)),
    ])
}

/// How the job with this number and uuid ended, whose posting came to be at `posted`. What can not be
/// read of the rest is nobody's.
pub(crate) fn ending(
    keys: &Keyspace,
    response: &TxnResponse,
    (job, posted, uuid): (JobId, Revision, Uuid),
) -> Result<Ending, Malformed> {
    #[derive(Deserialize)]
    struct Trashed {
        uuid: Uuid,
        jobboard: Option<Note>,
    }
    #[derive(Deserialize)]
    struct Note {
        reason: Option<String>,
    }

    let [done, first, more, data, quarantined] =
        [0, 1, 2, 3, 4].map(|index| read_of(response, index));
    if let Some(data) = data?.first() {
        if data.create_revision == posted {
            return Ok(Ending::Unreadable);
        }
        let posting = Posting::read(data.value.clone());
        if posting.is_ok_and(|posting| posting.uuid() == uuid) {
            return Ok(Ending::Restored(data.create_revision, data.value.clone()));
        }
    }
    let mut places = first?.kvs.iter().chain(&more?.kvs);
    let trashed = places.find_map(|place| {
        record::read::<Trashed>(&place.value)
            .ok()
            .filter(|trashed| trashed.uuid == uuid)
    });
    if let Some(trashed) = trashed {
        return Ok(Ending::Trashed(
            trashed.jobboard.and_then(|note| note.reason),
        ));
    }
    let done = RangeResponse::first(done?);
    let result = match done.map(|done| DoneRecord::result(&done.value, uuid)) {
        Some(Err(newer)) => return Ok(Ending::NewerResult(newer.to_string())),
        Some(Ok(result)) => result,
        None => None,
    };
    let data = keys.job(job, JobPart::Data);
    let keeps_it = |record: QuarantineRecord| record.contents.iter().any(|(key, _)| *key == data);
    // One from before this posting keeps another.
    let is_kept = |kv: &KeyValue| {
        kv.create_revision >= posted && QuarantineRecord::read(keys, &kv.value).is_ok_and(keeps_it)
    };
    if result.is_none() && quarantined?.kvs.iter().any(is_kept) {
        return Ok(Ending::Unreadable);
    }
    Ok(Ending::Consumed(result))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        protocol::keys::{BoardName, Namespace},
        store::{Key, Memory, Store, StoreExt},
    };

    const UUID: Uuid = Uuid::from_u128(7);
    const FIRST_PUT: Revision = Revision::new(2);

    type Place = fn(&Keyspace) -> Key;

    async fn ending_with(kept: &[(Place, Value)]) -> Ending {
        let keys = Keyspace::new(&Namespace::default(), &BoardName::default());
        let store = Memory::new();
        for (key, value) in kept {
            store
                .put(key(&keys), value.to_string().into())
                .await
                .unwrap();
        }
        let answer = store.txn(ask(&keys, job())).await.unwrap();
        ending(&keys, &answer, (job(), FIRST_PUT, UUID)).unwrap()
    }

    fn job() -> JobId {
        JobId::new(42).unwrap()
    }

    fn done(keys: &Keyspace) -> Key {
        keys.done(job())
    }

    fn place(keys: &Keyspace) -> Key {
        keys.trash(job(), 0)
    }

    fn data(keys: &Keyspace) -> Key {
        keys.job(job(), JobPart::Data)
    }

    fn second_place(keys: &Keyspace) -> Key {
        keys.trash(job(), 1)
    }

    #[tokio::test]
    async fn job_of_which_nothing_is_kept_was_consumed() {
        assert_eq!(ending_with(&[]).await, Ending::Consumed(None));
    }

    #[tokio::test]
    async fn job_whose_posting_is_there_has_not_ended() {
        assert_eq!(
            ending_with(&[(data, json!("broken"))]).await,
            Ending::Unreadable
        );
        let other = [(done as Place, json!({})), (data, json!("posted later"))];
        assert_eq!(ending_with(&other).await, Ending::Consumed(None));
    }

    fn quarantine(keys: &Keyspace) -> Key {
        keys.quarantine("job42.data", 1)
    }

    #[tokio::test]
    async fn job_whose_posting_is_there_again_was_restored() {
        let posting = |uuid| json!({"uuid": uuid, "name": "n", "priority": "NORMAL"});
        let other = (done as Place, json!({}));
        let kept = [other.clone(), (data, posting(UUID))];
        let again = Ending::Restored(Revision::new(3), posting(UUID).to_string().into());
        assert_eq!(ending_with(&kept).await, again);
        let kept = [other, (data, posting(Uuid::nil()))];
        assert_eq!(ending_with(&kept).await, Ending::Consumed(None));
    }

    #[tokio::test]
    async fn job_whose_posting_was_quarantined_has_not_ended() {
        let record = |key: &str| {
            let note = json!({"v": 1, "trashed_on": "2026-01-31T12:00:00.000000",
                "trashed_by": "ops", "error": "it is not JSON"});
            json!({"jobboard": note, "keys": [{"key": key, "value": ""}]})
        };
        let kept = [(quarantine as Place, record("job42.data"))];
        assert_eq!(ending_with(&kept).await, Ending::Unreadable);
        // Nor does what was quarantined before it was posted say anything.
        let keys = Keyspace::new(&Namespace::default(), &BoardName::default());
        let store = Memory::new();
        let early = record("job42.data").to_string();
        store.put(quarantine(&keys), early.into()).await.unwrap();
        let answer = store.txn(ask(&keys, job())).await.unwrap();
        let later = (job(), FIRST_PUT.next(), UUID);
        let ended = ending(&keys, &answer, later).unwrap();
        assert_eq!(ended, Ending::Consumed(None));
        // Not so what was left of a job that was consumed, or another trashed one.
        let kept = [(quarantine as Place, record("job42.state"))];
        assert_eq!(ending_with(&kept).await, Ending::Consumed(None));
        let mine = json!({"uuid": UUID, "jobboard": {"reason": "mine"}});
        let kept = [(quarantine as Place, record("job42.data")), (place, mine)];
        assert_eq!(
            ending_with(&kept).await,
            Ending::Trashed(Some("mine".to_owned()))
        );
    }

    #[tokio::test]
    async fn result_is_the_jobs_own() {
        let mine = json!({"uuid": UUID, "outcome": "CONSUMED", "result": {"n": 1}});
        assert_eq!(
            ending_with(&[(done, mine)]).await,
            Ending::Consumed(Some(json!({"n": 1})))
        );
        let other = json!({"uuid": Uuid::nil(), "result": {"n": 1}});
        assert_eq!(ending_with(&[(done, other)]).await, Ending::Consumed(None));
    }

    #[tokio::test]
    async fn result_that_a_newer_version_left_is_not_taken_for_none() {
        let newer = json!({"uuid": UUID, "result": {"n": 1}, "jobboard": {"v": 2}});
        let ended = ending_with(&[(done, newer)]).await;
        assert!(matches!(ended, Ending::NewerResult(_)), "{ended:?}");
    }

    #[tokio::test]
    async fn trashed_job_is_found_in_any_place_of_its_number() {
        let other = json!({"uuid": Uuid::nil(), "jobboard": {"reason": "other"}});
        let mine = json!({"uuid": UUID, "jobboard": {"reason": "mine"}});
        let kept = [(place as Place, other.clone()), (second_place, mine)];
        assert_eq!(
            ending_with(&kept).await,
            Ending::Trashed(Some("mine".to_owned()))
        );
        assert_eq!(ending_with(&[(place, other)]).await, Ending::Consumed(None));
    }

    #[tokio::test]
    async fn job_that_taskflow_trashed_has_no_reason() {
        let theirs = json!({"uuid": UUID, "name": "x"});
        assert_eq!(ending_with(&[(place, theirs)]).await, Ending::Trashed(None));
    }
}
