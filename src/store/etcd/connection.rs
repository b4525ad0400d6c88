//! Connections: which member is asked, what is tried again, and how long a call may take.
//!
//! etcd's client spreads requests over its endpoints and does not notice when one is dead or stands
//! still, so that it is given one endpoint at a time. A [`Line`] stays with one member as long as
//! that answers, and goes over to the next, by a new connection, when it does not. An answer that
//! can not come any more ([`Health`]) is not waited for. What could change something is sent again
//! only if it certainly never left, as no connection was there to send it on; a read is in any case.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use etcd_client::{Client, ConnectOptions, Error as ClientError};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    classify::{self, Effect},
    endpoint::Endpoint,
    health::{Answer, Health, Hopeless},
    settings::Settings,
};
use crate::store::{Error, Result};

/// How often a request is tried again, at most, and after which waits.
const RETRIES: usize = 8;
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Whom to connect to, and how.
pub(super) struct Target {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) settings: Settings,
    pub(super) health: Health,
    options: ConnectOptions,
}

impl Target {
    pub(super) fn new(endpoints: Vec<Endpoint>, settings: Settings) -> Result<Self> {
        if endpoints.is_empty() {
            return Err(Error::invalid("there is no endpoint of etcd to connect to"));
        }
        check_encryption(&endpoints, &settings)?;
        let options = options(&settings);
        Ok(Self {
            health: Health::new(endpoints.len()),
            endpoints,
            settings,
            options,
        })
    }

    /// A client of one member. Asks the member only for a token, if there is a user.
    pub(super) async fn client(&self, endpoint: &Endpoint) -> Result<Client, ClientError> {
        Client::connect([endpoint.as_str()], Some(self.options.clone())).await
    }
}

#[cfg(feature = "tls")]
fn check_encryption(endpoints: &[Endpoint], settings: &Settings) -> Result<()> {
    let encrypted = settings.tls.is_some();
    match endpoints
        .iter()
        .find(|endpoint| endpoint.is_secure() != encrypted)
    {
        Some(endpoint) if encrypted => Err(Error::invalid(format!(
            "endpoint {endpoint}: with TLS it must begin with https"
        ))),
        Some(endpoint) => Err(Error::invalid(format!(
            "endpoint {endpoint}: https needs the certificate authority of etcd (Settings::tls)"
        ))),
        None => Ok(()),
    }
}

#[cfg(not(feature = "tls"))]
fn check_encryption(endpoints: &[Endpoint], _: &Settings) -> Result<()> {
    match endpoints.iter().find(|endpoint| endpoint.is_secure()) {
        Some(endpoint) => Err(Error::invalid(format!(
            "endpoint {endpoint}: https needs the feature `tls` of jobboard"
        ))),
        None => Ok(()),
    }
}

fn options(settings: &Settings) -> ConnectOptions {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(settings.connect_timeout)
        .with_timeout(settings.request_timeout)
        .with_keep_alive(settings.keep_alive_interval, settings.keep_alive_timeout)
        // etcd takes pings without an open stream for an attack.
        .with_keep_alive_while_idle(false)
        .with_tcp_keepalive(settings.tcp_keep_alive)
        // Without it a member that lost its cluster accepts watches and stays silent.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some(user) = &settings.user {
        options = options.with_user(&user.name, &user.password);
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &settings.tls {
        options = options.with_tls(tls_options(tls));
    }
    options
}

#[cfg(feature = "tls")]
fn tls_options(tls: &super::settings::Tls) -> etcd_client::TlsOptions {
    use etcd_client::{Certificate, Identity, TlsOptions};

    let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.authority));
    if let Some((certificate, key)) = &tls.identity {
        options = options.identity(Identity::from_pem(certificate, key));
    }
    if let Some(domain) = &tls.domain {
        options = options.domain_name(domain);
    }
    options
}

/// A way to etcd by one connection at a time.
pub(super) struct Line {
    target: Arc<Target>,
    current: Mutex<Current>,
}

struct Current {
    /// Counts the connections, so that trouble with an old one does not end a newer one.
    generation: u64,
    /// Its place among the endpoints.
    endpoint: usize,
    client: Option<Arc<Client>>,
    /// The one that is being made, as long as anybody waits for it.
    making: Option<WeakShared<Making>>,
}

