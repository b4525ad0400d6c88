//! The same random script on two stores: the answers are equal, and so is what the watches tell.
//!
//! What is compared is free of where a store began: see `script`. A server that is compared must
//! have no other writer meanwhile.
#![expect(clippy::unwrap_used, reason = "what a test did not expect fails it")]

mod play;
mod script;

use std::sync::atomic::{AtomicU32, Ordering};

use jobboard::store::{Key, Memory, Store, StoreExt};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::runtime::Runtime;

use crate::{play::play, script::script};

/// Plays random scripts on a new store in memory and on `other`.
fn assert_same_as_memory(runtime: &Runtime, other: &dyn Store) {
    let run = AtomicU32::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&script(), |script| {
        let run = run.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("differential-{}-{run}", std::process::id());
        let memory = Memory::new();
        let (one, two) = runtime.block_on(async {
            let one = play(&memory, "memory", script.clone()).await;
            (one, play(other, &prefix, script).await)
        });
        prop_assert_eq!(one, two);
        Ok(())
    });
    outcome.unwrap();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What can go wrong here is that a script or an answer still carries something absolute, or that
/// the store in memory remembers what came before.
#[test]
fn store_with_a_past_answers_as_a_new_one() {
    let runtime = runtime();
    let store = Memory::builder().cluster_id(2).history(50).build();
    runtime.block_on(async {
        for _ in 0..100 {
            let key = Key::new("past").unwrap();
            store.put(key, "value".into()).await.unwrap();
        }
    });
    assert_same_as_memory(&runtime, &store);
}

/// The store in memory is etcd's twin: what one answers, the other does.
#[cfg(feature = "etcd")]
#[test]
fn etcd_of_each_version_answers_as_the_store_in_memory() {
    use jobboard::{store::etcd::Etcd, testing::LocalEtcd};

    let runtime = runtime();
    for binary in LocalEtcd::binaries().unwrap() {
        let start = async {
            let server = LocalEtcd::builder().binary(&binary).start().await.unwrap();
            println!("etcd {}", server.version().await.unwrap());
            let store = Etcd::connect([server.endpoint()]).await.unwrap();
            (server, store)
        };
        let (_server, store) = runtime.block_on(start);
        assert_same_as_memory(&runtime, &store);
    }
}
