//! What happened on a board, as etcd tells it from its first revision on.

use std::collections::BTreeMap;

use futures::StreamExt;
use jobboard::store::{
    Event, Key, KeyRange, RangeRequest, Revision, Store, StoreExt, WatchRequest,
};

use crate::load::Told;

/// Where the jobs of the board of these stories are.
const JOBS: &str = "/taskflow/jobs/failover/job";
/// Where those that were moved into the trash are.
const TRASH: &str = "/taskflow/.trash/failover/";

/// Fails unless each job was posted once and ended once, had one owner at a time, and what the users
/// were told is true. All jobs must have ended.
pub(crate) async fn assert_each_job_once(store: &dyn Store, told: &Told) {
    let mut postings = BTreeMap::<String, usize>::new();
    let (mut jobs, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for event in all(store).await {
        let key = event.key().as_str().unwrap();
        let (job, part) = key[JOBS.len()..].split_once('.').unwrap();
        let job = job.to_owned();
        match (part, &event) {
            ("data", Event::Put(kv)) => {
                assert_eq!(kv.version, 1, "job {job} is posted over another");
                let posting: serde_json::Value = serde_json::from_slice(&kv.value).unwrap();
                let name = posting["name"].as_str().unwrap().to_owned();
                *postings.entry(name.clone()).or_default() += 1;
                assert_eq!(jobs.insert(job, name), None, "a job comes back");
            }
            ("data", Event::Delete { .. }) => {
                let end = ends.insert(jobs[&job].clone(), event.revision());
                assert_eq!(end, None, "job {job} ends twice");
            }
            ("lock", Event::Put(kv)) => {
                assert_eq!(kv.version, 1, "job {job} has another owner already");
                assert!(jobs.contains_key(&job), "a job that is not has an owner");
            }
            _ => {}
        }
    }
    assert_eq!(ends.len(), jobs.len(), "not each job ended");
    let trash = KeyRange::prefix(Key::new(TRASH).unwrap());
    let trash = store.range(RangeRequest::new(trash)).await.unwrap();
    assert!(trash.kvs.is_empty(), "a job was trashed");
    let twice: Vec<_> = postings.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "posted twice: {twice:?}");
    let is_there = |name: &&String| postings.contains_key(*name);
    let lost: Vec<_> = told.posted.iter().filter(|name| !is_there(name)).collect();
    assert!(lost.is_empty(), "never posted: {lost:?}");
    let late: Vec<_> = told.refused.iter().filter(is_there).collect();
    assert!(late.is_empty(), "posted after all: {late:?}");
    // It can have been learned after the fact.
    let is_early = |(name, told): &(&String, &Revision)| ends[*name] > **told;
    let early: Vec<_> = told.consumed.iter().filter(is_early).collect();
    assert!(early.is_empty(), "said to be consumed too early: {early:?}");
}

/// All changes of the jobs up to now, in order.
async fn all(store: &dyn Store) -> Vec<Event> {
    let range = KeyRange::prefix(Key::new(JOBS).unwrap());
    let last = Key::new(format!("{JOBS}0.end-of-history")).unwrap();
    store.put(last.clone(), "".into()).await.unwrap();
    let from_the_first = WatchRequest::new(range, Revision::new(1));
    let mut watch = store.watch(from_the_first).await.unwrap();
    let mut events = Vec::new();
    loop {
        let batch = watch.next().await.unwrap().unwrap();
        events.extend(batch.events);
        if events.iter().any(|event| *event.key() == last) {
            return events;
        }
    }
}