impl Current {
    fn known(&self) -> Option<Connection> {
        Some(Connection {
            client: Arc::clone(self.client.as_ref()?),
            endpoint: self.endpoint,
            generation: self.generation,
        })
    }
}

/// A connection that is being made. Whoever waits for it makes it: who keeps a request without going on with it,
/// as one that waits for something else does, holds up nobody.
type Making = BoxFuture<'static, Result<Arc<Client>, Arc<ClientError>>>;

/// The connection that a request goes by.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Arc<Client>,
    /// The place of its member among the endpoints.
    pub(super) endpoint: usize,
    /// Its number.
    pub(super) generation: u64,
}

/// A request without the answer that was asked for, and what it can have done.
enum Failure {
    Answered {
        error: Arc<ClientError>,
        effect: Effect,
    },
    NotWaitedFor {
        why: Hopeless,
        effect: Effect,
    },
}

impl Failure {
    /// It never left.
    fn not_sent(error: impl Into<Arc<ClientError>>) -> Self {
        Self::Answered {
            error: error.into(),
            effect: Effect::Nothing,
        }
    }

    /// Whether sending it (again) can do no harm, and some good.
    fn may_be_repeated(&self) -> bool {
        match self {
            Self::Answered { error, effect } => {
                *effect == Effect::Nothing && classify::is_trouble_of_the_connection(error)
                    || classify::was_never_sent(error)
            }
            Self::NotWaitedFor { effect, .. } => *effect == Effect::Nothing,
        }
    }

    fn into_error(self, doing: &str) -> Error {
        match self {
            Self::Answered { error, effect } => classify::to_error(error, effect, doing),
            Self::NotWaitedFor { why, effect } => classify::late(effect, doing, why),
        }
    }
}

impl Line {
    /// A line that begins at the endpoint of this number, connected on first use.
    pub(super) fn new(target: Arc<Target>, endpoint: usize) -> Self {
        Self {
            target,
            current: Mutex::new(Current {
                generation: 0,
                endpoint,
                client: None,
                making: None,
            }),
        }
    }

    /// The current connection, which is made if there is none.
    pub(super) async fn connection(&self) -> Result<Connection, Arc<ClientError>> {
        let (making, generation, endpoint) = {
            let mut current = self.current();
            if let Some(known) = current.known() {
                return Ok(known);
            }
            let making = current.making.as_ref().and_then(WeakShared::upgrade);
            let making = making.unwrap_or_else(|| {
                let making = self.make(current.endpoint);
                current.making = making.downgrade();
                making
            });
            (making, current.generation, current.endpoint)
        };
        let client = making.await.inspect_err(|_| self.leave(generation))?;
        let mut current = self.current();
        if current.generation == generation {
            current.client = Some(Arc::clone(&client));
            current.making = None;
        }
        Ok(Connection {
            client,
            endpoint,
            generation,
        })
    }

    fn make(&self, endpoint: usize) -> Shared<Making> {
        let target = Arc::clone(&self.target);
        let making = async move {
            let made = target.client(&target.endpoints[endpoint]).await;
            made.map(Arc::new).map_err(Arc::new)
        };
        making.boxed().shared()
    }

    /// Goes over to the next endpoint, unless somebody did so before.
    pub(super) fn leave(&self, generation: u64) {
        let mut current = self.current();
        if current.generation == generation {
            current.generation += 1;
            current.endpoint = (current.endpoint + 1) % self.target.endpoints.len();
            current.client = None;
            current.making = None;
        }
    }

    /// The number of the current connection, or of the one that is being made.
    pub(super) fn generation(&self) -> u64 {
        self.current().generation
    }

