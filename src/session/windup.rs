//! The end of a session: its lease is revoked, and only then is answered what was under way.
//!
//! Until the lease is known to be gone, what was sent could still happen, and the guard would let
//! it. So the answer waits for the revocation; a call whose deadline comes first is told that its
//! outcome is unknown.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    backoff::Backoff,
    keeper::Life,
    line::Order,
    member::{Member, Verdict, WriteError},
    sender::Sender,
};
use crate::{
    protocol::verb::{Evidence, Receipt},
    random::Random,
    store::{ErrorKind, LeaseId, Op, RangeRequest, RangeResponse, Result, Revision, Store, Txn},
};

/// How long a lease is tried to be revoked: as long as etcd may be out of reach for the outcome of
/// what was under way to be told at all.
const REVOKE_FOR: Duration = Duration::from_mins(1);

/// How long what became of a posting is asked for after its session.
const ASK_FOR: Duration = Duration::from_secs(10);

/// How long answers are waited for that are still under way when the lease is gone. Nothing can
/// happen any more, so that they are there soon or never.
const GRACE: Duration = Duration::from_millis(500);

/// How many postings are asked about at once.
const ASKED_AT_ONCE: usize = 16;

impl Sender {
    /// Ends the session.
    pub(super) async fn wind_up(mut self, mut orders: mpsc::Receiver<Order>, life: &Life) {
        tracing::debug!(session = %self.guard.session(), loss = ?life.loss(), "session over");
        orders.close();
        while let Ok(order) = orders.try_recv() {
            self.queue(order);
        }
        self.send_the_waiting_away();
        let revoked = self.revoke_lease(life).await;
        _ = timeout(GRACE, self.take_answers(life)).await;
        self.send_the_waiting_away();
        let under_way = self.take_what_was_sent();
        let (store, random) = (self.store, self.random);
        stream::iter(under_way)
            .for_each_concurrent(ASKED_AT_ONCE, |member| {
                let (store, random) = (Arc::clone(&store), random.clone());
                async move {
                    if !revoked {
                        member.fail(WriteError::Unknown("its lease was not revoked".to_owned()));
                    } else if member.needs_receipt() {
                        ask_after_the_end(member, &*store, random).await;
                    } else {
                        member.fail(WriteError::Lost);
                    }
                }
            })
            .await;
    }

    /// What was not sent, or did not happen, is for another session.
    fn send_the_waiting_away(&mut self) {
        for member in self.take_the_waiting() {
            member.fail(WriteError::NotSent);
        }
    }

    async fn take_answers(&mut self, life: &Life) {
        while let Some((name, answer)) = self.answers.next().await {
            self.answered(name, answer, life);
        }
    }

    /// Revokes the lease; false if etcd could not be reached for that. What is answered meanwhile
    /// is answered.
    async fn revoke_lease(&mut self, life: &Life) -> bool {
        let until = Instant::now() + REVOKE_FOR;
        let revoke = revoke(
            Arc::clone(&self.store),
            self.guard.lease(),
            self.random.clone(),
        );
        let revoke = timeout_at(until, revoke);
        tokio::pin!(revoke);
        loop {
            tokio::select! {
                biased;
                Some((name, answer)) = self.answers.next() => self.answered(name, answer, life),
                revoked = &mut revoke => return revoked.is_ok(),
            }
        }
    }
}

/// Revokes a lease, however often that takes.
pub(super) async fn revoke(store: Arc<dyn Store>, lease: LeaseId, random: Random) {
    let mut backoff = Backoff::new(random);
    loop {
        match store.revoke(lease).await {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::LeaseNotFound => return,
            Err(error) => tracing::debug!(%lease, %error, "the lease is not revoked yet"),
        }
        backoff.fail();
        backoff.wait().await;
    }
}

/// Tells by what is left on the board what became of a posting whose session is over.
async fn ask_after_the_end(member: Box<dyn Member>, store: &dyn Store, random: Random) {
    let until = Instant::now() + ASK_FOR;
    let mut backoff = Backoff::new(random);
    let probe = member.probe();
    let (at, reads) = loop {
        match timeout_at(until, look(&probe, store)).await {
            Ok(Ok(answer)) => break answer,
            Ok(Err(error)) => tracing::debug!(verb = member.doing(), %error, "not asked yet"),
            Err(_late) => return member.fail(WriteError::untold()),
        }
        backoff.fail();
        backoff.wait().await;
    };
    match member.settle(&Evidence {
        at,
        reads: &reads,
        receipt: Receipt::Gone,
    }) {
        Verdict::Ended => {}
        Verdict::Again(member) => member.fail(WriteError::NotSent),
        Verdict::CannotTell(member) => member.fail(WriteError::untold()),
    }
}

async fn look(probe: &[RangeRequest], store: &dyn Store) -> Result<(Revision, Vec<RangeResponse>)> {
    let reads = probe.iter().cloned().map(Op::Range);
    let response = store.txn(Txn::new().then(reads)).await?;
    Ok((response.header.revision, response.into_reads()))
}
