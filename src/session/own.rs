//! A session of one claim's own: it ends with the claim.
//!
//! It ends when nobody has a stake in it any more: who is about to claim in it, the claim under way,
//! and the claim that stands. So it ends too when the claim is refused, when the call is dropped, and
//! when the claim is given up by its owner's name.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ClaimRequest, Held, Loss, Session, WriteError};
use crate::protocol::claim::ClaimRefusal;

/// A stake in a session of a claim's own; in a session that is shared, none is needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Stake(
    #[expect(dead_code, reason = "dropping it is what counts")] Option<Arc<DropGuard>>,
);

/// Where a job can be claimed: in a shared session, or in one of the claim's own.
#[derive(Debug)]
pub(crate) struct Place {
    session: Arc<Session>,
    stake: Stake,
}

impl Place {
    pub(super) fn shared(session: Arc<Session>) -> Self {
        let stake = Stake::default();
        Self { session, stake }
    }

    /// Makes `session` one that ends with the claim that is made in it, and if none is.
    pub(super) fn own(session: Arc<Session>) -> Self {
        let over = CancellationToken::new();
        let stake = Stake(Some(Arc::new(over.clone().drop_guard())));
        let life = Arc::clone(&session.life);
        session.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = life.lost().cancelled() => {}
                () = over.cancelled() => life.lose(Loss::Closed),
            }
        });
        Self { session, stake }
    }

    pub(super) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Claims a job, or says why it could not.
    pub(crate) async fn claim(
        &self,
        request: &ClaimRequest<'_>,
        deadline: Instant,
    ) -> Result<Result<Held, ClaimRefusal>, WriteError> {
        self.session
            .claim(request, self.stake.clone(), deadline)
            .await
    }
}
