//! One board with TaskFlow on it and us.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use jobboard::{
    Job, JobBoard,
    store::{Etcd, Key, KeyRange, RangeRequest, Store, StoreExt},
    testing::LocalEtcd,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::python::{Looked, Shown, TaskFlow};

/// The name of the board.
pub(crate) const BOARD: &str = "images";

/// More than any wait of a story takes.
pub(crate) const PATIENCE: Option<Duration> = Some(Duration::from_secs(30));

/// More than any story takes, with all that it needs; one that takes so long has failed.
const BOUND: Duration = Duration::from_mins(2);

/// An etcd with one board: ours, and TaskFlow's in another process.
pub(crate) struct Scene {
    pub(crate) etcd: LocalEtcd,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) board: JobBoard,
    pub(crate) theirs: TaskFlow,
}

/// Tells `story` with each version of etcd.
pub(crate) async fn on_each(story: impl AsyncFn(&mut Scene)) {
    for binary in LocalEtcd::binaries().unwrap() {
        println!("{}", binary.display());
        let end = Instant::now() + BOUND;
        let late = format!("it does not end with {}", binary.display());
        let scene = timeout_at(end, Scene::on(&binary)).await;
        let mut scene = scene.expect(&late);
        timeout_at(end, story(&mut scene)).await.expect(&late);
        scene.board.close().await;
    }
}

impl Scene {
    async fn on(binary: &Path) -> Self {
        let etcd = LocalEtcd::builder().binary(binary).start().await.unwrap();
        let store = Etcd::connect([etcd.endpoint()]).await.unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let board = JobBoard::builder(BOARD).store(Arc::clone(&store));
        Self {
            board: board.connect().await.unwrap(),
            theirs: TaskFlow::start(&etcd, BOARD).await,
            store,
            etcd,
        }
    }

    /// TaskFlow posts a job; as it is seen here.
    pub(crate) async fn posted_by_them(&mut self, job: Value) -> (Job, Shown) {
        let shown: Shown = self.theirs.ask("post", job).await;
        (self.seen(shown.uuid).await, shown)
    }

    /// A job that is on the board, as it is seen here.
    pub(crate) async fn seen(&self, uuid: Uuid) -> Job {
        self.board.fresh_jobs().await.unwrap();
        self.board.find(uuid).unwrap()
    }

    /// All jobs, as TaskFlow lists them.
    pub(crate) async fn listed_by_them(&mut self) -> Vec<Shown> {
        self.theirs.ask("list", json!({})).await
    }

    /// The jobs that TaskFlow knows of without a look at etcd.
    pub(crate) async fn known_to_them(&mut self) -> Vec<Shown> {
        self.theirs.ask("list", json!({"fresh": false})).await
    }

    /// What TaskFlow says of a job.
    pub(crate) async fn looked_up_by_them(&mut self, job: &Job) -> Looked {
        self.theirs.ask("look", of(job)).await
    }

    /// Every key below this one, and what it holds.
    pub(crate) async fn keys(&self, below: &str) -> Vec<(String, Value)> {
        let range = KeyRange::prefix(Key::new(below.to_owned()).unwrap());
        let read = self.store.range(RangeRequest::new(range)).await.unwrap();
        let pair = |kv: jobboard::store::KeyValue| {
            let value = serde_json::from_slice(&kv.value).unwrap_or(Value::Null);
            (kv.key.as_str().unwrap().to_owned(), value)
        };
        read.kvs.into_iter().map(pair).collect()
    }

    /// What a key holds, to the byte.
    pub(crate) async fn record(&self, key: &str) -> Bytes {
        let read = self.store.get(Key::new(key.to_owned()).unwrap()).await;
        read.unwrap().unwrap().value
    }

    /// The keys of the board that can not be read, as it is now.
    pub(crate) async fn unreadable(&self) -> Vec<String> {
        self.board.fresh_jobs().await.unwrap();
        let told = self.board.unreadable().into_iter();
        told.map(|one| one.key.as_str().unwrap().to_owned())
            .collect()
    }

    /// Writes a record by hand.
    pub(crate) async fn put(&self, key: &str, record: impl ToString) {
        let key = Key::new(key.to_owned()).unwrap();
        let record = record.to_string().into_bytes();
        self.store.put(key, record.into()).await.unwrap();
    }
}

/// A key of a job on the board.
pub(crate) fn key(job: impl std::fmt::Display, part: &str) -> String {
    format!("/taskflow/jobs/{BOARD}/job{job}.{part}")
}

/// The place of a job in the trash.
pub(crate) fn trash(job: impl std::fmt::Display) -> String {
    format!("/taskflow/.trash/{BOARD}/job{job}")
}

/// An order about a job.
pub(crate) fn of(job: &Job) -> Value {
    json!({"uuid": job.uuid()})
}

/// An order about a job, by an owner of this name.
pub(crate) fn by(who: &str, job: &Job) -> Value {
    json!({"uuid": job.uuid(), "who": who})
}
