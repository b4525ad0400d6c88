//! A registrar on a store in memory that gets into trouble, on paused time.

use std::sync::{
    Mutex as StdMutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use async_trait::async_trait;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::*;
use crate::{
    protocol::{
        entity::Entity,
        keys::{BoardName, Keyspace, Namespace},
    },
    session::{Parts, Settings},
    store::{
        self, Error, ErrorKind, KeepAlive, Key, KeyRange, KeyValue, Lease, LeaseId, Memory,
        RangeRequest, RangeResponse, Store, Txn, TxnResponse, WatchRequest, WatchStream,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// What becomes of what is asked of the store.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// It can not be reached.
    Away,
    /// It refuses what this word occurs in.
    Refuses(&'static str),
    /// It does what it is asked for after this time, whether or not anybody waits for it.
    Slow(Duration),
}

/// A store in memory that gets into trouble.
#[derive(Clone, Debug)]
struct Troubled {
    memory: Memory,
    trouble: Arc<StdMutex<Trouble>>,
    asked: Arc<AtomicU32>,
}

impl Troubled {
    fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// What comes of asking for something: how long it takes, if it is done.
    fn ask(&self, words: &str) -> store::Result<Duration> {
        self.asked.fetch_add(1, Relaxed);
        match *self.trouble.lock().unwrap() {
            Trouble::Away => Err(Error::new(ErrorKind::Unavailable, "away")),
            Trouble::Refuses(word) if words.contains(word) => {
                Err(Error::new(ErrorKind::Denied, "refused"))
            }
            Trouble::Slow(time) => Ok(time),
            _ => Ok(Duration::ZERO),
        }
    }
}

#[async_trait]
impl Store for Troubled {
    async fn range(&self, request: RangeRequest) -> store::Result<RangeResponse> {
        self.memory.range(request).await
    }

    async fn txn(&self, txn: Txn) -> store::Result<TxnResponse> {
        let time = self.ask(&format!("{txn:?}"))?;
        let memory = self.memory.clone();
        let doing = tokio::spawn(async move {
            sleep(time).await;
            memory.txn(txn).await
        });
        doing.await.unwrap()
    }

    async fn watch(&self, request: WatchRequest) -> store::Result<WatchStream> {
        self.memory.watch(request).await
    }

    async fn grant(&self, ttl: Duration) -> store::Result<Lease> {
        self.ask("grant")?;
        self.memory.grant(ttl).await
    }

    async fn revoke(&self, lease: LeaseId) -> store::Result<()> {
        self.ask("revoke")?;
        self.memory.revoke(lease).await
    }

    fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        self.memory.keep_alive(lease, every)
    }

    async fn compact(&self, revision: Revision) -> store::Result<()> {
        self.memory.compact(revision).await
    }
}

struct Setup {
    store: Troubled,
    keys: Keyspace,
    pool: Arc<Pool>,
    registrar: Registrar,
}

fn setup() -> Setup {
    let store = Troubled {
        memory: Memory::new(),
        trouble: Arc::new(StdMutex::new(Trouble::None)),
        asked: Arc::default(),
    };
    let keys = Keyspace::new(&Namespace::default(), &BoardName::default());
    let random = Random::seeded(3);
    let pool = Arc::new(Pool::new(Parts {
        store: Arc::new(store.clone()),
        keys: keys.clone(),
        random: random.clone(),
        settings: Settings::default(),
    }));
    let registrar = Registrar::start(Arc::clone(&pool), random, 10 * SECOND);
    Setup {
        store,
        keys,
        pool,
        registrar,
    }
}

fn after(time: Duration) -> Instant {
    Instant::now() + time
}

fn record(name: &str, slots: u32) -> EntityRecord {
    let entity = Entity::new("conductor", name).with_metadata(json!({"slots": slots}));
    EntityRecord::new("register", &entity).unwrap()
}

/// An entity that stands, and in which session.
#[derive(Clone, Debug, PartialEq)]
struct Stands(String, u64, Uuid);

impl Setup {
    async fn register(&self, name: &str, slots: u32) -> Result<Revision, WriteError> {
        let record = record(name, slots);
        self.registrar.register(record, after(10 * SECOND)).await
    }

    async fn deregister(&self, name: &str) -> Result<bool, WriteError> {
        let deadline = after(60 * SECOND);
        self.registrar
            .deregister(("conductor", name), |_| true, deadline)
            .await
    }

    async fn read(&self, range: KeyRange) -> Vec<KeyValue> {
        let request = RangeRequest::new(range);
        self.store.memory.range(request).await.unwrap().kvs
    }

    async fn standing(&self) -> Vec<Stands> {
        let stands = |kv: KeyValue| {
            let entity = Entity::read(&kv.value).unwrap();
            let slots = entity.metadata()["slots"].as_u64().unwrap();
            let session = self.keys.session_of_entity(&kv.key).unwrap();
            Stands(entity.name().to_owned(), slots, session)
        };
        let kvs = self.read(self.keys.entities()).await;
        kvs.into_iter().map(stands).collect()
    }

    /// Revokes the leases of all sessions.
    async fn lose_sessions(&self) {
        let guards = Key::new("/taskflow/.sessions/jobboard/").unwrap();
        for guard in self.read(KeyRange::prefix(guards)).await {
            let lease = guard.lease.unwrap();
            self.store.memory.revoke(lease).await.unwrap();
        }
    }

    /// Waits until an entity stands in a session other than `not`.
    async fn stands_elsewhere(&self, not: Uuid) -> Vec<Stands> {
        let wait = async {
            loop {
                let standing = self.standing().await;
                if standing.iter().any(|stands| stands.2 != not) {
                    return standing;
                }
                sleep(SECOND / 100).await;
            }
        };
        timeout(600 * SECOND, wait)
            .await
            .expect("it is registered again")
    }
}

#[tokio::test(start_paused = true)]
async fn entity_is_registered_again_in_the_next_session_with_what_it_had_last() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    setup.register("a", 2).await.unwrap();
    let mut session = setup.standing().await[0].2;
    for _ in 0..3 {
        setup.lose_sessions().await;
        let again = setup.stands_elsewhere(session).await;
        let next = again[0].2;
        assert_eq!(again, [Stands("a".to_owned(), 2, next)]);
        session = next;
    }
}

#[tokio::test(start_paused = true)]
async fn entity_is_registered_again_however_often_that_must_be_tried() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    let session = setup.standing().await[0].2;
    setup.store.set(Trouble::Away);
    setup.lose_sessions().await;
    sleep(5 * SECOND).await;
    setup.store.asked.store(0, Relaxed);
    sleep(300 * SECOND).await;
    // Waits grow to about a second; a lost lease is tried to be revoked for a minute.
    let asked = setup.store.asked.load(Relaxed);
    assert!((150..600).contains(&asked), "{asked}");
    assert_eq!(setup.standing().await, []);
    setup.store.set(Trouble::None);
    let back = timeout(3 * SECOND, setup.stands_elsewhere(session)).await;
    assert_eq!(back.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn entity_that_is_refused_holds_up_no_other() {
    let setup = setup();
    for name in ["a", "b", "c"] {
        setup.register(name, 1).await.unwrap();
    }
    let session = setup.standing().await[0].2;
    setup.store.set(Trouble::Refuses("conductor/b"));
    setup.lose_sessions().await;
    setup.stands_elsewhere(session).await;
    sleep(SECOND).await;
    assert_eq!(setup.standing().await.len(), 2);
    setup.store.set(Trouble::None);
    sleep(3 * SECOND).await;
    assert_eq!(setup.standing().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn entity_that_could_not_be_registered_is_not_registered_later() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    let session = setup.standing().await[0].2;
    setup.store.set(Trouble::Refuses("conductor"));
    for name in ["a", "b"] {
        let refused = setup.register(name, 2).await.unwrap_err();
        assert!(matches!(refused, WriteError::Refused(_)), "{refused}");
    }
    setup.store.set(Trouble::Away);
    let unreached = setup.register("c", 3).await.unwrap_err();
    assert!(matches!(unreached, WriteError::Unreached(_)), "{unreached}");
    setup.store.set(Trouble::None);
    setup.lose_sessions().await;
    let again = setup.stands_elsewhere(session).await;
    sleep(60 * SECOND).await;
    assert_eq!(again, [Stands("a".to_owned(), 1, again[0].2)]);
    assert_eq!(setup.standing().await, again);
}

#[tokio::test(start_paused = true)]
async fn entity_that_was_taken_off_is_not_registered_again() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    setup.register("b", 1).await.unwrap();
    let session = setup.standing().await[0].2;
    assert!(setup.deregister("a").await.unwrap());
    assert!(!setup.deregister("a").await.unwrap());
    assert_eq!(setup.standing().await.len(), 1);
    setup.lose_sessions().await;
    setup.stands_elsewhere(session).await;
    sleep(60 * SECOND).await;
    let standing = setup.standing().await;
    assert_eq!((standing.len(), standing[0].0.as_str()), (1, "b"));
}

#[tokio::test(start_paused = true)]
async fn entity_can_be_taken_off_while_it_is_being_registered_again() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    setup.store.set(Trouble::Away);
    setup.lose_sessions().await;
    sleep(15 * SECOND).await;
    assert!(setup.deregister("a").await.unwrap());
    setup.store.set(Trouble::None);
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, []);
}

