//! The first question: is there an etcd, which, and does it take us?

use std::time::Duration;

use etcd_client::{Client, Error as ClientError, GetOptions, ResponseHeader};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout_at};

use super::{
    classify::{self, Effect},
    connection::Target,
    endpoint::Endpoint,
    version::Version,
};
use crate::store::{Error, ErrorKind, Result};

/// How long the other members may take to tell their version, once one has answered.
const GRACE: Duration = Duration::from_millis(100);
/// A key that nobody uses. It need not be readable: a refusal is an answer.
const NO_KEY: &[u8] = &[0];

/// What was found.
pub(super) struct Found {
    /// The number of the endpoint that answered first.
    pub(super) endpoint: usize,
    pub(super) cluster_id: u64,
    /// The oldest version that was told.
    pub(super) version: Version,
}

/// Asks every endpoint what it is, and the first that answers whether it serves us, all within
/// the connect timeout.
pub(super) async fn probe(target: &Target) -> Result<Found> {
    let deadline = Instant::now() + target.settings.connect_timeout;
    match timeout_at(deadline, ask(target)).await {
        Ok(found) => found,
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("{}: no answer in time", doing(target)),
        )),
    }
}

async fn ask(target: &Target) -> Result<Found> {
    let mut asked: FuturesUnordered<_> = (0..target.endpoints.len())
        .map(|endpoint| status(target, endpoint))
        .collect();
    let mut failed: Option<Error> = None;
    let (client, mut found) = loop {
        match asked.next().await {
            Some(Ok(answer)) => break answer,
            Some(Err(error)) => {
                let shown = if classify::may_be_about_our_certificate(&error) {
                    shown(target)
                } else {
                    ""
                };
                let doing = format!("{}{shown}", doing(target));
                let error = classify::to_error(error, Effect::Nothing, &doing);
                // A refusal says more than silence.
                if failed
                    .as_ref()
                    .is_none_or(|it| it.kind() == ErrorKind::Unavailable)
                {
                    failed = Some(error);
                }
            }
            None => return Err(failed.unwrap_or_else(|| Error::invalid(doing(target)))),
        }
    };
    let grace = Instant::now() + GRACE;
    while let Ok(Some(answer)) = timeout_at(grace, asked.next()).await {
        let Ok((_, other)) = answer else { continue };
        if other.cluster_id != found.cluster_id {
            return Err(Error::invalid(format!(
                "{}: these are members of different clusters",
                doing(target)
            )));
        }
        found.version = found.version.min(other.version);
    }
    serves(target, &client).await?;
    Ok(found)
}

async fn status(target: &Target, endpoint: usize) -> Result<(Client, Found), ClientError> {
    let client = target.client(&target.endpoints[endpoint]).await?;
    let status = client.maintenance_client().status().await?;
    target.health.learn(status.raft_term());
    let found = Found {
        endpoint,
        cluster_id: status.header().map_or(0, ResponseHeader::cluster_id),
        version: status.version().parse().unwrap_or(Version::new(0, 0, 0)),
    };
    Ok((client, found))
}

/// Reads through the leader, as who may not be anybody.
async fn serves(target: &Target, client: &Client) -> Result<()> {
    let options = GetOptions::new().with_count_only();
    match client.kv_client().get(NO_KEY, Some(options)).await {
        Ok(_) => Ok(()),
        Err(error) if classify::is_missing_permission(&error) => Ok(()),
        Err(error) => Err(classify::to_error(error, Effect::Nothing, &doing(target))),
    }
}

/// What etcd was shown by the client. It judges that only when the client takes the connection for
/// made, and the words of its refusal can be lost, so that a person is told where to look.
#[cfg(feature = "tls")]
fn shown(target: &Target) -> &'static str {
    match &target.settings.tls {
        Some(tls) if tls.identity.is_some() => " with the client's certificate",
        Some(_) => " without a client's certificate",
        None => "",
    }
}

#[cfg(not(feature = "tls"))]
const fn shown(_: &Target) -> &'static str {
    ""
}

fn doing(target: &Target) -> String {
    let endpoints: Vec<&str> = target.endpoints.iter().map(Endpoint::as_str).collect();
    format!("connect to etcd at {}", endpoints.join(", "))
}