    /// How long one attempt to reach an endpoint may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.target.settings.connect_timeout
    }

    /// The largest answer that is taken, in bytes.
    pub(super) fn max_response_bytes(&self) -> usize {
        self.target.settings.max_response_bytes
    }

    /// Waits until the member of that connection is found to stand still from now on.
    pub(super) fn stalled(
        &self,
        connection: &Connection,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.target.health.stalled(connection.endpoint)
    }

    /// Asks etcd by `attempt`, which is called again if the request never left, changes nothing, or
    /// was refused for an old token.
    pub(super) async fn call<T, F, A>(
        &self,
        effect: Effect,
        doing: impl Fn() -> String + Send + Sync,
        attempt: A,
    ) -> Result<T>
    where
        T: Answer + Send,
        F: Future<Output = Result<T, ClientError>> + Send,
        A: Fn(Connection) -> F + Send + Sync,
    {
        let settings = &self.target.settings;
        let started = Instant::now();
        let connection = AtomicU64::new(self.generation());
        // No attempt is begun that could not end in time: its end would be ambiguous.
        let attempt_takes = settings.connect_timeout.min(settings.request_timeout / 2);
        let may_try_again = |failure: &Failure| {
            failure.may_be_repeated()
                && started.elapsed() + attempt_takes <= settings.request_timeout
        };
        let answer = (|| self.ask(effect, &connection, &attempt))
            .retry(
                ExponentialBuilder::new()
                    .with_min_delay(SHORTEST_WAIT)
                    .with_max_delay(LONGEST_WAIT)
                    .with_jitter()
                    .with_max_times(RETRIES),
            )
            .sleep(sleep)
            .when(may_try_again);
        let Ok(answer) = timeout(settings.request_timeout, answer).await else {
            self.leave(connection.load(Ordering::Relaxed));
            return Err(classify::late(effect, &doing(), "no answer in time"));
        };
        answer.map_err(|failure| failure.into_error(&doing()))
    }

    async fn ask<T, F>(
        &self,
        effect: Effect,
        asked: &AtomicU64,
        attempt: &(impl Fn(Connection) -> F + Sync),
    ) -> Result<T, Failure>
    where
        T: Answer,
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let connection = self.connection().await.map_err(Failure::not_sent)?;
        asked.store(connection.generation, Ordering::Relaxed);
        let mut answer = self.wait(effect, &connection, attempt).await?;
        if answer.as_ref().is_err_and(classify::is_about_old_token) {
            let renewed = connection.client.refresh_token().await;
            renewed.map_err(Failure::not_sent)?;
            answer = self.wait(effect, &connection, attempt).await?;
        }
        if answer
            .as_ref()
            .is_err_and(classify::is_trouble_of_the_connection)
        {
            self.leave(connection.generation);
        }
        answer.map_err(|error| Failure::Answered {
            error: Arc::new(error),
            effect,
        })
    }

    /// Makes an attempt, and waits for its answer as long as one can come.
    async fn wait<T, F>(
        &self,
        effect: Effect,
        connection: &Connection,
        attempt: &(impl Fn(Connection) -> F + Sync),
    ) -> Result<Result<T, ClientError>, Failure>
    where
        T: Answer,
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let (health, patience) = (&self.target.health, self.target.settings.connect_timeout);
        let hopeless = health.hopeless(&connection.client, connection.endpoint, patience);
        tokio::select! {
            biased;
            answer = attempt(connection.clone()) => {
                if let Some(term) = answer.as_ref().ok().and_then(Answer::term) {
                    health.learn(term);
                }
                Ok(answer)
            }
            why = hopeless => {
                if why == Hopeless::StandsStill {
                    self.leave(connection.generation);
                }
                Err(Failure::NotWaitedFor { why, effect })
            }
        }
    }

    /// Held for a few instructions only, never across an await.
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn connection_is_made_though_who_wanted_it_first_does_not_go_on() {
        // The system takes its connections, and nobody answers who asks for a token.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let endpoint = Endpoint::parse(&address, false).unwrap();
        let settings = Settings::new().user("somebody", "secret");
        let target = Target::new(vec![endpoint], settings).unwrap();
        let line = Line::new(Arc::new(target), 0);
        let mut first = Box::pin(line.connection());
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(line.connection());
        assert!(futures::poll!(&mut second).is_pending());
        drop(silent);
        let made = timeout(Duration::from_mins(1), second).await.unwrap();
        assert!(made.is_err());
        assert_eq!(line.generation(), 1);
        assert!(first.await.is_err());
    }
}
