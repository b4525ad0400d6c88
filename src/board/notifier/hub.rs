//! Where what the cache has applied is handed to all who listen.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::{broadcast, watch};

use super::event::Notification;
use crate::{
    board::{JobBoard, TrashedJob},
    cache::{Applied, Change, Trashed},
    store::Revision,
};

/// How many revisions wait for who is slow. A list of the board counts as one, however many
/// differences it tells: it comes at once, and nobody can be quick enough for its parts.
const WAITING: usize = 1_024;

/// Hands on what happens on a board. Costs nothing while nobody listens; never waits for anybody.
#[derive(Debug)]
pub(in crate::board) struct Hub {
    batches: broadcast::Sender<Arc<Batch>>,
    /// How many were handed on.
    handed_on: Mutex<u64>,
    /// The revision that the board's view came to last; zero before its first list.
    view: AtomicU64,
    trash: watch::Sender<TrashWanted>,
}

/// Whether anybody listens for jobs that are trashed.
#[derive(Clone, Copy, Debug, Default)]
struct TrashWanted {
    wanted: bool,
    /// Up to where all was told, or was there before anybody listened.
    after: Option<Revision>,
}

/// What happened at one revision.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its place among all that was handed on, from 1 on.
    pub(super) number: u64,
    told: Told,
}

#[derive(Debug)]
enum Told {
    Jobs(Vec<Change>),
    Trash(Vec<Trashed>),
}

impl Hub {
    pub(in crate::board) fn new() -> Self {
        Self {
            batches: broadcast::Sender::new(WAITING),
            handed_on: Mutex::default(),
            view: AtomicU64::new(0),
            trash: watch::Sender::default(),
        }
    }

    /// Listens from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.batches.subscribe()
    }

    /// The number of the last batch that was handed on.
    pub(super) fn number(&self) -> u64 {
        *self.lock()
    }

    /// Hands on what changed of the jobs.
    pub(in crate::board) fn jobs(&self, applied: &Applied<'_>) {
        let before = self.view.swap(applied.revision.get(), Relaxed);
        if before == 0 {
            self.begin_trash(applied.revision);
        }
        if !applied.changes.is_empty() && self.batches.receiver_count() > 0 {
            self.hand_on(Told::Jobs(applied.changes.to_vec()));
        }
    }

    /// Hands on what came into the trash, up to the revision `at`.
    pub(in crate::board) fn trash(&self, at: Revision, trashed: Vec<Trashed>) {
        self.trash.send_modify(|trash| trash.after = Some(at));
        if !trashed.is_empty() {
            self.hand_on(Told::Trash(trashed));
        }
    }

    /// Has the trash that somebody wanted before there was a view told from the first one on: its own
    /// first list can come later, or, if the board is closed before it does, in another connection.
    fn begin_trash(&self, view: Revision) {
        self.trash.send_modify(|trash| {
            if trash.wanted {
                trash.after.get_or_insert(view);
            }
        });
    }

    /// Has the trash followed from what the board's view shows now.
    pub(super) fn want_trash(&self) {
        let view = Revision::new(self.view.load(Relaxed));
        self.trash.send_if_modified(|trash| {
            let first = !trash.wanted;
            if first {
                trash.wanted = true;
                trash.after = (view > Revision::ZERO).then_some(view);
            }
            first
        });
    }

    /// Waits until somebody listens for jobs that are trashed, and gives the revision after which
    /// they are to be told; `None` for those that come later than the first look. Cancel safe.
    pub(in crate::board) async fn trash_wanted(&self) -> Option<Revision> {
        let mut trash = self.trash.subscribe();
        let wanted = trash.wait_for(|trash| trash.wanted).await;
        wanted
            .expect("the hub holds the other end of this channel")
            .after
    }

    fn hand_on(&self, told: Told) {
        let mut handed_on = self.lock();
        *handed_on += 1;
        let number = *handed_on;
        // Sent under the lock, so that the numbers are in order. That nobody listens is no error.
        _ = self.batches.send(Arc::new(Batch { number, told }));
    }

    /// Held for a few instructions only, never across an await.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.handed_on
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// What it is to who listens to `board`.
    pub(super) fn notifications(&self, board: &JobBoard) -> Vec<Notification> {
        match &self.told {
            Told::Jobs(changes) => changes
                .iter()
                .filter_map(|change| Notification::of(change, board))
                .collect(),
            Told::Trash(trashed) => trashed
                .iter()
                .map(|trashed| Notification {
                    revision: trashed.at,
                    event: super::Event::Trashed(TrashedJob::of(trashed)),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Origin;

    fn applied(revision: u64) -> Applied<'static> {
        Applied {
            revision: Revision::new(revision),
            origin: Origin::Watched,
            changes: &[],
            owners: &[],
        }
    }

    #[tokio::test]
    async fn trash_is_told_from_what_the_view_showed_when_somebody_first_listened() {
        let hub = Hub::new();
        hub.jobs(&applied(5));
        hub.want_trash();
        hub.jobs(&applied(7));
        hub.want_trash();
        assert_eq!(hub.trash_wanted().await, Some(Revision::new(5)));
        hub.trash(Revision::new(9), Vec::new());
        assert_eq!(hub.trash_wanted().await, Some(Revision::new(9)));
    }

    #[tokio::test]
    async fn trash_is_told_from_the_first_list_of_trash_or_board_where_there_was_no_view() {
        let hub = Hub::new();
        hub.want_trash();
        assert_eq!(hub.trash_wanted().await, None);
        hub.jobs(&applied(5));
        hub.jobs(&applied(7));
        assert_eq!(hub.trash_wanted().await, Some(Revision::new(5)));

        let hub = Hub::new();
        hub.want_trash();
        hub.trash(Revision::new(6), Vec::new());
        hub.jobs(&applied(7));
        assert_eq!(hub.trash_wanted().await, Some(Revision::new(6)));
    }
}
