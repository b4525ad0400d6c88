//! What the cache tells of each revision that it has applied.

use std::sync::Arc;

use super::entry::{Entry, Holder};
use crate::{protocol::keys::JobId, store::Revision};

/// What was applied to the view at once. When it is told, it can be read.
#[derive(Debug)]
pub(crate) struct Applied<'a> {
    /// The revision that the view is at now.
    pub(crate) revision: Revision,
    /// How the view came there.
    pub(crate) origin: Origin,
    /// What changed of the jobs that can be read; in the order of their numbers.
    pub(crate) changes: &'a [Change],
    /// What changed of the owner keys, of jobs that can not be read too; in the order of the jobs'
    /// numbers.
    ///
    /// After a list this names every job that has an owner and every job whose owner is gone: any
    /// other job had none at this revision.
    pub(crate) owners: &'a [OwnerChange],
}

/// How a view came to its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By one revision's changes, the next after those told before.
    Watched,
    /// By the first list.
    First,
    /// By another list. The changes are the differences to what was told before: the final state
    /// of each job, states in between merged.
    Relisted,
    /// By a list of another history: the store is another cluster or was set back to an earlier
    /// revision. No revision or token from before means anything any more.
    OtherHistory,
}

/// A change of one job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The revision that made the change, or at which a list showed it.
    pub(crate) revision: Revision,
    /// The job as it is now; as it was last, if it is gone.
    pub(crate) entry: Arc<Entry>,
    /// What happened.
    pub(crate) kind: ChangeKind,
}

impl Change {
    /// The number of the job.
    pub(crate) fn job(&self) -> JobId {
        self.entry.job
    }
}

/// What happened to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It came onto the board.
    Posted,
    /// It is no longer on the board: its posting was deleted.
    Removed,
    /// It left the view because its posting can no longer be read. It is still in the store.
    BecameUnreadable,
    /// Its posting was written again by somebody, which no client of a board does.
    Rewritten,
    /// It has an owner, or another one than before.
    Claimed,
    /// Its last owner is gone.
    Released,
    /// What stands in its state changed.
    StateChanged,
    /// Its owner told how far it has come.
    Progressed,
    /// Somebody asked for it to be stopped.
    CancelRequested,
    /// The request to stop it is gone.
    CancelWithdrawn,
}

/// A change of one owner key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerChange {
    /// The job whose owner it is. It need not have a posting.
    pub(crate) job: JobId,
    /// Who holds the job now.
    pub(crate) holder: Option<Arc<Holder>>,
    /// The revision that made the change, or at which a list showed it.
    pub(crate) revision: Revision,
}

/// Says what leads from one entry of a job to another.
pub(super) fn differences(
    revision: Revision,
    before: Option<&Arc<Entry>>,
    after: Option<&Arc<Entry>>,
    lost: ChangeKind,
    into: &mut Vec<Change>,
) {
    let mut tell = |entry: &Arc<Entry>, kind| {
        into.push(Change {
            revision,
            entry: Arc::clone(entry),
            kind,
        });
    };
    match (before, after) {
        (Some(before), Some(after)) if same_job(before, after) => {
            changed(before, after, |kind| tell(after, kind));
        }
        (before, after) => {
            if let Some(before) = before {
                let replaced = after.is_some();
                tell(before, if replaced { ChangeKind::Removed } else { lost });
            }
            if let Some(after) = after {
                tell(after, ChangeKind::Posted);
                if after.holder().is_some() {
                    tell(after, ChangeKind::Claimed);
                }
                if after.cancel_request().is_some() {
                    tell(after, ChangeKind::CancelRequested);
                }
            }
        }
    }
}

fn same_job(before: &Entry, after: &Entry) -> bool {
    (before.posted, before.uuid()) == (after.posted, after.uuid())
}

/// Says what changed of a job that stayed.
fn changed(before: &Entry, after: &Entry, mut tell: impl FnMut(ChangeKind)) {
    if before.posting != after.posting {
        tell(ChangeKind::Rewritten);
    }
    let token = |entry: &Entry| entry.holder().map(|holder| holder.token);
    if token(before).is_some() && token(before) != token(after) {
        tell(ChangeKind::Released);
    }
    if after.holder().is_some() && before.holder() != after.holder() {
        tell(ChangeKind::Claimed);
    }
    if before.state() != after.state() {
        tell(ChangeKind::StateChanged);
    }
    let progress = |entry: &Entry| {
        entry
            .state()
            .and_then(|state| state.record.progress.clone())
    };
    if progress(after).is_some() && progress(before) != progress(after) {
        tell(ChangeKind::Progressed);
    }
    match (before.cancel_request(), after.cancel_request()) {
        (None, Some(_)) => tell(ChangeKind::CancelRequested),
        (Some(_), None) => tell(ChangeKind::CancelWithdrawn),
        _ => {}
    }
}
