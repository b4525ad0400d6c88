//! Keeping leases alive, on a thread of its own.
//!
//! A lease that is not kept alive is lost within seconds, and everything that its session holds with
//! it. So nothing that happens elsewhere in the process may stand in the way: a handler that blocks
//! its runtime, a large answer on a shared connection. The thread has its own runtime and its own
//! [`Line`] to etcd; it starts with the first keep-alive and ends when the store and the last
//! keep-alive are gone.
//!
//! Each lease has one stream of requests. An answer counts from the instant at which its request was
//! *sent*. A request that stays without an answer for `every` is given up together with its stream,
//! so that an answer is always that of the last request, and the next attempt goes over a new
//! connection. To make that can take longer, where many ask etcd at once to check their passwords: it is
//! given the time that connections have, lest no attempt is ever ended.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use etcd_client::{Error as ClientError, LeaseKeepAliveStream, LeaseKeeper};
use tokio::{
    runtime::{self, Handle},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    classify,
    connection::{Connection, Line, Target},
    convert,
};
use crate::store::{Beat, KeepAlive, KeepAliveFeed, Lease};

/// Nobody needs a keep-alive more often, and zero would be a storm.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);
/// How long to wait between attempts that fail at once: after the first of them not at all.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Starts keep-alives, and the thread that they run on.
pub(super) struct Keeper {
    target: Arc<Target>,
    endpoint: usize,
    thread: Mutex<Option<Thread>>,
}

/// What is needed of the running thread.
struct Thread {
    runtime: Handle,
    line: Arc<Line>,
    alive: Alive,
}

/// Held by all that needs the thread, which ends when the last one is dropped. Nothing is ever sent.
type Alive = mpsc::Sender<Infallible>;

impl Keeper {
    /// Begins with the endpoint of this number.
    pub(super) fn new(target: Arc<Target>, endpoint: usize) -> Self {
        Self {
            target,
            endpoint,
            thread: Mutex::new(None),
        }
    }

    /// Keeps `lease` alive until the handle is dropped.
    pub(super) fn keep_alive(&self, lease: &Lease, every: Duration) -> KeepAlive {
        let (feed, keep_alive) = KeepAlive::channel(lease);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            match self.start() {
                Ok(started) => *thread = Some(started),
                // As when etcd stays silent: the lease ends, and its holder sees it coming.
                Err(error) => tracing::error!(%error, "no thread to keep leases alive"),
            }
        }
        if let Some(thread) = &*thread {
            let alive = thread.alive.clone();
            let beats = Beats {
                lease: *lease,
                every: every.max(SHORTEST_INTERVAL),
                line: Arc::clone(&thread.line),
                feed,
            };
            thread.runtime.spawn(async move {
                beats.run().await;
                drop(alive);
            });
        }
        keep_alive
    }

    fn start(&self) -> io::Result<Thread> {
        let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
        let (handle, started) = std_mpsc::sync_channel(1);
        thread::Builder::new()
            .name("jobboard-keepalive".to_owned())
            .spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                let known = handle.send(
                    runtime
                        .as_ref()
                        .map(|it| it.handle().clone())
                        .map_err(|error| io::Error::new(error.kind(), error.to_string())),
                );
                if let (Ok(runtime), Ok(())) = (runtime, known) {
                    runtime.block_on(all_gone.recv());
                }
            })?;
        let runtime = started.recv().map_err(io::Error::other)??;
        let line = Arc::new(Line::new(Arc::clone(&self.target), self.endpoint));
        Ok(Thread {
            runtime,
            line,
            alive,
        })
    }
}

/// The keep-alive of one lease.
struct Beats {
    lease: Lease,
    every: Duration,
    line: Arc<Line>,
    feed: KeepAliveFeed,
}

/// A stream on which the keep-alives of one lease are answered.
struct Pulse {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    /// The number of its connection.
    connection: u64,
}

/// What a keep-alive is sent by.
#[expect(
    clippy::large_enum_variant,
    reason = "it is used at once, and not kept"
)]
enum By {
    /// A stream that is open.
    Stream(Pulse),
    /// A connection, on which one is to be opened.
    Connection(Connection),
}

/// Why there was no good word.
enum Trouble {
    /// There is no such lease (any more).
    Gone,
    /// Something that another attempt can mend.
    Passing(String),
}

impl Beats {
    async fn run(self) {
        tokio::select! {
            biased;
            () = self.feed.closed() => {}
            () = self.beat() => self.feed.tell(Beat::Gone),
        }
    }

