//! Every law of the store's contract, on every store.
//!
//! The stores in memory run on paused time, so that no lease takes real seconds. Each test has a
//! store of its own. On a server that tests share, a `shared` law needs a prefix that no other run
//! used, and an `alone` law must not run beside any other.

use std::sync::Arc;

use jobboard::{
    for_each_law,
    store::{Memory, Store, conformance},
};

mod memory {
    use super::*;

    macro_rules! on_memory {
        ($kind:ident $area:ident $law:ident) => {
            #[tokio::test(start_paused = true)]
            async fn $law() {
                conformance::$area::$law(&Memory::new(), stringify!($law)).await;
            }
        };
    }
    for_each_law!(on_memory);
}

mod shared_memory {
    use super::*;

    macro_rules! on_shared_memory {
        ($kind:ident $area:ident $law:ident) => {
            #[tokio::test(start_paused = true)]
            async fn $law() {
                let store: Arc<dyn Store> = Arc::new(Memory::new());
                conformance::$area::$law(&store, stringify!($law)).await;
            }
        };
    }
    for_each_law!(on_shared_memory);
}

mod memory_that_does_not_fail {
    use jobboard::{
        random::Random,
        store::{Faults, Faulty},
    };

    use super::*;

    macro_rules! on_faulty {
        ($kind:ident $area:ident $law:ident) => {
            #[tokio::test(start_paused = true)]
            async fn $law() {
                let store = Faulty::new(Memory::new(), Random::seeded(1), Faults::NONE);
                conformance::$area::$law(&store, stringify!($law)).await;
            }
        };
    }
    for_each_law!(on_faulty);
}

#[cfg(feature = "etcd")]
mod real_etcd {
    use jobboard::{store::etcd::Etcd, testing::LocalEtcd};

    use super::*;

    /// Each version has a server of its own for each law.
    macro_rules! on_etcd {
        ($kind:ident $area:ident $law:ident) => {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                for binary in LocalEtcd::binaries().unwrap() {
                    let server = LocalEtcd::builder().binary(&binary).start().await.unwrap();
                    println!("etcd {}", server.version().await.unwrap());
                    let store = Etcd::connect([server.endpoint()]).await.unwrap();
                    conformance::$area::$law(&store, stringify!($law)).await;
                }
            }
        };
    }
    for_each_law!(on_etcd);
}