#[tokio::test(start_paused = true)]
async fn last_of_two_who_register_the_same_name_at_once_stands() {
    let setup = setup();
    setup.pool.session(after(SECOND)).await.unwrap();
    // The second would come before the first if both were under way.
    setup.store.set(Trouble::Slow(SECOND));
    let first = setup.register("a", 1);
    let second = async {
        sleep(SECOND / 2).await;
        setup.store.set(Trouble::None);
        setup.register("a", 2).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.unwrap() < second.unwrap());
    let standing = setup.standing().await;
    assert_eq!((standing.len(), standing[0].1), (1, 2));
    setup.lose_sessions().await;
    assert_eq!(setup.stands_elsewhere(standing[0].2).await[0].1, 2);
}

#[tokio::test(start_paused = true)]
async fn registration_whose_caller_has_gone_is_known_all_the_same() {
    let setup = setup();
    setup.pool.session(after(SECOND)).await.unwrap();
    setup.store.set(Trouble::Slow(3 * SECOND));
    timeout(SECOND, setup.register("a", 1)).await.unwrap_err();
    setup.store.set(Trouble::None);
    assert!(setup.deregister("a").await.unwrap());
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, []);
}

#[tokio::test(start_paused = true)]
async fn registration_that_came_after_its_deadline_is_known_all_the_same() {
    let setup = setup();
    setup.pool.session(after(SECOND)).await.unwrap();
    setup.store.set(Trouble::Slow(3 * SECOND));
    let registering = setup.registrar.register(record("a", 1), after(SECOND));
    let unknown = registering.await.unwrap_err();
    assert!(matches!(unknown, WriteError::Unknown(_)), "{unknown}");
    setup.store.set(Trouble::None);
    assert!(setup.deregister("a").await.unwrap());
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, []);
}

