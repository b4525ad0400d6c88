//! The leases on which the results of jobs are kept.
//!
//! Such a lease only lets what is on it end: it is never kept alive, and never revoked. One serves
//! all results that come within its *term*, an hour or the retention if that is shorter, and lives
//! for longer than that by the retention, so that the last of them is kept as long as it must be.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::{
    session::{Parts, WriteError, insist},
    store::{Lease, LeaseId},
};

/// How long one lease takes results at most.
const LONGEST_TERM: Duration = Duration::from_hours(1);

/// Grants leases for results.
#[derive(Debug)]
pub(super) struct Results {
    parts: Parts,
    newest: Arc<Mutex<Option<Lease>>>,
    /// What grants another: not the caller, whom nobody may be polling.
    tasks: TaskTracker,
}

impl Results {
    pub(super) fn new(parts: Parts, tasks: TaskTracker) -> Self {
        Self {
            parts,
            newest: Arc::default(),
            tasks,
        }
    }

    /// A lease that lives for at least the retention after the `deadline` of a call that begins now.
    /// Another than that which the store `refused`, as it knows nothing of it any more.
    pub(super) async fn lease(
        &self,
        refused: Option<LeaseId>,
        deadline: Instant,
    ) -> Result<LeaseId, WriteError> {
        let late = |_| WriteError::Unreached("no lease for the result came in time".to_owned());
        let term = self.parts.settings.retention.min(LONGEST_TERM);
        let serves =
            move |lease: &Lease| lease.sent_at.elapsed() < term && refused != Some(lease.id);
        let newest = timeout_at(deadline, self.newest.lock()).await;
        if let Some(lease) = newest.map_err(late)?.filter(serves) {
            return Ok(lease.id);
        }
        let (parts, newest) = (self.parts.clone(), Arc::clone(&self.newest));
        let granting = self.tasks.spawn(async move {
            let mut newest = newest.lock().await;
            if let Some(lease) = newest.filter(serves) {
                return Ok(lease.id);
            }
            let granted = grant(&parts, term, deadline).await?;
            Ok(newest.insert(granted).id)
        });
        let ended = |_| WriteError::Unreached("the board is closed".to_owned());
        timeout_at(deadline, granting)
            .await
            .map_err(late)?
            .map_err(ended)?
    }
}

/// Grants a lease, however often that must be tried until `deadline`. One whose answer was lost ends
/// by itself.
async fn grant(parts: &Parts, term: Duration, deadline: Instant) -> Result<Lease, WriteError> {
    let settings = &parts.settings;
    let ttl = settings.retention + term + settings.deadline;
    let grant = || parts.store.grant(ttl);
    let missing = "no lease for the result was granted";
    let lease = insist(missing, &parts.random, deadline, grant).await?;
    tracing::debug!(lease = %lease.id, "granted a lease for results");
    Ok(lease)
}