    /// Ends when the lease is gone.
    async fn beat(&self) {
        let mut pulse = None;
        let mut waits = waits();
        loop {
            match self.once(&mut pulse).await {
                Ok((sent_at, ttl)) => {
                    self.feed.tell(Beat::Alive { sent_at, ttl });
                    waits = self::waits();
                    sleep_until(sent_at + self.every).await;
                }
                Err(Trouble::Gone) => return,
                Err(Trouble::Passing(reason)) => {
                    tracing::debug!(lease = %self.lease.id, reason, "keep-alive failed");
                    sleep(waits.next().unwrap_or(LONGEST_WAIT).min(self.every)).await;
                }
            }
        }
    }

    /// Sends one keep-alive, on a new stream if there is none, and waits for its answer. Gives when it was
    /// sent as well.
    async fn once(&self, pulse: &mut Option<Pulse>) -> Result<(Instant, Duration), Trouble> {
        let by = match pulse.take() {
            Some(open) => By::Stream(open),
            None => By::Connection(self.connect().await?),
        };
        let generation = by.generation();
        let sent_at = Instant::now();
        let answer = timeout(self.every, async {
            match by {
                By::Stream(open) => open.beat().await,
                By::Connection(connection) => self.open(connection).await,
            }
        });
        let reason = match answer.await {
            Ok(Ok((open, ttl))) if ttl > Duration::ZERO => {
                *pulse = Some(open);
                return Ok((sent_at, ttl));
            }
            Ok(Ok(_)) => return Err(Trouble::Gone),
            Ok(Err(error)) if classify::is_gone_lease(&error) => return Err(Trouble::Gone),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.line.leave(generation);
        Err(Trouble::Passing(reason))
    }

    /// The connection that a stream is opened on.
    async fn connect(&self) -> Result<Connection, Trouble> {
        let generation = self.line.generation();
        let patience = self.every.max(self.line.connect_timeout());
        let reason = match timeout(patience, self.line.connection()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no connection in time".to_owned(),
        };
        self.line.leave(generation);
        Err(Trouble::Passing(reason))
    }

    /// Opens a stream, which sends the first keep-alive. Its answer tells the time to live as well,
    /// but not through this client; it is the one that was granted.
    async fn open(&self, connection: Connection) -> Result<(Pulse, Duration), ClientError> {
        let Connection {
            client, generation, ..
        } = connection;
        let id = self.lease.id.get();
        let mut opened = client.lease_client().keep_alive(id).await;
        if opened.as_ref().is_err_and(classify::is_about_old_token) {
            client.refresh_token().await?;
            opened = client.lease_client().keep_alive(id).await;
        }
        let (keeper, answers) = opened?;
        let pulse = Pulse {
            keeper,
            answers,
            connection: generation,
        };
        Ok((pulse, self.lease.ttl))
    }
}

impl By {
    /// The number of the connection.
    const fn generation(&self) -> u64 {
        match self {
            Self::Stream(open) => open.connection,
            Self::Connection(connection) => connection.generation,
        }
    }
}

impl Pulse {
    async fn beat(mut self) -> Result<(Self, Duration), ClientError> {
        self.keeper.keep_alive().await?;
        let answer = self.answers.message().await?;
        let ended = || ClientError::LeaseKeepAliveError("etcd ended the stream".to_owned());
        let ttl = convert::ttl(answer.ok_or_else(ended)?.ttl());
        Ok((self, ttl))
    }
}

/// The waits between failures in a row: none, then longer ones.
fn waits() -> impl Iterator<Item = Duration> {
    let growing = ExponentialBuilder::new()
        .with_min_delay(SHORTEST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_jitter()
        .without_max_times();
    std::iter::once(Duration::ZERO).chain(growing.build())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        LeaseId,
        etcd::{endpoint::Endpoint, settings::Settings},
    };

    #[tokio::test]
    async fn thread_ends_with_the_store_and_the_last_keep_alive() {
        let nobody = Endpoint::parse("127.0.0.1:1", false).unwrap();
        let target = Target::new(vec![nobody], Settings::new()).unwrap();
        let keeper = Keeper::new(Arc::new(target), 0);
        let lease = Lease {
            id: LeaseId::new(1).unwrap(),
            ttl: Duration::from_secs(2),
            sent_at: Instant::now(),
        };
        let keep_alive = keeper.keep_alive(&lease, Duration::from_millis(100));
        let runtime = {
            let thread = keeper.thread.lock().unwrap();
            thread.as_ref().unwrap().runtime.clone()
        };
        drop(keeper);
        assert!(runtime.spawn(std::future::ready(())).await.is_ok());
        drop(keep_alive);
        // A runtime that has ended cancels what it is given.
        while runtime.spawn(std::future::ready(())).await.is_ok() {}
    }
}