#[tokio::test(start_paused = true)]
async fn entity_that_was_taken_off_after_the_deadline_does_not_come_back() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    setup.store.set(Trouble::Slow(3 * SECOND));
    let taking_off = setup
        .registrar
        .deregister(("conductor", "a"), |_| true, after(SECOND));
    let unknown = taking_off.await.unwrap_err();
    assert!(matches!(unknown, WriteError::Unknown(_)), "{unknown}");
    setup.store.set(Trouble::None);
    assert!(!setup.deregister("a").await.unwrap());
    setup.lose_sessions().await;
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, []);
}

#[tokio::test(start_paused = true)]
async fn registering_gets_another_session_if_its_own_is_lost() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    let session = setup.standing().await[0].2;
    // The session does not know yet.
    setup.lose_sessions().await;
    setup.register("a", 2).await.unwrap();
    setup.register("b", 2).await.unwrap();
    let standing = setup.stands_elsewhere(session).await;
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, standing);
    assert_eq!(standing.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn registration_whose_session_ends_under_way_is_made_in_another() {
    let setup = setup();
    setup.pool.session(after(SECOND)).await.unwrap();
    setup.store.set(Trouble::Slow(60 * SECOND));
    let registering = setup.register("a", 1);
    let lose = async {
        sleep(SECOND).await;
        setup.store.set(Trouble::None);
        setup.lose_sessions().await;
    };
    tokio::join!(registering, lose).0.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn entity_whose_session_ends_while_it_is_taken_off_does_not_come_back() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    setup.store.set(Trouble::Slow(60 * SECOND));
    let taking_off = setup.deregister("a");
    let lose = async {
        sleep(SECOND).await;
        setup.store.set(Trouble::None);
        setup.lose_sessions().await;
    };
    assert!(tokio::join!(taking_off, lose).0.unwrap());
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_registered_again_after_closing() {
    let setup = setup();
    setup.register("a", 1).await.unwrap();
    setup.registrar.close().await;
    setup.registrar.close().await;
    setup.lose_sessions().await;
    sleep(60 * SECOND).await;
    assert_eq!(setup.standing().await, []);
}

#[tokio::test(start_paused = true)]
async fn dropped_registrar_holds_no_session() {
    let Setup {
        store,
        keys,
        pool,
        registrar,
    } = setup();
    registrar
        .register(record("a", 1), after(SECOND))
        .await
        .unwrap();
    drop((pool, registrar));
    sleep(SECOND).await;
    let all = RangeRequest::new(keys.entities());
    assert_eq!(store.memory.range(all).await.unwrap().count, 0);
}
