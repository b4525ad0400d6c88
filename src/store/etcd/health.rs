//! Whether an answer can still come from the member that was asked.
//!
//! A call can wait in vain in two ways. The member stands still, or the way to it leads nowhere: the
//! connection says so only after seconds ([`Settings::keep_alive_interval`]). Or it handed the
//! request on to a leader that died or gave up its lead: then the request is forgotten, and the
//! member says so only after seven seconds of its own, more than a call may take. So who waits for
//! longer than answers take asks the member itself how it is, which it tells without its cluster.
//!
//! [`Settings::keep_alive_interval`]: super::Settings::keep_alive_interval

use std::{
    fmt,
    future::pending,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use etcd_client::{
    Client, CompactionResponse, GetResponse, LeaseGrantResponse, LeaseRevokeResponse,
    ResponseHeader, StatusResponse, TxnResponse, WatchResponse,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How long to wait for an answer before the member is asked how it is, and again from then on. Far
/// more than an answer takes, and far less than an election.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is known of the members of a cluster, by all that talk to them.
pub(super) struct Health {
    /// The newest term of a leader that was heard of. Each election begins another.
    term: AtomicU64,
    /// Where it is told that a member stands still, by their endpoints.
    stalls: Vec<watch::Sender<()>>,
}

/// Why an answer is not to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hopeless {
    /// The member does not answer anything.
    StandsStill,
    /// The request was sent under an earlier leader, and may have gone with it.
    OtherLeader,
}

impl fmt::Display for Hopeless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StandsStill => "the member of etcd stands still",
            Self::OtherLeader => "etcd has another leader meanwhile",
        })
    }
}

impl Health {
    /// Of so many endpoints.
    pub(super) fn new(endpoints: usize) -> Self {
        Self {
            term: AtomicU64::new(0),
            stalls: (0..endpoints).map(|_| watch::Sender::new(())).collect(),
        }
    }

    /// Takes in the term that an answer tells.
    pub(super) fn learn(&self, term: u64) {
        self.term.fetch_max(term, Ordering::Relaxed);
    }

    /// Waits until there is no use in waiting for an answer to what is sent from now on to the member
    /// at `endpoint`. It has `patience` to say how it is.
    pub(super) fn hopeless(
        &self,
        client: &Client,
        endpoint: usize,
        patience: Duration,
    ) -> impl Future<Output = Hopeless> + Send {
        let mut sent_under = self.term.load(Ordering::Relaxed);
        let stalled = self.stalled(endpoint);
        let look = async move {
            loop {
                sleep(LOOK_EVERY).await;
                let mut member = client.maintenance_client();
                let Ok(said) = timeout(patience, member.status()).await else {
                    self.stalls[endpoint].send_replace(());
                    return Hopeless::StandsStill;
                };
                // A refusal is a sign of life as well.
                let Some(term) = said.ok().as_ref().and_then(term_of_leader) else {
                    continue;
                };
                self.learn(term);
                if sent_under == 0 {
                    sent_under = term;
                }
                if term > sent_under {
                    return Hopeless::OtherLeader;
                }
            }
        };
        async move {
            tokio::select! {
                biased;
                () = stalled => Hopeless::StandsStill,
                hopeless = look => hopeless,
            }
        }
    }

    /// Waits until the member at `endpoint` is found to stand still from now on, by whoever waits
    /// for it.
    pub(super) fn stalled(&self, endpoint: usize) -> impl Future<Output = ()> + Send + use<> {
        let mut stalls = self.stalls[endpoint].subscribe();
        async move {
            if stalls.changed().await.is_err() {
                // Nobody is left to tell.
                pending::<()>().await;
            }
        }
    }
}

/// The term of the leader that a member has, if it has one.
fn term_of_leader(status: &StatusResponse) -> Option<u64> {
    (status.leader() != 0).then_some(status.raft_term())
}

/// An answer of etcd, which tells the term in which it was given.
pub(super) trait Answer {
    /// The term; `None` if it is not told.
    fn term(&self) -> Option<u64>;
}

macro_rules! answers {
    ($($answer:ty)*) => {
        $(
            impl Answer for $answer {
                fn term(&self) -> Option<u64> {
                    self.header().map(ResponseHeader::raft_term)
                }
            }
        )*
    };
}

answers! {
    CompactionResponse GetResponse LeaseGrantResponse LeaseRevokeResponse TxnResponse WatchResponse
}

/// With what belongs to it.
impl<T, A: Answer> Answer for (T, A) {
    fn term(&self) -> Option<u64> {
        self.1.term()
    }
}

/// If it came.
impl<A: Answer> Answer for Option<A> {
    fn term(&self) -> Option<u64> {
        self.as_ref()?.term()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    async fn client(listener: &TcpListener) -> Client {
        let endpoint = listener.local_addr().unwrap().to_string();
        Client::connect([endpoint], None).await.unwrap()
    }

    /// The system takes its connections, and nobody answers.
    fn standing_still() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[tokio::test]
    async fn member_that_does_not_say_how_it_is_stands_still_for_all_who_wait_for_it() {
        let (listener, health) = (standing_still(), Health::new(2));
        let client = client(&listener).await;
        let mut elsewhere = Box::pin(health.stalled(1));
        assert!(futures::poll!(&mut elsewhere).is_pending());
        let forever = Duration::from_hours(1);
        let (why, ()) = tokio::join!(health.hopeless(&client, 0, PATIENCE), health.stalled(0));
        assert_eq!(why, Hopeless::StandsStill);
        let mut wait = Box::pin(health.hopeless(&client, 0, forever));
        assert!(
            futures::poll!(&mut wait).is_pending(),
            "what was before is no news"
        );
        health.stalls[0].send_replace(());
        assert_eq!(wait.await, Hopeless::StandsStill);
        assert!(futures::poll!(&mut elsewhere).is_pending());
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn request_that_was_sent_under_an_earlier_leader_is_not_waited_for() {
        use crate::testing::LocalEtcd;

        for binary in LocalEtcd::binaries().unwrap() {
            let etcd = LocalEtcd::builder().binary(binary).start().await.unwrap();
            let client = Client::connect([etcd.endpoint()], None).await.unwrap();
            let term = client.maintenance_client().status().await.unwrap();
            let term = term.raft_term();
            let health = Health::new(1);
            health.learn(term - 1);
            let patience = Duration::from_secs(10);
            let why = health.hopeless(&client, 0, patience).await;
            assert_eq!(why, Hopeless::OtherLeader);
            // By then it had looked, and knows.
            assert_eq!(health.term.load(Ordering::Relaxed), term);
            let wait = timeout(3 * LOOK_EVERY, health.hopeless(&client, 0, patience));
            assert!(wait.await.is_err(), "it has no other leader");
        }
    }
}
